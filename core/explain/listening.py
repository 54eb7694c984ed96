"""The waiter while no words are owed to the caller: the user speaks, the handler works, or both wait for the other."""

from .. import events as e
from ..commands import Site
from ..due import TRANSCRIPT_TIMEOUT_S
from ..folds.turns import OpenInput
from .moment import Moment
from .waiter import Case, S, brief
from .waits import Work, site_of, work_name

__all__ = ["handler_waits", "user_first"]

_KINDS: dict[type[Work], str] = {e.CallRequested: "the tool", e.StepRequested: "the step", e.StreamRequested: "the stream"}


# --- the user's words ---


def user_first(moment: Moment) -> Case | None:
    """The user's words on their way to a turn, unless the handler has something else to do before it could take them."""
    waits, state = moment.waits, moment.state
    if (waits.work or waits.turns.lying) and not waits.turns.waiting:
        return None
    heads = state.turns.heads() or list(state.turns.open.values())
    if heads and not (state.model_answers and state.tools.answering):
        return _contribution(moment, heads[0])
    return None


def _contribution(moment: Moment, one: OpenInput) -> Case:
    item = one.item
    site = _input_site(moment)
    if one.committed_ns is not None and one.status is None:
        until_ns = one.committed_ns + TRANSCRIPT_TIMEOUT_S * S
        since = moment.latest(e.InputCommitted, lambda event: event.item == item)
        return Case("transcription", "provider", f"the words of {item} are being transcribed", since, until_ns, site)
    if one.committed_ns is not None:
        since = moment.latest(e.InputTranscribed, lambda event: event.item == item)
        return Case("turn", "engine", f"the words of {item} are known; its turn is due", since, site=site)
    if one.end_ms is not None or one.start_ms is None:
        since = moment.latest_of(e.SpeechStopped, e.InputTranscribed)
        return Case("end_of_turn", "provider", f"the user fell silent; {item} is not committed", since, site=site)
    since = moment.latest(e.SpeechStarted, lambda event: event.item == item)
    return Case("speaking", "user", "the user is speaking", since, site=site)


def _input_site(moment: Moment) -> Site | None:
    return next((site_of(entry.event) for entry in moment.waits.turns.waiting.values()), None)


# --- the handler, what it started, and the user whose turn it is ---


def handler_waits(moment: Moment) -> Case:
    return _started(moment) or _model(moment) or _listening(moment) or _idle(moment)


def _started(moment: Moment) -> Case | None:
    """What the handler began outside of itself and waits for."""
    queues = (moment.waits.turns, *moment.waits.signals.values())
    listens = max((entry.seq for queue in queues for entry in queue.waiting.values()), default=0)
    for index, work in moment.waits.work.items():
        if isinstance(work.event, e.StreamRequested) and work.seq < listens:
            continue  # it was left halfway, for all the log tells: its function may never end
        failed = moment.waits.failed.get(index)
        what = f"{_KINDS[type(work.event)]} {work_name(work.event)} has not returned" + (
            f"; {failed} attempts failed" if failed else ""
        )
        return Case("tool", "tool", what, work, site=work.event.site)
    for update in moment.waits.updates.values():
        what = "the provider has not confirmed session.update()"
        return Case("update", "provider", what, update, site=update.event.site)
    return None


def _listening(moment: Moment) -> Case | None:
    """The handler waits for the user, or for a signal; for both: the user is the one who is there."""
    waits, seeded = moment.waits, moment.state.turns.seeded
    for entry in waits.turns.waiting.values():
        limit_s = entry.event.command.timeout_s if isinstance(entry.event, e.InputRequested) else None
        until_ns = None if limit_s is None else entry.at_ns + round(limit_s * S)
        since = max(entry, moment.latest_of(e.PlayoutEnded, e.SaySettled), key=lambda one: one.seq)
        unasked = f"; {len(seeded)} typed items lie there, and no answer was asked for" if seeded else ""
        what = f"the handler listens and nobody speaks{unasked}"
        return Case("input", "user", what, since, until_ns, entry.event.site)
    for name, queue in waits.signals.items():
        for entry in queue.waiting.values():
            return Case("signal", "program", f"the handler waits for the signal {name!r}", entry, site=entry.event.site)
    return None


def _idle(moment: Moment) -> Case:
    """The handler has all that it asked for. What it awaits then (a sleep, a lock, an event) is not in the log."""
    waits = moment.waits
    if waits.turns.lying:
        turn = waits.turns.lying[0]
        what = "a turn was delivered and the handler has not taken it"
        if isinstance(turn.event, e.TurnEnded):
            what = f'turn {turn.event.turn} "{brief(turn.event.text)}" was delivered and the handler has not taken it'
        return Case("handler", "handler", what, turn)
    since = max(waits.seen or moment.trail.first, waits.issued or moment.trail.first, key=lambda one: one.seq)
    what = f"the handler neither listens nor asks for anything since {type(since.event).__name__}"
    return Case("handler", "handler", what, since)


def _model(moment: Moment) -> Case | None:
    """Where the model answers: a tool that it called, or the answer that it owes."""
    state = moment.state
    if not state.model_answers:
        return None
    for call_id, call in state.tools.model_calls.items():
        if call.answered is None:
            since = moment.latest(e.ToolRequested, lambda one, call_id=call_id: one.call_id == call_id)  # type: ignore[misc] # B023's remedy
            return Case("tool", "tool", f"the model called {call.requested.name}, which has not returned", since)
    if state.tools.follow_up.owed and state.links.callers and (theirs := state.tools.client_calls.waiting):
        since = moment.latest(e.ClientToolCalled, lambda one: one.call_id == theirs)
        name = since.event.name if isinstance(since.event, e.ClientToolCalled) else "tool"
        what = f"the model called the client's {name}, without an output yet"
        return Case("client_tool", "caller", what, since, state.tools.client_calls.until_ns)
    begun = moment.trail.latest(moment.seq, e.ResponseStarted)
    if state.tools.answering and begun:
        return Case("provider_audio", "provider", "the model's answer has begun without audio yet", begun)
    asked = moment.latest_of(e.InputCommitted, e.AnswerDispatched, e.AnswerRefused)
    if asked.seq > (begun.seq if begun else moment.trail.first.seq):
        if isinstance(asked.event, e.AnswerRefused):
            return Case("answer_refused", "provider", f"the provider refused to answer ({asked.event.code})", asked)
        return Case("provider_response", "provider", "the model is to answer and has not begun", asked)
    return None
