"""What is due by the state alone: dispatches to the provider, and what the passing of time decides. Live only.

A dispatch is a fact like any other: it is recorded, its append commits, and only then does its message leave.
"""

from collections.abc import Iterator

from . import barging
from . import events as e
from .awaiting import awaited_deadline, decide_waiting, is_awaited
from .calling import clear_due, reassert_ns
from .configuring import configuration, configuration_owed, mouth_is_ours
from .decide import end_turns
from .echoes import speaking
from .folds.delivery import OpenSay
from .folds.relay import Owed
from .heads import unbegun_until_ns
from .playing import STALL_S, Heads, cut, delivered, ends_ns
from .saying import HOLD_S, dispatches, end_playout, line_for, next_say, refused, settle_all, spoken_out
from .state import State
from .states import SayState, SessionState
from .tool_sends import follow_up_due, tool_deadline, tool_facts, tool_outputs_due

__all__ = [
    "DISPATCH_TIMEOUT_S",
    "HANDLER_GRACE_S",
    "READY_TIMEOUT_S",
    "REFUSED_PAUSE_S",
    "TRANSCRIPT_TIMEOUT_S",
    "Looked",
    "closing",
    "next_deadline",
    "sends_due",
    "timeouts",
]

TRANSCRIPT_TIMEOUT_S = 3
DISPATCH_TIMEOUT_S = 10  # response.created comes before anything is generated: a provider that is this slow has lost it
READY_TIMEOUT_S = 30  # a provider that has confirmed nothing of its configuration by then never will
REFUSED_PAUSE_S = 1
HANDLER_GRACE_S = 10
_S = 1_000_000_000

Caused = tuple[e.Event, int]  # an event and the seq of its cause
Looked = dict[str, int]
"""Response -> when media of it had last come, the last time somebody looked: the folds never see media."""


def sends_due(state: State, now_ns: int) -> Iterator[Caused]:
    """Dispatches that the state calls for, in order; each changes the state before the next is looked for."""
    provider = state.links.provider
    if state.life.phase is SessionState.ENDED:
        return
    if not _is_hard_ending(state):
        yield from tool_facts(state, now_ns)
    if not _owes(state):
        return
    yield from _reducing(state, provider)
    if _is_hard_ending(state):
        return
    if provider is not None:
        yield from _to_provider(state, provider, now_ns)
    if now_ns >= _pause_end_ns(state) and mouth_is_ours(state):
        yield from dispatches(state, now_ns)


def _to_provider(state: State, provider: str, now_ns: int) -> Iterator[Caused]:
    """What goes to the provider beside says and stops."""
    if (owed_since := configuration_owed(state, now_ns)) is not None:
        yield configuration(state, provider), owed_since
    if not state.links.provider_ready:
        return
    yield from tool_outputs_due(state, provider, now_ns)
    while state.relay.owed:
        owed = state.relay.owed[0]
        yield _relayed(provider, owed), owed.seq
    yield from follow_up_due(state, provider, now_ns)


def _owes(state: State) -> bool:
    """Whether there may be something to send. Most rounds of a session at rest have nothing."""
    playout, tools = state.playout, state.tools
    owed = state.relay.owed or tools.model_calls or tools.follow_up.owed or state.delivery.says
    stops = playout.responses or playout.unheard or playout.repairs
    of_call = state.call.playing or state.call.overridden
    return bool(owed or stops or of_call) or state.links.configuration_owed is not None or state.links.answer_held


def _reducing(state: State, provider: str | None) -> Iterator[Caused]:
    """Stops, each by the line that its response comes by, and what the provider's history must not say any more."""
    for link, response, seq in state.playout.cancels():
        if line := link or provider:
            yield e.CancelDispatched(link=line, response=response), seq
    if provider is not None and (unwanted := clear_due(state)) is not None:
        yield e.OutputClearDispatched(link=provider), unwanted
    while provider is not None and state.playout.repairs and not _is_hard_ending(state):  # else nobody reads it any more
        one = state.playout.repairs[0]
        if one.heard_ms:
            truncated = e.TruncateDispatched(
                link=provider, item=one.item, content_index=one.content_index, audio_end_ms=one.heard_ms
            )
            yield truncated, one.seq
        else:
            yield e.ItemDeleteDispatched(link=provider, item=one.item), one.seq


