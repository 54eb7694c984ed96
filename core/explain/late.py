"""Why an answer came late: the time from the end of the user's speech to the first audio, in stretches that add up to it.

Up to the turn the way is one of the provider's messages; from the turn to the say it is walked backwards along the causes,
so that what ran beside it does not count; from the say to the audio it is the way of the say.
"""

from typing import NamedTuple, assert_never

import msgspec

from .. import events as e
from ..commands import Site
from ..errors import StoreError
from .silent import why_silent
from .speech_end import Basis, speech_end
from .tiling import Stretch, StretchName, Tiling
from .trail import AnyEvent, Entry, Trail
from .waits import DELIVERED, Work, site_of, work_name

__all__ = ["Late", "Stretch", "why_late"]


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """The gap behind a turn. gap_ms is the sum of the stretches' ms.

    `basis` is what the beginning rests on, `ended_by` the event at the end: AudioStarted; ResponseEnded where the answer is
    text; SaySettled where the say was never heard; "" where the log ends before the answer.
    """

    turn: int
    text: str
    basis: Basis
    from_ns: int
    to_ns: int
    gap_ms: int
    unexplained_ms: int
    ended_by: str
    until_seq: int
    say: str
    response: str
    stretches: list[Stretch]


class _Answer(NamedTuple):
    """What ended the silence, and what it was part of. end: None if nothing did."""

    end: Entry[AnyEvent] | None
    say: Entry[e.SayRequested] | None
    response: str


def why_late(trail: Trail, turn: int | None = None) -> Late:
    """The gap behind a turn, the last one if none is named. Raises StoreError TL418 for a turn that is not there."""
    ended = trail.latest(trail.last.seq, e.TurnEnded, lambda one: turn is None or one.turn == turn)
    if ended is None:
        which = "no turn has ended" if turn is None else f"no turn {turn}"
        raise StoreError("TL418", f"{which} in this log", "`turnlog show SESSION --type TurnEnded` lists them")
    answer = _answer(trail, ended)
    begun = speech_end(trail, ended)
    tiling = Tiling(begun.voice_ns)
    tiling.add("silence", begun.silence_ns, 0)
    if answer.response and answer.say is None:
        _by_the_model(trail, tiling, ended, answer)
    else:
        _to_the_turn(trail, tiling, ended)
        _to_the_say(trail, tiling, ended, answer)
    if answer.say:
        _to_the_audio(trail, tiling, answer.say, answer)
    _rest(trail, tiling, answer)
    return Late(
        turn=ended.event.turn,
        text=ended.event.text,
        basis=begun.basis,
        from_ns=tiling.start_ns,
        to_ns=tiling.now_ns,
        gap_ms=sum(one.ms for one in tiling.stretches),
        unexplained_ms=sum(one.ms for one in tiling.stretches if one.name == "unexplained"),
        ended_by=type(answer.end.event).__name__ if answer.end else "",
        until_seq=answer.end.seq if answer.end else 0,
        say=answer.say.event.say if answer.say else "",
        response=answer.response,
        stretches=tiling.stretches,
    )


# --- what answered ---


def _answer(trail: Trail, turn: Entry[e.TurnEnded]) -> _Answer:
    """The first answer that was heard; else the first that was asked for; else none."""
    if trail.state_at(turn.seq).model_answers:
        return _models_answer(trail, turn)
    says = [
        Entry(*one[:3], one.event) for one in trail.between(turn.seq, trail.last.seq) if isinstance(one.event, e.SayRequested)
    ]
    outcomes = [(_heard(trail, one), one) for one in says]
    heard = [(end, response, one) for (end, response), one in outcomes if end]
    if heard:
        end, response, say = min(heard, key=lambda one: one[0].seq)
        return _Answer(end, say, response)
    if not says:
        return _Answer(None, None, "")
    (_, response), say = outcomes[0]
    settled = trail.next(say.seq, e.SaySettled, lambda one: one.say == say.event.say)
    return _Answer(settled, say, response)


def _heard(trail: Trail, say: Entry[e.SayRequested]) -> tuple[Entry[AnyEvent] | None, str]:
    """The first audio of a say, or its text where it has none; and the last response that spoke it."""
    response = ""
    for entry in trail.between(say.seq, trail.last.seq):
        match entry.event:
            case e.ResponseStarted(say=say.event.say):
                response = entry.event.response
            case e.AudioStarted(response=one) if one == response:
                return entry, response
            case e.ResponseEnded(response=one, generated_ms=0) if one == response and entry.event.transcript:
                return entry, response
    return None, response


