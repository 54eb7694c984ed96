"""What is due by the state alone: dispatches to the provider, and what the passing of time decides. Live only.

A dispatch is a fact like any other: it is recorded, its append commits, and only then does its message leave.
"""

from collections.abc import Iterator

from . import events as e
from .decide import end_turns, heard_words
from .folds.delivery import OpenSay
from .state import State
from .states import SayState, SessionState

__all__ = ["ANSWER_TIMEOUT_S", "HANDLER_GRACE_S", "TRANSCRIPT_TIMEOUT_S", "closing", "next_deadline", "sends_due", "timeouts"]

TRANSCRIPT_TIMEOUT_S = 3
ANSWER_TIMEOUT_S = 10
REFUSED_PAUSE_S = 1
HANDLER_GRACE_S = 10
_S = 1_000_000_000

Caused = tuple[e.Event, int]  # an event and the seq of its cause


def sends_due(state: State, now_ns: int) -> Iterator[Caused]:
    """Dispatches that the state calls for, in order; each changes the state before the next is looked for."""
    provider = state.links.provider
    if provider is None or state.life.phase is SessionState.ENDED:
        return
    if not state.links.provider_configured:
        yield e.ConfigurationDispatched(link=provider, settings=state.links.settings), e.Root.WIRE
    if not state.links.provider_ready:
        return
    while state.relay.owed:
        owed = state.relay.owed[0]
        yield _relayed(provider, owed.event), owed.seq
    yield from _tool_outputs_due(state, provider)
    head = next(iter(state.delivery.says.values()), None)
    if head and _may_speak(state, head, now_ns):
        text = head.requested.command.text
        yield e.SayDispatched(say=head.requested.say, attempt=head.attempt + 1, link=provider, text=text), head.seq


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


def _tool_outputs_due(state: State, provider: str) -> Iterator[Caused]:
    latest = 0
    for call_id, call in list(state.tools.model_calls.items()):
        latest = max(latest, call.answered_seq)
        if call.answered and not call.dispatched:
            yield e.ToolOutputDispatched(link=provider, call_id=call_id, output=call.answered.output), call.answered_seq
    if state.tools.follow_up_due():
        yield e.AnswerDispatched(link=provider), latest


def _may_speak(state: State, head: OpenSay, now_ns: int) -> bool:
    """One mouth: a say is asked for when nothing sounds, somebody listens, and no refusal is fresh."""
    ending = state.life.ending
    refused_ns = state.delivery.refused_ns
    return (
        head.state is SayState.PENDING
        and bool(state.links.callers)
        and not state.playout.responses
        and (ending is None or ending.drain)
        and (refused_ns is None or now_ns >= refused_ns + REFUSED_PAUSE_S * _S)
    )


def timeouts(state: State, now_ns: int) -> Iterator[e.Event]:
    """What has come to pass because time went by."""
    for head in state.turns.heads():
        if head.status is None and head.committed_ns is not None and now_ns >= head.committed_ns + TRANSCRIPT_TIMEOUT_S * _S:
            yield e.InputTranscribed(item=head.item, transcript="", status="late")
            yield from end_turns(state)
    for response, until_ns in list(state.playout.until_ns.items()):
        if now_ns >= until_ns:
            yield from _played(state, response, now_ns)
    for link, asked_ns in list(state.turns.asks.items()):
        if now_ns >= asked_ns + ANSWER_TIMEOUT_S * _S:
            yield e.AnswerTimedOut(link=link)
    gone_ns = state.links.gone_ns
    if gone_ns is not None:
        yield from _settle_all(state, "failed", "caller_gone", now_ns)
        if state.life.ending is None and now_ns >= gone_ns + HANDLER_GRACE_S * _S:
            yield e.SessionEnding(reason="caller_gone")


def _played(state: State, response: str, now_ns: int) -> Iterator[e.Event]:
    say = state.delivery.by_response(response)
    sounding = state.playout.responses[response]
    yield e.PlayoutEnded(response=response)
    if say is None or sounding.ended is None:
        return
    ended = sounding.ended
    words = ended.transcript or say.requested.command.text
    yield e.SaySettled(
        say=say.requested.say,
        status="played" if ended.status == "completed" else "interrupted",
        code=ended.code,
        generated_ms=ended.generated_ms,
        heard_ms=ended.generated_ms,
        source="clock" if ended.generated_ms else "none",
        heard_text=words,
    )


def _settle_all(state: State, status: str, code: str, now_ns: int) -> Iterator[e.Event]:
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
            status="interrupted" if heard_ms else status,  # type: ignore[arg-type] # a Literal chosen by the two callers
            code=code,
            generated_ms=generated,
            heard_ms=heard_ms,
            source="clock" if heard_ms else "none",
            heard_text=heard_words(words, heard_ms, generated) if generated else "",
        )


def closing(state: State, now_ns: int) -> Iterator[e.Event]:
    """The end of a session that is ending: says drained or settled, then SessionEnded.

    Called only when the handler has seen every event so far, so that nothing it still asked for is lost.
    """
    ending = state.life.ending
    if ending is None or state.life.phase is not SessionState.ENDING:
        return
    if not ending.drain or not state.links.callers:
        yield from _settle_all(state, "cancelled", ending.reason, now_ns)
    if not state.delivery.says:
        yield e.SessionEnded(reason=ending.reason, code=ending.code, detail=ending.detail)


def next_deadline(state: State) -> int | None:
    """When `timeouts` or `sends_due` next has something to say because of the clock (ns), or None."""
    due = [
        *(h.committed_ns + TRANSCRIPT_TIMEOUT_S * _S for h in state.turns.open.values() if h.committed_ns and h.status is None),
        *state.playout.until_ns.values(),
        *(asked_ns + ANSWER_TIMEOUT_S * _S for asked_ns in state.turns.asks.values()),
    ]
    if state.delivery.refused_ns is not None:
        due.append(state.delivery.refused_ns + REFUSED_PAUSE_S * _S)
    if state.links.gone_ns is not None and state.life.ending is None:
        due.append(state.links.gone_ns + HANDLER_GRACE_S * _S)
    return min(due, default=None)