def _relayed(provider: str, owed: Owed) -> e.Event:
    event = owed.event
    match event:
        case e.ItemSeeded():
            return e.ItemForwarded(link=provider, item=event.item, raw=event.raw, previous=owed.previous)
        case e.SaySettled():
            return _forwarded(provider, owed, "assistant", "output_text", event.heard_text)
        case e.TurnEnded():
            return _forwarded(provider, owed, "user", "input_text", event.text)
        case e.InputCommitAsked():
            return e.InputCommitDispatched(link=provider)
        case e.InputClearAsked():
            return e.InputClearDispatched(link=provider)
        case e.AnswerAsked():
            return e.AnswerDispatched(link=provider, request=event.request)
    raise ValueError(f"{type(event).__name__} is not relayed")


def _forwarded(provider: str, owed: Owed, role: str, kind: str, text: str) -> e.ItemForwarded:
    raw = {"id": owed.item, "type": "message", "role": role, "content": [{"type": kind, "text": text}]}
    return e.ItemForwarded(link=provider, item=owed.item, raw=raw, previous=owed.previous)


def _is_hard_ending(state: State) -> bool:
    return state.life.ending is not None and not state.life.ending.drain


def _pause_end_ns(state: State) -> int:
    """Until when a refused say waits: for the end of the response in the conversation that blocks it, else a second."""
    refused_ns = state.delivery.refused_ns
    if refused_ns is None:
        return 0
    blocked = any(one.in_band for one in state.playout.unheard.values())
    return refused_ns + (STALL_S if blocked else REFUSED_PAUSE_S) * _S


def timeouts(state: State, heads: Heads, now_ns: int, looked: Looked) -> Iterator[Iterator[e.Event]]:
    """What has come to pass because time went by: a group of events for each fact. Each changes the state before the next."""
    if _at_rest(state):
        return
    for head in state.turns.heads():
        if head.status is None and head.committed_ns is not None and now_ns >= head.committed_ns + TRANSCRIPT_TIMEOUT_S * _S:
            yield _late(state, heads, head.item)
    yield from _playouts(state, heads, now_ns, looked)
    if (due_ns := barging.due_ns(state)) is not None and now_ns >= due_ns:
        yield barging.interrupt(state, heads, now_ns)
    yield barging.confirm_heard_out(state, now_ns)
    yield spoken_out(state)
    if (lost := _dispatched(state)) and now_ns >= lost.dispatched_ns + DISPATCH_TIMEOUT_S * _S:
        yield _unanswered_say(state, lost)
    for link, asked_ns in list(_unanswered(state).items()):
        if now_ns >= asked_ns + state.life.definition.answer_timeout_s * _S:
            yield iter([e.AnswerTimedOut(link=link)])
    if (mute_ns := _mute_ns(state)) is not None and now_ns >= mute_ns:
        detail = f"the provider has confirmed no session within {READY_TIMEOUT_S} s"
        yield iter([e.SessionEnding(reason="provider_lost", code="no_answer", detail=detail)])
    yield from decide_waiting(state, heads, now_ns)
    gone_ns = state.links.gone_ns
    if gone_ns is not None:
        yield settle_all(state, heads, state.links.left)
        if state.life.ending is None and now_ns >= gone_ns + HANDLER_GRACE_S * _S:
            yield iter([e.SessionEnding(reason=state.links.left)])


def _playouts(state: State, heads: Heads, now_ns: int, looked: Looked) -> Iterator[Iterator[e.Event]]:
    for response, one in list(state.playout.responses.items()):
        if one.ended and not (one.delivered or one.cut):
            head = heads(response)
            if head.parts and one.buffered is None and head.source == "buffer_event" and not head.waiting:
                yield cut(state, heads, response, "stalled")  # its provider has never begun to play it
            elif not head.waiting:
                yield iter([delivered(response, head, now_ns)])
        elif one.ended is None and one.cut is None and now_ns >= looked.get(response, one.began_ns) + STALL_S * _S:
            looked[response] = max(one.began_ns, heads(response).arrived_ns)
            if now_ns >= looked[response] + STALL_S * _S:
                yield cut(state, heads, response, "stalled")
        over_ns = ends_ns(one)
        if over_ns is not None and now_ns >= over_ns:
            looked.pop(response, None)
            yield end_playout(state, heads, response)


def _unanswered_say(state: State, say: OpenSay) -> Iterator[e.Event]:
    yield from refused(state, say, "no_answer", f"no response within {DISPATCH_TIMEOUT_S} s")


