"""A session's words of both sides, from its log: as values, as lines of text, and as WebVTT captions. Pure."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from ..core import events as e
from ..core.codec import decode
from ..core.folds.spoken import Spoken
from ..core.ports import Recorded

__all__ = ["Transcript", "TranscriptLine", "as_text", "as_vtt", "transcript_of"]

_LEAST_MS = 1000  # a caption that is shown for less cannot be read


class TranscriptLine(msgspec.Struct, frozen=True, kw_only=True):
    """A contribution. who: the user, the handler, or the model with its own words. ms: when it was heard, since the start.

    cut: it was interrupted, and `text` is what was heard of it. seq: of the event that tells it.
    """

    seq: int
    who: Literal["user", "handler", "model"]
    text: str
    began_ms: int
    ended_ms: int
    cut: bool = False


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """What was said in a session, by when it began to be heard. complete: the log has its end."""

    session: str
    complete: bool
    lines: list[TranscriptLine]


def transcript_of(session: str, events: Iterable[Recorded]) -> Transcript:
    """The transcript of a log; the events of the wire may be left out. Raises StoreError TL407."""
    spoken, started_ns, complete = Spoken(), 0, False
    for recorded in events:
        started_ns = started_ns or recorded.at_ns
        event = decode(recorded)
        if isinstance(event, e.Event):
            spoken.apply(recorded.seq, recorded.at_ns, event)
            complete = isinstance(event, e.SessionEnded)
    lines = [
        TranscriptLine(
            seq=one.seq,
            who=one.who,
            text=one.text,
            began_ms=max(0, one.at_ns - started_ns) // 1_000_000,
            ended_ms=max(0, one.ended_ns - started_ns) // 1_000_000,
            cut=one.cut,
        )
        for one in spoken.lines
    ]
    return Transcript(session=session, complete=complete, lines=lines)


def as_text(transcript: Transcript) -> str:
    """A line each: the time, who, and the words."""
    return "".join(
        f"[{_clock(line.began_ms)}] {line.who}: {_one_line(line.text)}{' (cut short)' if line.cut else ''}\n"
        for line in transcript.lines
    )


def as_vtt(transcript: Transcript) -> str:
    """WebVTT: a caption each, by its speaker's voice tag."""
    cues = ["WEBVTT\n"]
    for line in transcript.lines:
        ended_ms = max(line.ended_ms, line.began_ms + _LEAST_MS)
        text = _one_line(line.text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        cues.append(f"{line.seq}\n{_clock(line.began_ms)} --> {_clock(ended_ms)}\n<v {line.who}>{text}\n")
    return "\n".join(cues)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _clock(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"
