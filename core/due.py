"""What is due by the state alone: dispatches to the provider, and what the passing of time decides. Live only.

A dispatch is a fact like any other: it is recorded, its append commits, and only then does its message leave.
"""

from collections.abc import Iterator
from typing import Literal

from . import events as e
from .decide import end_turns, heard_words, refused
from .folds.delivery import OpenSay
from .state import State
from .states import SayState, SessionState
from .tool_sends import follow_up_due, tool_deadline, tool_facts, tool_outputs_due

__all__ = [
    "ANSWER_TIMEOUT_S",
    "DISPATCH_TIMEOUT_S",
    "HANDLER_GRACE_S",
    "TRANSCRIPT_TIMEOUT_S",
    "closing",
    "next_deadline",
    "sends_due",
    "timeouts",
]

TRANSCRIPT_TIMEOUT_S = 3
ANSWER_TIMEOUT_S = 10
DISPATCH_TIMEOUT_S = 10  # response.created comes before anything is generated: a provider that is this slow has lost it
REFUSED_PAUSE_S = 1
HANDLER_GRACE_S = 10
_S = 1_000_000_000

Caused = tuple[e.Event, int]  # an event and the seq of its cause


def sends_due(state: State, now_ns: int) -> Iterator[Caused]:
    """Dispatches that the state calls for, in order; each changes the state before the next is looked for."""
    provider = state.links.provider
    if state.life.phase is SessionState.ENDED or _is_hard_ending(state):
        return
    yield from tool_facts(state, now_ns)
    if provider is None or not _owes_provider(state):
        return
    if (owed_since := state.links.configuration_owed) is not None:
        yield e.ConfigurationDispatched(link=provider, settings=state.links.settings), owed_since
    if not state.links.provider_ready:
        return
    yield from tool_outputs_due(state, provider, now_ns)
    while state.relay.owed:
        owed = state.relay.owed[0]
        yield _relayed(provider, owed.event), owed.seq
    yield from follow_up_due(state, provider, now_ns)
    head = _next_say(state)
    if head and now_ns >= _pause_end_ns(state):
        text = head.requested.command.text
        yield e.SayDispatched(say=head.requested.say, attempt=head.attempt + 1, link=provider, text=text), head.seq


def _owes_provider(state: State) -> bool:
    """Whether there is anything that could be dispatched."""
    owed = state.relay.owed or state.tools.model_calls or state.tools.follow_up.owed or state.delivery.says
    return bool(owed) or state.links.configuration_owed is not None


def _relayed(provider: str, owed: e.Event) -> e.Event:
    match owed:
        case e.ItemSeeded():
            return e.ItemForwarded(link=provider, item=owed.item, raw=owed.raw)
        case e.InputCommitAsked():
            return e.InputCommitDispatched(link=provider)
        case e.InputClearAsked():
            return e.InputClearDispatched(link=provider)
        case e.AnswerAsked():
            return e.AnswerDispatched(link=provider, request=owed.request)
    raise ValueError(f"{type(owed).__name__} is not relayed")


def _next_say(state: State) -> OpenSay | None:
    """One mouth: the oldest say, if it is not asked for yet, nothing sounds and somebody listens."""
    head = next(iter(state.delivery.says.values()), None)
    free = bool(state.links.callers) and not state.playout.responses and not _is_hard_ending(state)
    return head if head and head.state is SayState.PENDING and free else None


def _is_hard_ending(state: State) -> bool:
    return state.life.ending is not None and not state.life.ending.drain


def _pause_end_ns(state: State) -> int:
    refused_ns = state.delivery.refused_ns
    return 0 if refused_ns is None else refused_ns + REFUSED_PAUSE_S * _S


def timeouts(state: State, now_ns: int) -> Iterator[Iterator[e.Event]]:
    """What has come to pass because time went by: a group of events for each fact. Each changes the state before the next."""
    if _at_rest(state):
        return
    for head in state.turns.heads():
        if head.status is None and head.committed_ns is not None and now_ns >= head.committed_ns + TRANSCRIPT_TIMEOUT_S * _S:
            yield _late(state, head.item)
    for response, until_ns in list(state.playout.until_ns.items()):
        if now_ns >= until_ns:
            yield _played(state, response)
    if (lost := _dispatched(state)) and now_ns >= lost.dispatched_ns + DISPATCH_TIMEOUT_S * _S:
        yield refused(lost.requested.say, lost.attempt, "no_answer", f"no response within {DISPATCH_TIMEOUT_S} s")
    for link, asked_ns in list(_unanswered(state).items()):
        if now_ns >= asked_ns + ANSWER_TIMEOUT_S * _S:
            yield iter([e.AnswerTimedOut(link=link)])
    gone_ns = state.links.gone_ns
    if gone_ns is not None:
        yield _settle_all(state, "failed", "caller_gone", now_ns)
        if state.life.ending is None and now_ns >= gone_ns + HANDLER_GRACE_S * _S:
            yield iter([e.SessionEnding(reason="caller_gone")])


