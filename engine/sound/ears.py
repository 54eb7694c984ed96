"""The engine's own ears: while something sounds, whose audio reaches the provider, and who speaks over what is played.

The policy is the definition's `echo`, else "guard" if a caller came over a WebSocket, else "client_aec": the caller's end keeps
out of its microphone what it plays. Nothing is decoded and nothing computed for client_aec, nor while nothing sounds.
"""

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable

from ...core import events as e
from ...core import signals as s
from ...core.core import Staged
from ...core.definition import Echo
from ...core.playing import FLUSHED
from ...core.state import State
from ...transports.realtime.audio import AudioFormat
from ...transports.realtime.durations import decoded_size, format_declared
from .echo import Detector, Played
from .levels import FRAME_MS, Meter

__all__ = ["LASTED_MS", "Ears"]

LASTED_MS = 200
"""For so long nothing but a voice must explain what is heard."""
_MS = 1_000_000
_FRAME_NS = FRAME_MS * _MS
_SILENCE_NS = 500 * _MS  # after so much of it what sounds next is another stretch
_TAIL_NS = 200 * _MS  # the caller still plays what by our clock has ended: network and buffers
_LISTENS_NS = 1000 * _MS  # beyond: as long as speech may be taken for an echo, a voice must be able to prove itself
_JITTER_NS = 200 * _MS  # a frame that comes so far from where the one before ended begins anew
_SILENT = {"audio/pcm": b"\x00", "audio/pcmu": b"\xff", "audio/pcma": b"\xd5"}


class _Microphone:
    """One caller's audio during one stretch of sound."""

    __slots__ = ("detector", "end_ns", "has_spoken", "meter")

    def __init__(self) -> None:
        self.meter = Meter()
        self.detector = Detector()
        self.end_ns = 0  # where on the clock the frames heard so far end
        self.has_spoken = False


class Ears:
    """Listens on all callers' lines of a session. `told(link, ms)` takes each SpeechLasted."""

    __slots__ = ("_ends_ns", "_microphones", "_out", "_played", "_state", "_told", "_transports", "policy")

    def __init__(self, state: State, told: Callable[[str, int], None]) -> None:
        self._state = state
        self._told = told
        self._transports: dict[str, str] = {}  # of the callers' lines
        self.policy: Echo = self._effective()
        self._ends_ns = 0  # when all that was delivered will have been played
        self._out = Meter()
        self._played = Played()
        self._microphones: dict[str, _Microphone] = {}

    def observe(self, staged: Iterable[Staged]) -> None:
        """Follow the facts: who is there, and what was cut."""
        for one in staged:
            match one.event:
                case e.LinkOpened(side="caller", link=link, transport=transport):
                    self._transports[link] = transport
                    self.policy = self._effective()
                case e.LinkClosed(link=link) if link in self._transports:
                    del self._transports[link]
                    self.policy = self._effective()
                case e.AudioStarted():  # whoever spoke before must prove it anew
                    for microphone in self._microphones.values():
                        microphone.has_spoken = False
                        microphone.detector.forget_doubt()
                case e.PlayoutCut(reason=reason) if reason in FLUSHED:
                    self._ends_ns = min(self._ends_ns, one.at_ns)
                    self._played.forget(0, one.at_ns // _FRAME_NS)

    def _effective(self) -> Echo:
        over_websocket = "websocket" in self._transports.values()
        return self._state.life.definition.echo or ("guard" if over_websocket else "client_aec")

    @property
    def listen(self) -> bool:
        """Whether it matters what is played."""
        return self.policy != "client_aec"

    def plays(self, ms: float, starts_ns: int, payload: bytes) -> None:
        """Audio of so many ms that callers were sent, and when they will play it. Only for ears that listen."""
        if starts_ns > self._ends_ns + _SILENCE_NS:
            self._out, self._played, self._microphones = Meter(), Played(), {}
        self._ends_ns = starts_ns + round(ms * _MS)
        if self.policy == "guard":
            form = self._form("output_format")
            self._played.add(starts_ns, self._out.read(payload, form))

    def hear(self, link: str, audio: s.AudioAppended, now_ns: int) -> s.AudioAppended:
        """A caller's audio; returns what of it the provider is to get: itself, or silence of its length."""
        if self.policy == "client_aec" or now_ns > self._ends_ns + _LISTENS_NS:
            return audio
        form = self._form("input_format")
        if self.policy == "half_duplex":
            if now_ns > self._ends_ns + _TAIL_NS:
                return audio
            silence = _SILENT[form.type] * decoded_size(audio.audio)
            return s.AudioAppended(audio=b2a_base64(silence, newline=False), ms=audio.ms, payload=silence)
        self._listen(link, audio, form, now_ns)
        return audio

    def _listen(self, link: str, audio: s.AudioAppended, form: AudioFormat, now_ns: int) -> None:
        """Measure what comes while something sounds and right after, and tell of a voice: once for each response."""
        microphone = self._microphones.get(link)
        if microphone is None:
            microphone = self._microphones[link] = _Microphone()
        if microphone.has_spoken:
            return
        ns = round(audio.ms * _MS)
        if abs(microphone.end_ns + ns - now_ns) > _JITTER_NS:
            microphone.end_ns = now_ns - ns
        begins_ns = microphone.end_ns
        microphone.end_ns += ns
        for level in microphone.meter.read(audio.payload or a2b_base64(audio.audio), form):
            lasted_ms = microphone.detector.hear(begins_ns // _FRAME_NS, level, self._played)
            begins_ns += _FRAME_NS
            if lasted_ms >= LASTED_MS:
                microphone.has_spoken = True
                self._told(link, lasted_ms)
                return

    def _form(self, side: str) -> AudioFormat:
        return format_declared(self._state.links.settings.get(side))
