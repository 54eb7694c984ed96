"""A session's audio as a WAV file: the caller, the agent, or both as the two channels. Synchronous, for a thread.

Its time is the session's: what was said at second 5 stands at second 5. Of the caller it has what came; of the agent what was
heard: a cut answer ends where it was cut, and what never sounded is not there. PCM16 at 24 kHz, or 8 kHz for G.711.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from ..core import events as e
from ..core.codec import decode
from ..core.errors import ProtocolError, StoreError
from ..core.ports import Recorded
from ..store.messages import scan_messages
from ..store.port import MediaReads, Store
from ..transports.realtime.audio import PCM16, AudioFormat, decode_base64, format_from_wire
from ..transports.realtime.g711 import to_pcm16
from .scratch import Mono, Scratch, at_rate, wav

__all__ = ["Side", "record"]

Side = Literal["caller", "agent", "both"]
_JITTER_MS: Final = 200  # audio that comes so little late goes on where what came before it ended


class _Media(msgspec.Struct):
    """A message with audio, of either direction."""

    type: str = ""
    audio: str = ""
    delta: str = ""
    response_id: str = ""
    item_id: str = ""
    content_index: int = 0


_decode = msgspec.json.Decoder(_Media).decode


class _Change(NamedTuple):
    """From `at_ns` on a side's audio has this format. link: of one caller; "" for all there are."""

    at_ns: int
    link: str
    form: AudioFormat


class _Heard:
    """What the log says of the agent's audio: when each response began to sound, and how much of its parts was heard."""

    def __init__(self) -> None:
        self.began_ns: dict[str, int] = {}
        self.most_ms: dict[tuple[str, str, int], int] = {}  # (response, item, part) of what was cut

    def apply(self, at_ns: int, event: object) -> None:
        """Fold one event."""
        if isinstance(event, e.AudioStarted):
            self.began_ns[event.response] = at_ns
        elif isinstance(event, e.PlayoutEnded) and event.interrupted:
            for part in event.heard:
                self.most_ms[event.response, part.item, part.content_index] = part.heard_ms


class _Facts:
    """What the layout rests on, read from the log before the media."""

    def __init__(self, log: Iterable[Recorded]) -> None:
        self.started_ns = 0
        self.heard = _Heard()
        self.input: list[_Change] = []
        self.output: list[_Change] = []
        for recorded in log:
            self.started_ns = self.started_ns or recorded.at_ns
            event = decode(recorded)
            self.heard.apply(recorded.at_ns, event)
            if isinstance(event, e.SettingsAsked):
                self._settings(recorded.at_ns, event)

    def _settings(self, at_ns: int, event: e.SettingsAsked) -> None:
        for name, changes, link in (("input_format", self.input, event.link), ("output_format", self.output, "")):
            try:
                changes.append(_Change(at_ns, link, format_from_wire(event.settings[name])))
            except (KeyError, ProtocolError):
                continue  # not asked for, or refused then, too

    @staticmethod
    def form(changes: list[_Change], link: str, at_ns: int) -> AudioFormat:
        """The format of a side at a time."""
        form = PCM16
        for change in changes:
            if change.at_ns <= at_ns and change.link in ("", link):
                form = change.form
        return form

    @property
    def rate(self) -> int:
        """8 kHz where nothing but G.711 was ever asked for on both sides."""
        forms = [change.form for change in (*self.input, *self.output)]
        g711 = self.input and self.output and all(form.rate == 8000 for form in forms)
        return 8000 if g711 else PCM16.rate


def record(store: Store, session: str, side: Side, tracks: Iterable[str]) -> Scratch:
    """The WAV file. tracks: those of the session.

    Raises StoreError TL418 if that side has no audio, TL407, TL408; MediaError TL604.
    """
    facts = _Facts(store.scan(session, semantic=True))
    received = [track for track in tracks if track.endswith(".in")]
    caller, agent = Mono(facts.rate), Mono(facts.rate)
    for track in received:
        if track.startswith("c") and side != "agent":
            _lay_caller(store, session, track, facts, caller)
        elif not track.startswith("c") and side != "caller":
            _lay_agent(store, session, track, facts, agent)
    if not (caller.samples or agent.samples):
        hint = "its words were typed, or a provider held the call itself"
        raise StoreError("TL418", f"session {session} has no audio of {'either side' if side == 'both' else side}", hint)
    return wav([caller, agent] if side == "both" else [caller if side == "caller" else agent])


def _lay_caller(store: MediaReads, session: str, track: str, facts: _Facts, onto: Mono) -> None:
    """Each piece where it was said: it came when its last sample had been; what follows closely goes on without a gap."""
    link, end = track.removesuffix(".in"), 0
    for raw, at_ns in _payloads(store, session, track):
        pcm = _pcm(raw.audio, facts.form(facts.input, link, at_ns), onto.rate)
        ends = onto.place(at_ns - facts.started_ns)
        start = ends - len(pcm) // 2
        if start < end + onto.rate * _JITTER_MS // 1000:
            start = end
        onto.put(max(0, start), pcm)
        end = max(0, start) + len(pcm) // 2


def _lay_agent(store: MediaReads, session: str, track: str, facts: _Facts, onto: Mono) -> None:
    """Each response from when it began to sound, as far as it was heard."""
    ends: dict[str, int] = {}
    left: dict[tuple[str, str, int], int] = {}
    for raw, at_ns in _payloads(store, session, track):
        began_ns = facts.heard.began_ns.get(raw.response_id)
        if began_ns is None:
            continue  # it never sounded
        pcm = _pcm(raw.delta, facts.form(facts.output, "", at_ns), onto.rate)
        part = (raw.response_id, raw.item_id, raw.content_index)
        if (most_ms := facts.heard.most_ms.get(part)) is not None:
            rest = left.setdefault(part, most_ms * onto.rate // 1000)
            pcm = pcm[: max(0, rest) * 2]
            left[part] = rest - len(pcm) // 2
        end = ends.get(raw.response_id, onto.place(began_ns - facts.started_ns))
        came = onto.place(at_ns - facts.started_ns)
        start = came if came > end + onto.rate * _JITTER_MS // 1000 else end  # a provider that is slower than speech
        onto.put(start, pcm)
        ends[raw.response_id] = start + len(pcm) // 2


def _payloads(store: MediaReads, session: str, track: str) -> Iterator[tuple[_Media, int]]:
    for message in scan_messages(store, session, track):
        try:
            yield _decode(message.raw), message.at_ns
        except msgspec.MsgspecError:
            continue  # it was no message then, too


def _pcm(payload: str, form: AudioFormat, rate: int) -> bytes:
    try:
        pcm = to_pcm16(decode_base64(payload, "audio"), form)
    except ProtocolError:
        return b""  # it was refused then, too
    return at_rate(pcm[: len(pcm) & ~1], form.rate, rate)