def _models_answer(trail: Trail, turn: Entry[e.TurnEnded]) -> _Answer:
    asked = _committed(trail, turn)
    begun: set[str] = set()
    for entry in trail.between(asked.seq if asked else turn.seq, trail.last.seq):
        match entry.event:
            case e.ResponseStarted(say=None, response=response):
                begun.add(response)
            case e.AudioStarted(response=response) | e.ResponseEnded(response=response, generated_ms=0) if response in begun:
                if isinstance(entry.event, e.AudioStarted) or entry.event.transcript:
                    return _Answer(entry, None, response)
    return _Answer(None, None, min(begun, default=""))


def _committed(trail: Trail, turn: Entry[e.TurnEnded]) -> Entry[e.InputCommitted] | None:
    return trail.latest(turn.seq, e.InputCommitted, lambda one: one.item == turn.event.item)


# --- the way ---


def _to_the_turn(trail: Trail, tiling: Tiling, turn: Entry[e.TurnEnded]) -> None:
    item = turn.event.item
    if stopped := trail.latest(turn.seq, e.SpeechStopped, lambda one: one.item == item):
        tiling.add("detection", stopped.at_ns, stopped.seq)
    if committed := _committed(trail, turn):
        tiling.add("commit", committed.at_ns, committed.seq)
    if known := trail.latest(turn.seq, e.InputTranscribed, lambda one: one.item == item):
        tiling.add("transcription", known.at_ns, known.seq, known.event.status)
    tiling.add("order", turn.at_ns, turn.seq)


class _Step(NamedTuple):
    """A stretch that ended with `entry`, found on the way back."""

    name: StretchName
    entry: Entry[AnyEvent]
    about: str
    site: Site | None


def _to_the_say(trail: Trail, tiling: Tiling, turn: Entry[e.TurnEnded], answer: _Answer) -> None:
    """From the turn to the say, or to the last thing that the handler did."""
    target: Entry[AnyEvent] | None = answer.say or _last_activity(trail, trail.last.seq, turn.seq)
    steps: list[_Step] = []
    while target is not None and target.seq > turn.seq:
        step, target = _back(trail, target, turn)
        steps.append(step)
    for step in reversed(steps):
        tiling.add(step.name, step.entry.at_ns, step.entry.seq, step.about, step.site)


def _back(trail: Trail, entry: Entry[AnyEvent], turn: Entry[e.TurnEnded]) -> tuple[_Step, Entry[AnyEvent] | None]:
    """The stretch that this event of the handler's side ended, and where it began (None: before the turn)."""
    cause = trail.get(entry.cause) if 0 < entry.cause < entry.seq else None
    site = site_of(entry.event)
    match entry.event:
        case e.SayRequested(say=say) if say.startswith(e.FILLER):
            return _Step("filler", entry, str(entry.event.command.metadata.get("filler", "")), None), cause
        case e.CallCompleted() | e.CallFailed() | e.StreamItem() | e.StreamEnded() if cause and isinstance(cause.event, Work):
            failed = " (failed)" if isinstance(entry.event, e.CallFailed) else ""
            return _Step(_kind(cause.event), entry, work_name(cause.event) + failed, cause.event.site), cause
        case e.UpdateApplied(index=index) | e.UpdateRefused(index=index) if update := trail.latest(
            entry.seq, e.UpdateRequested, lambda one: one.index == index
        ):
            return _Step("update", entry, "", update.event.site), update
        case e.SignalReceived(name=name):
            return _Step("signal", entry, name, None), _last_activity(trail, entry.seq - 1, turn.seq)
        case e.SaySettled(say=say) if asked := trail.latest(entry.seq, e.SayRequested, lambda one: one.say == say):
            return _Step("earlier say", entry, asked.event.command.text, asked.event.site), asked
        case e.TimerFired():
            return _Step("timer", entry, "", None), _last_activity(trail, entry.seq - 1, turn.seq)
        case e.TurnEnded(turn=later):
            return _Step("later turn", entry, f"turn {later}", None), None
        case _ if site and cause:
            return _Step("handler", entry, "", site), cause
    return _Step("unexplained", entry, "", None), None


