"""Decisions on what those who play a response say of it: the callers, and a provider that plays it itself. Live only."""

from collections.abc import Iterator

from . import events as e
from . import signals as s
from .playing import Heads, acknowledged, cut, delivered
from .saying import end_playout
from .state import State

__all__ = ["all_delivered", "caller_hears", "plays_itself", "response_ended"]


def plays_itself(state: State, heads: Heads, link: str, signal: s.ProviderBuffer, now_ns: int) -> Iterator[e.Event]:
    """A provider that plays to the caller itself tells where it is."""
    one = state.playout.responses.get(signal.response)
    begins = one is not None and one.started_ns is None and one.cut is None
    yield e.PlayoutBuffered(link=link, response=signal.response, state=signal.state)
    if one is None:  # nobody is to hear it: see calling.clear_due
        return
    match signal.state:
        case "started" if begins:
            yield e.AudioStarted(response=signal.response)
        case "stopped" if one.ended:
            yield from all_delivered(state, heads, signal.response, now_ns)
        case "cleared" if one.cut:
            yield from end_playout(state, heads, signal.response)
        case "cleared":
            talking = next((item for item, _ in state.floor.talking()), "")
            yield from cut(state, heads, signal.response, "speech" if talking else "caller", talking)


def caller_hears(state: State, heads: Heads, link: str, signal: s.Signal) -> Iterator[e.Event]:
    """What a caller says about its own ear: that it wants no more, or how much it has played."""
    match signal:
        case s.CancelRequested() | s.OutputCleared():
            which = signal.response if isinstance(signal, s.CancelRequested) else ""
            yield e.CallerCancelled(link=link, response=which)
            for response in state.playout.sounding():
                if which in ("", response):
                    yield from cut(state, heads, response, "caller")
        case s.PlayoutReported() if signal.response in state.playout.responses or state.model_answers:
            ack = e.PlayoutAcknowledged(
                link=link,
                response=signal.response,
                item=signal.item,
                content_index=signal.content_index,
                played_ms=signal.played_ms,
                source=signal.source,
                halted=signal.halted,
            )
            yield from acknowledged(state, heads, ack, final=signal.final)
            known = state.playout.responses.get(signal.response)
            if known and known.cut and known.cut.reason in ("speech", "caller"):
                yield from end_playout(state, heads, signal.response)


def all_delivered(state: State, heads: Heads, response: str, now_ns: int) -> Iterator[e.Event]:
    """Enter that all of a finished response is with the callers, if it is."""
    one = state.playout.responses.get(response)
    if one is not None and one.cut is None:
        head = heads(response)
        if not head.waiting:
            yield delivered(response, head, now_ns)
            if one.buffered is not None and one.buffered.state == "stopped":  # it was played out: nothing can cut it any more
                yield from end_playout(state, heads, response)


def response_ended(signal: s.ResponseFinished) -> e.ResponseEnded:
    """The fact that a provider has ended a response."""
    return e.ResponseEnded(
        response=signal.response,
        status=signal.status,
        code=signal.code,
        message=signal.message,
        generated_ms=signal.generated_ms,
        transcript=signal.transcript,
        usage=signal.usage,
        parts=signal.parts,
    )
