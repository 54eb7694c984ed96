"""The hearing half of a scripted caller: what came, what of it was played when, and the words that were heard.

As the protocol's real clients do, it plays what comes without gap, and at input_audio_buffer.speech_started it stops at once.
Times are ms since it called.
"""

import asyncio
from binascii import a2b_base64
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..core.errors import LinkClosed
from ..transports.realtime.audio import PCM16, AudioFormat, format_from_wire
from ..transports.realtime.g711 import to_pcm16
from .playout import Playout, Sound, Utterance

__all__ = ["Listener", "Received"]


class Received(NamedTuple):
    """A message that the caller got, and when."""

    at_ms: float
    event: dict[str, Any]


@dataclass
class _Told:
    """What came in words with a response."""

    transcript: str = ""
    text: str = ""


class Listener:
    """Takes what a link brings. flushes: when it stopped playing, and how many ms of what it had were left.

    closed: how its link ended.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._by_type: dict[str, list[dict[str, Any]]] = {}
        self.flushes: list[tuple[float, float]] = []
        self.playout = Playout()
        self.closed: LinkClosed | None = None
        self.formats: dict[str, AudioFormat] = {"input": PCM16, "output": PCM16}
        self._began_s = asyncio.get_running_loop().time()
        self._told: dict[str, _Told] = {}  # by response, in the order of their first output
        self._cursor = (0, 0)  # how far hears() has got: utterance, word
        self._changed = asyncio.Event()

    @property
    def now_ns(self) -> int:
        """Nanoseconds since it called."""
        return round((asyncio.get_running_loop().time() - self._began_s) * 1e9)

    @property
    def now_ms(self) -> float:
        """Milliseconds since it called."""
        return self.now_ns / 1e6

    @property
    def heard(self) -> list[Utterance]:
        """Each response that came, as far as it was heard until now."""
        return [self._utterance(response) for response in self._told]

    async def hears(self, phrase: str, *, within_s: float = 30.0) -> Utterance:
        """Wait until these words were heard (or read) in one utterance, behind what hears() found before; returns it.

        Case and punctuation do not matter. Raises AssertionError after `within_s`, or when the link has closed before.
        """
        wanted = _plain(phrase)
        until_ns = self.now_ns + round(within_s * 1e9)
        while True:
            if (found := self._find(wanted)) is not None:
                return found
            left_s = (until_ns - self.now_ns) / 1e9
            if left_s <= 0 or (self.closed and self.playout.end_ns <= self.now_ns):
                raise AssertionError(self._not_heard(phrase, within_s))
            word_ns = self.playout.next_word_ns(self.now_ns)
            await self._change(left_s if word_ns is None else min(left_s, (word_ns - self.now_ns) / 1e9))

    async def gets(self, type_: str, *, n: int = 1, within_s: float = 30.0) -> dict[str, Any]:
        """Wait for the n-th message of a type, counted from the beginning. Raises AssertionError."""
        async with asyncio.timeout(within_s) as limit:
            try:
                while len(found := self.events(type_)) < n and not self.closed:
                    self._changed.clear()
                    await self._changed.wait()
            except asyncio.CancelledError:
                if limit.expired():
                    raise AssertionError(f"the caller got {len(found)} {type_} within {within_s} s, not {n}") from None
                raise
        assert len(found) >= n, f"the link closed after {len(found)} {type_}, not {n}: {self.closed}"
        return found[n - 1]

    def events(self, type_: str) -> list[dict[str, Any]]:
        """What it got of one type."""
        return list(self._by_type.get(type_, ()))

    def audible_ms(self, after_ms: float, until_ms: float | None = None, *, response: str | None = None) -> float:
        """How many ms of audio it played after an instant (until another, or until now), of one response or of all."""
        until_ns = self.now_ns if until_ms is None else round(until_ms * 1e6)
        return self.playout.audible_ms(round(after_ms * 1e6), until_ns, response)

    async def falls_silent(self) -> None:
        """Wait until all that came was played."""
        while self._plays:
            await self._change((self.playout.end_ns - self.now_ns) / 1e9)

    async def sounding(self) -> str:
        """The response that sounds now, or the next one that does."""
        while (sound := self.playout.sounding(self.now_ns)) is None:
            assert self.closed is None, f"the link closed before anything sounded: {self.closed}"
            self._changed.clear()
            await self._changed.wait()
        return sound.response

    # --- what comes ---

    def take(self, event: dict[str, Any]) -> None:
        """Take a message that has come."""
        self.received.append(Received(self.now_ms, event))
        self._by_type.setdefault(event["type"], []).append(event)
        match event["type"]:
            case "session.created" | "session.updated":
                for side in self.formats:
                    self.formats[side] = format_from_wire(event["session"]["audio"][side]["format"])
            case "input_audio_buffer.speech_started":
                self._flush()
            case "response.output_audio.delta":
                self._told.setdefault(event["response_id"], _Told())
                form = self.formats["output"]
                pcm16 = to_pcm16(a2b_base64(event["delta"]), form)
                self.playout.receive(self.now_ns, event["response_id"], event["item_id"], pcm16, form.rate)
            case "response.output_audio_transcript.delta":
                self._told.setdefault(event["response_id"], _Told()).transcript += event["delta"]
            case "response.output_text.delta":
                self._told.setdefault(event["response_id"], _Told()).text += event["delta"]
        self._changed.set()

    def take_end(self, closed: LinkClosed) -> None:
        """The link is closed: nothing more comes."""
        self.closed = closed
        self._changed.set()

    def cut(self, sound: Sound) -> None:
        """A flush has thrown away this sound, or the rest of it."""

    def _flush(self) -> None:
        left_ms = self.playout.audible_ms(self.now_ns, 2**63)
        sound = self.playout.flush(self.now_ns)
        if sound is not None:
            self.flushes.append((self.now_ms, left_ms))
            self.cut(sound)

    # --- parts ---

    @property
    def _plays(self) -> bool:
        return self.playout.end_ns > self.now_ns

    async def _change(self, limit_s: float) -> None:
        """Wait until something comes, at most so long."""
        self._changed.clear()
        try:
            async with asyncio.timeout(limit_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _utterance(self, response: str) -> Utterance:
        told = self._told[response]
        return self.playout.utterance(response, self.now_ns, transcript=told.transcript, text=told.text)

    def _find(self, wanted: list[str]) -> Utterance | None:
        first, skip = self._cursor
        for number, response in enumerate(self._told):
            if number < first:
                continue
            utterance = self._utterance(response)
            words = _plain(utterance.heard)
            for at in range(skip if number == first else 0, len(words) - len(wanted) + 1):
                if words[at : at + len(wanted)] == wanted:
                    self._cursor = (number, at + len(wanted))
                    return utterance
        return None

    def _not_heard(self, phrase: str, within_s: float) -> str:
        heard = "; ".join(repr(utterance.heard) for utterance in self.heard) or "nothing"
        why = f"before its link closed ({self.closed.reason})" if self.closed else f"within {within_s} s"
        return f"the caller did not hear {phrase!r} {why}; it heard: {heard}"


def _plain(text: str) -> list[str]:
    """Words without case and punctuation."""
    words = ("".join(c for c in word.casefold() if c.isalnum()) for word in text.split())
    return [word for word in words if word]