def _at_rest(state: State) -> bool:
    """Whether the clock can bring nothing: no turn is on its way, nothing is owed or sounds, nobody has gone or asked."""
    turns = state.turns
    idle = not (turns.open or turns.asks or state.delivery.says or state.playout.responses or state.floor.speech)
    idle = idle and not state.call.overridden
    someone = state.links.gone_ns is None and state.links.awaited is None
    return (idle and someone and _mute_ns(state) is None) or state.life.phase is SessionState.ENDED


def _mute_ns(state: State) -> int | None:
    """When a provider that was reached and never became ready counts as lost."""
    links = state.links
    waits = links.provider is not None and not links.provider_ready and state.life.ending is None
    return links.provider_ns + READY_TIMEOUT_S * _S if waits else None


def _dispatched(state: State) -> OpenSay | None:
    """The say that was asked for and has not begun. One mouth: there is at most one."""
    return next((say for say in state.delivery.says.values() if say.state is SayState.DISPATCHED), None)


def _unanswered(state: State) -> dict[str, int]:
    """The asks that wait for the handler. While a say is open the next one to begin may be the answer."""
    return {} if state.delivery.says else state.turns.asks


def _late(state: State, heads: Heads, item: str) -> Iterator[e.Event]:
    yield e.InputTranscribed(item=item, transcript="", status="late")
    yield from end_turns(state, heads)


def closing(state: State, heads: Heads) -> Iterator[e.Event]:
    """The end of a session that is ending: first what will not be spoken is settled, then, in another call, it ends.

    Two calls, because the handler sees how its says ended, and what it does then must not come after SessionEnded.
    """
    ending = state.life.ending
    if ending is None or state.life.phase is not SessionState.ENDING:
        return
    if state.delivery.says:
        if not ending.drain or not (state.links.callers or is_awaited(state)):
            yield from settle_all(state, heads, ending.reason)
    elif ending.drain and state.playout.sounding() and state.links.callers and state.links.provider:
        return  # the model's own words are heard to their end
    elif state.playout.responses:  # what was heard of them is a fact, too
        yield from settle_all(state, heads, ending.reason)
    else:
        yield e.SessionEnded(reason=ending.reason, code=ending.code, detail=ending.detail)


def next_deadline(state: State, looked: Looked) -> int | None:
    """When `timeouts` or `sends_due` next has something to say because of the clock (ns), or None."""
    tools_ns = None if state.life.phase is SessionState.ENDED else tool_deadline(state)
    if _at_rest(state):
        return tools_ns
    waiting = [head.committed_ns for head in state.turns.heads() if head.committed_ns is not None and head.status is None]
    due = [
        *([] if tools_ns is None else [tools_ns]),
        *(committed_ns + TRANSCRIPT_TIMEOUT_S * _S for committed_ns in waiting),
        *(asked_ns + state.life.definition.answer_timeout_s * _S for asked_ns in _unanswered(state).values()),
    ]
    due += awaited_deadline(state)
    for response, one in state.playout.responses.items():
        if (over_ns := ends_ns(one)) is not None:
            due.append(over_ns)
        elif one.ended and one.buffered is None and state.call.link:
            due.append(unbegun_until_ns(one))
        elif one.ended is None:
            due.append(looked.get(response, one.began_ns) + STALL_S * _S)
    if (due_ns := barging.due_ns(state)) is not None:
        due.append(due_ns)
    if lost := _dispatched(state):
        due.append(lost.dispatched_ns + DISPATCH_TIMEOUT_S * _S)
    # Strategy: only what can happen then is a deadline. A pause that ends while the say waits for something else is none,
    # or the live loop would find it in the past and never rest.
    if not _is_hard_ending(state) and mouth_is_ours(state) and (say := next_say(state)) and line_for(state, say):
        due += _holds_end(state)
    if (mute_ns := _mute_ns(state)) is not None:
        due.append(mute_ns)
    if (again_ns := reassert_ns(state)) and state.links.provider_ready and not _is_hard_ending(state):
        due.append(again_ns)
    if state.links.gone_ns is not None and state.life.ending is None:
        due.append(state.links.gone_ns + HANDLER_GRACE_S * _S)
    return min(due, default=None)


def _holds_end(state: State) -> list[int]:
    """When the clock lets a say go that is ready: after a refusal, and when speech has gone on for too long."""
    ends = [] if state.delivery.refused_ns is None else [_pause_end_ns(state)]
    say = next_say(state)
    if say and say.command.on_stale == "hold" and (heard := speaking(state)):
        ends.append(max(one.began_ns for one in heard) + HOLD_S * _S)
    return [max(ends)] if ends else []