def _kind(work: Work) -> StretchName:
    match work:
        case e.CallRequested():
            return "call"
        case e.StepRequested():
            return "step"
        case e.StreamRequested():
            return "stream"
    assert_never(work)


def _last_activity(trail: Trail, until: int, after: int) -> Entry[AnyEvent] | None:
    """The last thing that the handler asked for or saw."""
    found = [one for one in trail.between(after, until) if isinstance(one.event, DELIVERED) or site_of(one.event)]
    return found[-1] if found else None


_UNBLOCKS: dict[type[AnyEvent], StretchName] = {
    e.PlayoutCut: "mouth",
    e.PlayoutEnded: "mouth",
    e.LinkReady: "provider link",
    e.ConfigurationConfirmed: "confirmation",
    e.TurnEnded: "user speaks",
    e.TurnDiscarded: "user speaks",
}


_LINES: dict[str, StretchName] = {"provider": "provider link", "caller": "caller", "voice": "voice line"}


def _to_the_audio(trail: Trail, tiling: Tiling, say: Entry[e.SayRequested], answer: _Answer) -> None:
    """From the request of a say to its first audio: what blocked it, its attempts, the provider."""
    name, stream = say.event.say, say.event.command.stream
    asked = False
    for entry in trail.between(say.seq, answer.end.seq if answer.end else trail.last.seq):
        match entry.event:
            case e.TurnEnded() | e.TurnDiscarded() if asked or say.event.command.on_stale != "hold":
                pass
            case e.LinkOpened(side=side) if not asked:
                tiling.add(_LINES[side], entry.at_ns, entry.seq)
            case event if not asked and type(event) in _UNBLOCKS:
                tiling.add(_UNBLOCKS[type(event)], entry.at_ns, entry.seq)
            case e.StreamItem(index=index) | e.StreamEnded(index=index) if index == stream and not asked:
                tiling.extend("words", entry.at_ns, entry.seq)
            case e.SayDispatched(say=one, attempt=attempt) if one == name:
                tiling.add("pause" if attempt > 1 else "dispatch", entry.at_ns, entry.seq)
                asked = True
            case e.SayRefused(say=one) if one == name:
                tiling.add("refusal", entry.at_ns, entry.seq, entry.event.code)
            case e.ResponseStarted(say=one) if one == name:
                tiling.add("provider response", entry.at_ns, entry.seq)
            case e.AudioStarted() | e.ResponseEnded() if answer.end and entry.seq == answer.end.seq:
                tiling.add("provider audio", entry.at_ns, entry.seq)


def _by_the_model(trail: Trail, tiling: Tiling, turn: Entry[e.TurnEnded], answer: _Answer) -> None:
    """From the commit on: the provider answers by itself, its tools in between."""
    item, asked = turn.event.item, _committed(trail, turn)
    if stopped := trail.latest(turn.seq, e.SpeechStopped, lambda one: one.item == item):
        tiling.add("detection", stopped.at_ns, stopped.seq)
    if asked:
        tiling.add("commit", asked.at_ns, asked.seq)
    names: dict[str, str] = {}
    for entry in trail.between(asked.seq if asked else turn.seq, answer.end.seq if answer.end else trail.last.seq):
        match entry.event:
            case e.AnswerDispatched():
                tiling.add("dispatch", entry.at_ns, entry.seq)
            case e.AnswerRefused():
                tiling.add("refusal", entry.at_ns, entry.seq, entry.event.code)
            case e.ResponseStarted(say=None):
                tiling.add("provider response", entry.at_ns, entry.seq)
            case e.ToolRequested():
                names[entry.event.call_id] = entry.event.name
                tiling.add("provider response", entry.at_ns, entry.seq)
            case e.ToolAnswered():
                tiling.add("call", entry.at_ns, entry.seq, names.get(entry.event.call_id, ""))
            case e.AudioStarted() | e.ResponseEnded() if answer.end and entry.seq == answer.end.seq:
                tiling.add("provider audio", entry.at_ns, entry.seq)


def _rest(trail: Trail, tiling: Tiling, answer: _Answer) -> None:
    """What is left when the log, or the say, ended without being heard."""
    end = answer.end or trail.last
    if end.at_ns > tiling.now_ns:
        waiter = why_silent(trail, seq=end.seq - 1 if answer.end and end.seq > trail.first.seq else end.seq)
        tiling.add("waiting", end.at_ns, answer.end.seq if answer.end else 0, f"{waiter.owner}: {waiter.name}", waiter.site)
