"""What the mouth's tests speak with: a mouth whose callers keep what they get, by a clock that the test moves."""

import base64

from turnlog.core import signals as s
from turnlog.engine.sound.mouth import Mouth
from turnlog.store.media import Kept

__all__ = ["MS", "Ear", "audio", "words"]

MS = 1_000_000


class Ear:
    """The Outlet of a mouth and its clock, in ms. `there`: whether a caller is attached."""

    def __init__(self, lead_ms: int = 300, *, paced: bool = True) -> None:
        self.mouth = Mouth(lead_ms, paced=paced)
        self.mouth.outlet = self
        self.now_ms = 1000
        self.there = True
        self.got: list[s.OutputAudio | s.OutputText] = []
        self.kept: list[Kept | None] = []
        self.calls: list[str] = []
        self.ends_ms = 0.0  # when this caller, which plays as it gets, has played all

    # --- the Outlet ---

    def deliver(self, signal: s.OutputAudio | s.OutputText, now_ns: int, starts_ns: int, kept: Kept | None) -> bool:
        """Keep it."""
        if self.there:
            self.got.append(signal)
            self.kept.append(kept)
            if isinstance(signal, s.OutputAudio):
                assert starts_ns >= now_ns
                self.ends_ms = max(self.ends_ms, now_ns / MS) + signal.ms
        return self.there

    def started(self, response: str, now_ns: int) -> None:
        """Note it."""
        self.calls.append(f"started {response} {now_ns // MS - 1000}")

    def held(self) -> None:
        """Note it."""
        self.calls.append("held")

    def emptied(self) -> None:
        """Note it."""
        self.calls.append(f"emptied {self.now_ms - 1000}")

    # --- the test's hands ---

    @property
    def now_ns(self) -> int:
        """The time."""
        return self.now_ms * MS

    def take(self, *signals: s.OutputAudio | s.OutputText) -> None:
        """The provider sends."""
        for signal in signals:
            self.mouth.take(signal, self.now_ns)

    def passes(self, ms: int) -> None:
        """Time passes; what is due leaves when it is due."""
        until_ms = self.now_ms + ms
        while (due_ns := self.mouth.due_ns()) is not None and due_ns <= until_ms * MS:
            self.now_ms = max(self.now_ms, -(-due_ns // MS))
            self.mouth.release(self.now_ns)
        self.now_ms = until_ms

    def played_ms(self, response: str = "r") -> list[int]:
        """Of each part of a response."""
        return [part.played_ms for part in self.mouth.sample(response, self.now_ns).parts]

    def delivered_ms(self, response: str = "r") -> list[int]:
        """Of each part of a response."""
        return [part.delivered_ms for part in self.mouth.sample(response, self.now_ns).parts]

    def heard(self) -> bytes:
        """The bytes of all audio that was delivered."""
        return b"".join(base64.b64decode(one.audio) for one in self.got if isinstance(one, s.OutputAudio))

    def order(self) -> list[str]:
        """What was delivered: words as they are, audio by its ms."""
        return [f"{one.ms:g}" if isinstance(one, s.OutputAudio) else one.text for one in self.got]


def audio(
    ms: float = 20, *, response: str = "r", item: str = "i", part: int = 0, rate: int = 48, data: bytes = b""
) -> s.OutputAudio:
    """A delta of `ms` at `rate` bytes a ms (48: PCM16, 8: G.711), of these bytes if any."""
    payload = data or bytes(round(ms * rate))
    text = base64.b64encode(payload)
    return s.OutputAudio(response=response, item=item, content_index=part, audio=text, ms=len(payload) / rate)


def words(text: str, *, response: str = "r", item: str = "i", spoken: bool = True) -> s.OutputText:
    """A delta of words."""
    return s.OutputText(response=response, item=item, content_index=0, text=text, spoken=spoken)