def _at_rest(state: State) -> bool:
    """Whether the clock can bring nothing: no turn is on its way, nothing is owed or sounds, nobody has gone or asked."""
    turns = state.turns
    idle = not (turns.open or turns.asks or state.delivery.says or state.playout.until_ns)
    return (idle and state.links.gone_ns is None) or state.life.phase is SessionState.ENDED


def _dispatched(state: State) -> OpenSay | None:
    """The say that was asked for and has not begun. One mouth: there is at most one."""
    return next((say for say in state.delivery.says.values() if say.state is SayState.DISPATCHED), None)


def _unanswered(state: State) -> dict[str, int]:
    """The asks that wait for the handler. While a say is open the next one to begin may be the answer."""
    return {} if state.delivery.says else state.turns.asks


def _late(state: State, item: str) -> Iterator[e.Event]:
    yield e.InputTranscribed(item=item, transcript="", status="late")
    yield from end_turns(state)


def _played(state: State, response: str) -> Iterator[e.Event]:
    say = state.delivery.by_response(response)
    sounding = state.playout.responses[response]
    yield e.PlayoutEnded(response=response)
    if say is None or sounding.ended is None:
        return
    ended = sounding.ended
    heard_ms = 0 if sounding.started_ns is None else ended.generated_ms
    status, code = _outcome(ended, heard_ms)
    # Words that came as text were delivered as they are; words of audio only with the audio.
    words = ended.transcript if heard_ms or not ended.generated_ms else ""
    yield e.SaySettled(
        say=say.requested.say,
        status=status,
        code=code,
        generated_ms=ended.generated_ms,
        heard_ms=heard_ms,
        source="clock" if heard_ms else "none",
        heard_text=words or (say.requested.command.text if heard_ms and status == "played" else ""),
    )


def _outcome(ended: e.ResponseEnded, heard_ms: int) -> tuple[Literal["played", "interrupted", "failed"], str]:
    match ended.status:
        case "completed" if ended.generated_ms and not heard_ms:
            return "failed", "not_delivered"
        case "completed" if not ended.generated_ms and not ended.transcript:
            return "failed", "no_output"
        case "completed":
            return "played", ended.code
        case "failed":
            return "failed", ended.code or "failed"
    return "interrupted", ended.code or ended.status


def _settle_all(state: State, status: Literal["failed", "cancelled"], code: str, now_ns: int) -> Iterator[e.Event]:
    """Settle every open say: what sounded was heard so far, what waited was not heard."""
    for say in list(state.delivery.says.values()):
        sounding = state.playout.responses.get(say.response or "")
        heard_ms = sounding.heard_ms(now_ns) if sounding else 0
        if sounding and say.response:
            yield e.PlayoutEnded(response=say.response)
        generated = sounding.ended.generated_ms if sounding and sounding.ended else heard_ms
        words = sounding.ended.transcript if sounding and sounding.ended else ""
        yield e.SaySettled(
            say=say.requested.say,
            status="interrupted" if heard_ms else status,
            code=code,
            generated_ms=generated,
            heard_ms=heard_ms,
            source="clock" if heard_ms else "none",
            heard_text=heard_words(words, heard_ms, generated) if generated else "",
        )


def closing(state: State, now_ns: int) -> Iterator[e.Event]:
    """The end of a session that is ending: first what will not be spoken is settled, then, in another call, it ends.

    Two calls, because the handler sees how its says ended, and what it does then must not come after SessionEnded.
    """
    ending = state.life.ending
    if ending is None or state.life.phase is not SessionState.ENDING:
        return
    if state.delivery.says:
        if not ending.drain or not state.links.callers:
            yield from _settle_all(state, "cancelled", ending.reason, now_ns)
    else:
        yield e.SessionEnded(reason=ending.reason, code=ending.code, detail=ending.detail)


def next_deadline(state: State) -> int | None:
    """When `timeouts` or `sends_due` next has something to say because of the clock (ns), or None."""
    tools_ns = None if state.life.phase is SessionState.ENDED else tool_deadline(state)
    if _at_rest(state):
        return tools_ns
    waiting = [head.committed_ns for head in state.turns.heads() if head.committed_ns is not None and head.status is None]
    due = [
        *([] if tools_ns is None else [tools_ns]),
        *(committed_ns + TRANSCRIPT_TIMEOUT_S * _S for committed_ns in waiting),
        *state.playout.until_ns.values(),
        *(asked_ns + ANSWER_TIMEOUT_S * _S for asked_ns in _unanswered(state).values()),
    ]
    if lost := _dispatched(state):
        due.append(lost.dispatched_ns + DISPATCH_TIMEOUT_S * _S)
    # Strategy: only what can happen then is a deadline. A pause that ends while the say waits for something else is none,
    # or the live loop would find it in the past and never rest.
    if state.delivery.refused_ns is not None and state.links.provider_ready and _next_say(state):
        due.append(_pause_end_ns(state))
    if state.links.gone_ns is not None and state.life.ending is None:
        due.append(state.links.gone_ns + HANDLER_GRACE_S * _S)
    return min(due, default=None)
