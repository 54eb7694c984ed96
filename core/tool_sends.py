"""What tools call for by the state alone: outputs and the follow-up, fillers, cancellations. Live only.

The order that the protocol wants: outputs go after the response.done of the response that called, in the order of its calls;
then the model is asked to go on, once, and not while a response runs, the user speaks, or the provider answers anyway. Where the
response called tools of the client's own, too, their outputs are waited for (folds/client_calls.py).
"""

from collections.abc import Iterator

from . import commands as c
from . import events as e
from .folds.running import Running
from .state import State
from .states import SayState
from .tool_errors import CANCELLED, told

__all__ = ["ANSWER_LOST_S", "MAX_FOLLOW_UPS", "follow_up_due", "tool_deadline", "tool_facts", "tool_outputs_due"]

ANSWER_LOST_S = 10  # response.created comes before anything is generated: a provider that is this slow has lost the request
REFUSED_PAUSE_S = 1
MAX_FOLLOW_UPS = 5
_MS = 1_000_000
_S = 1_000_000_000

Caused = tuple[e.Event, int]  # an event and the seq of its cause


def tool_facts(state: State, now_ns: int) -> Iterator[Caused]:
    """Calls that the user's speech cancels, and the filler that a slow one has spoken. Needs no provider."""
    for key, call in list(state.tools.running.calls.items()):
        if not call.interrupted:
            continue
        if isinstance(key, int):
            yield e.CallFailed(index=key, type_name="Cancelled", message=CANCELLED), call.interrupted
        else:
            yield e.ToolAnswered(call_id=key, output=told("cancelled", CANCELLED), ok=False), call.interrupted
    slow = _slowest(state)
    if slow and now_ns >= _filler_ns(state, slow):
        rules = slow.rules
        say = c.Say(text=rules.filler, when="drop", metadata={"filler": rules.name})
        yield e.SayRequested(index=0, say=f"{e.FILLER}{slow.call}", command=say, site=c.Site("", 0)), slow.seq


def tool_outputs_due(state: State, provider: str, now_ns: int) -> Iterator[Caused]:
    """The outputs that may go now. Before what callers gave: an answer that they ask for then knows the outputs."""
    due_ns = _outputs_ns(state)
    if due_ns is None or now_ns < due_ns:
        return
    for call in state.tools.to_dispatch():
        assert call.answered is not None  # or it were not to be dispatched
        output = call.answered.output
        yield e.ToolOutputDispatched(link=provider, call_id=call.requested.call_id, output=output), call.answered_seq


def follow_up_due(state: State, provider: str, now_ns: int) -> Iterator[Caused]:
    """The request that lets the model go on with the outputs it has."""
    due_ns = _follow_up_ns(state)
    if due_ns is not None and now_ns >= due_ns:
        follow_up = state.tools.follow_up
        yield e.AnswerDispatched(link=provider, request=follow_up.request), follow_up.owed


def tool_deadline(state: State) -> int | None:
    """When one of these next has something to say because of the clock (ns), or None."""
    slow = _slowest(state)
    due = [_outputs_ns(state), _follow_up_ns(state), _filler_ns(state, slow) if slow else None]
    return min((at_ns for at_ns in due if at_ns is not None), default=None)


def _outputs_ns(state: State) -> int | None:
    """From when on the outputs that there are may go; None while they wait for more than the clock.

    Strategy: an output that is sent while another response runs enters the conversation only behind it.
    """
    tools = state.tools
    if not tools.model_calls or tools.answering or not _can_send(state) or not tools.to_dispatch():
        return None
    return _lost_ns(state)


def _lost_ns(state: State) -> int:
    """When the last request for an answer that has not begun counts as lost; 0 if there is none."""
    asked = state.tools.follow_up.asked
    return max(asked.values()) + ANSWER_LOST_S * _S if asked else 0


def _follow_up_ns(state: State) -> int | None:
    """From when on the follow-up may be asked for; None while it waits for more than the clock."""
    follow_up, lull, life = state.tools.follow_up, state.tools.lull, state.life
    if not follow_up.owed or follow_up.refusals >= MAX_FOLLOW_UPS or not state.model_answers or life.ending:
        return None
    if follow_up.answering or lull.speaking or not _can_send(state) or _is_saying(state):
        return None
    paused_ns = 0 if follow_up.refused_ns is None else follow_up.refused_ns + REFUSED_PAUSE_S * _S
    client_ns = state.tools.client_calls.until_ns if state.links.callers else 0  # who has gone gives no output
    return max(lull.answer_by_ns, paused_ns, _lost_ns(state), client_ns)


def _can_send(state: State) -> bool:
    """Whether the provider is there, and the session not at a hard end."""
    ending = state.life.ending
    return state.links.provider is not None and state.links.provider_ready and (ending is None or ending.drain)


def _is_saying(state: State) -> bool:
    """One mouth: a say that was asked for, or for which the model was told to be silent, is heard to its end first."""
    says = state.delivery.says.values()
    return any(say.state is not SayState.PENDING or state.links.answer_held for say in says)


def _slowest(state: State) -> Running | None:
    """The call for which a filler would be spoken first, if one could be: nothing sounds, is to sound, or is being said."""
    tools = state.tools
    if not tools.running.calls:
        return None
    waiting = [call for call in tools.running.calls.values() if call.rules.filler and not call.filled and not call.interrupted]
    if not waiting or state.life.ending or not (state.links.callers and _can_send(state)):
        return None
    if state.playout.sounding() or state.delivery.says or tools.lull.speaking:
        return None
    return min(waiting, key=lambda call: (_filler_ns(state, call), call.seq))


def _filler_ns(state: State, call: Running) -> int:
    """It is spoken when the tool has run for as long as declared, and the line been silent for as long."""
    lull = state.tools.lull
    return max(max(call.at_ns, lull.quiet_ns) + call.rules.after_ms * _MS, lull.answer_by_ns, _lost_ns(state))
