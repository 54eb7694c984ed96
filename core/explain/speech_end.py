"""When the user fell silent, on the log's clock: the provider counts in ms of the input audio, the log in ns of the day.

Rule: speech_stopped's audio_end_ms includes the silence that server_vad waited for, with OpenAI (its API reference says so)
as with the local provider. So the voice ended silence_duration_ms before it.
Rule: the input audio that went to the provider is in MediaRecorded events. Where audio comes in real time, the audio at
`x` ms was sent (total - x) ms before the segment that brought the total; good to one audio message, some 20 ms.
"""

from typing import Any, Literal, NamedTuple

from .. import events as e
from ..state import State
from .trail import Entry, Trail

__all__ = ["Basis", "SpeechEnd", "speech_end"]

Basis = Literal["input timeline", "speech_stopped", "commit", "typed"]
_MS = 1_000_000


class SpeechEnd(NamedTuple):
    """The end of the voice, the end of the silence that was waited for, and what both rest on."""

    voice_ns: int
    silence_ns: int
    basis: Basis


def speech_end(trail: Trail, turn: Entry[e.TurnEnded]) -> SpeechEnd:
    """When the voice of a turn ended. Never before its speech_started arrived, nor after its speech_stopped."""
    if turn.event.channel == "text":
        return SpeechEnd(turn.at_ns, turn.at_ns, "typed")
    item = turn.event.item
    stopped = trail.latest(turn.seq, e.SpeechStopped, lambda one: one.item == item)
    if stopped is None:
        committed = trail.latest(turn.seq, e.InputCommitted, lambda one: one.item == item)
        at_ns = committed.at_ns if committed else turn.at_ns
        return SpeechEnd(at_ns, at_ns, "commit")
    started = trail.latest(stopped.seq, e.SpeechStarted, lambda one: one.item == item)
    earliest_ns = started.at_ns if started else trail.first.at_ns
    mapped_ns = _sent_ns(trail, stopped.seq, stopped.event.audio_end_ms)
    silence_ns = max(earliest_ns, min(stopped.at_ns, mapped_ns if mapped_ns is not None else stopped.at_ns))
    waited_ms = _silence_ms(trail.state_at(stopped.seq))
    voice_ns = max(earliest_ns, silence_ns - waited_ms * _MS)
    return SpeechEnd(voice_ns, silence_ns, "speech_stopped" if mapped_ns is None else "input timeline")


def _sent_ns(trail: Trail, seq: int, input_ms: int) -> int | None:
    """When the audio at this place of the input left for the provider; None where the log does not hold as much audio."""
    opened = trail.latest(seq, e.LinkOpened, lambda one: one.side == "provider")
    total_ms = 0
    for entry in trail.between(opened.seq if opened else seq, seq):
        if isinstance(entry.event, e.MediaRecorded) and opened and entry.event.track == f"{opened.event.link}.out":
            total_ms += entry.event.duration_ms
            if total_ms >= input_ms:
                return entry.at_ns - (total_ms - input_ms) * _MS
    return None


def _silence_ms(state: State) -> int:
    """The silence that ends a turn, by what the callers asked for and else by the definition; 0 where it is not fixed."""
    asked: Any = state.links.settings.get("turn_detection", state.life.definition.turn_detection)
    detection = asked if isinstance(asked, dict) else {}
    waited = detection.get("silence_duration_ms", 0) if detection.get("type", "server_vad") == "server_vad" else 0
    return waited if isinstance(waited, int) and waited > 0 else 0
