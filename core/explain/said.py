"""Why something was said: the line that asked for it, the turns it followed, and what the handler learned in between."""

from typing import Any

import msgspec

from .. import events as e
from ..codec import decode_value
from ..commands import Site
from ..errors import StoreError
from .trail import Trail
from .waits import Waits, work_name
from .wording import filler_tool, requested_words

__all__ = ["CallSeen", "Said", "TurnSeen", "why_said"]


class TurnSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that the handler had taken."""

    seq: int
    turn: int
    text: str
    status: str


class CallSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a call or step: `result`, or `error` as "Type: message"."""

    seq: int
    index: int
    name: str  # of the tool, or the function of a step
    args: list[Any]
    kwargs: dict[str, Any]
    result: Any = None
    error: str = ""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A say, its command, and what it rests on. `woken_by` is the event on which the handler asked for it.

    text: of a stream what has come of it in this log, and `stream` is its function. filler_of: the tool for which the engine
    had it said by itself. outside: the embedding program asked for it, and no handler.
    """

    say: str
    seq: int
    index: int
    text: str
    site: Site
    woken_by: int
    woken_by_type: str
    turns: list[TurnSeen]  # taken since the last say before it, or else the last one taken
    calls: list[CallSeen]  # that came back between the first of these turns and it
    stream: str = ""
    clip: str = ""
    filler_of: str = ""
    outside: bool = False


def why_said(trail: Trail, say: str) -> Said:
    """What a say rests on. Raises StoreError TL418 for a say that is not there."""
    requested = trail.next(0, e.SayRequested, lambda one: one.say == say)
    if requested is None:
        raise StoreError("TL418", f"no say {say!r} in this log", "`turnlog show SESSION --type SayRequested` lists them")
    turns = _turns(trail, requested.seq)
    woken = trail.get(requested.cause)
    event = requested.event
    return Said(
        say=say,
        seq=requested.seq,
        index=event.index,
        text=requested_words(trail, requested, trail.last.seq),
        site=event.site,
        woken_by=requested.cause,
        woken_by_type=type(woken.event).__name__ if woken else "",
        turns=turns,
        calls=_calls(trail, turns[0].seq if turns else 0, requested.seq),
        stream=_stream(trail, event.command.stream),
        clip=event.command.clip.name if event.command.clip else "",
        filler_of=filler_tool(trail, requested),
        outside=requested.cause == e.Root.API,
    )


def _stream(trail: Trail, index: int) -> str:
    asked = trail.next(0, e.StreamRequested, lambda one: one.index == index) if index else None
    return asked.event.command.name if asked else ""


def _turns(trail: Trail, seq: int) -> list[TurnSeen]:
    before = trail.latest(seq - 1, e.SayRequested, lambda one: one.index != 0)
    known = len(Waits.at(trail, before.seq).turns.taken) if before else 0
    taken = [entry for _, entry in Waits.at(trail, seq).turns.taken]
    return [
        TurnSeen(seq=entry.seq, turn=entry.event.turn, text=entry.event.text, status=entry.event.transcript_status)
        for entry in taken[known:] or taken[-1:]
        if isinstance(entry.event, e.TurnEnded)
    ]


def _calls(trail: Trail, after: int, until: int) -> list[CallSeen]:
    calls: list[CallSeen] = []
    for entry in trail.between(after, until):
        asked = trail.get(entry.cause)
        if asked is None or not isinstance(asked.event, e.CallRequested | e.StepRequested):
            continue
        command = asked.event.command
        seen = CallSeen(
            seq=entry.seq, index=asked.event.index, name=work_name(asked.event), args=command.args, kwargs=command.kwargs
        )
        match entry.event:
            case e.CallCompleted():
                result = decode_value(entry.event.result, f"the result in event {entry.seq}")
                calls.append(msgspec.structs.replace(seen, result=result))
            case e.CallFailed():
                calls.append(msgspec.structs.replace(seen, error=f"{entry.event.type_name}: {entry.event.message}"))
    return calls
