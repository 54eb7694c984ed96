"""Decisions on a direct call: the provider holds it with the caller itself, and we follow it by a sideband. Live only.

Its client speaks to the provider past us. What comes of that is seen, never heard: what it typed, what it asked the model for,
and that it has changed the configuration under us.
"""

from collections.abc import Iterator
from typing import Any

from . import events as e
from . import signals as s
from .folds.call import REASSERTED_MOST, governed
from .playing import Heads, cut
from .saying import end_playout, unknown_outcomes
from .state import State

__all__ = [
    "changed",
    "clear_due",
    "decide_call",
    "is_foreign",
    "lost_sight",
    "overridden",
    "reassert_ns",
    "typed",
    "typed_turn",
]

REFUSED = "client_update"  # the reason of a session that ends because its client has changed the configuration
_MINUTE_NS = 60_000_000_000


def decide_call(
    state: State, event: e.CallOpened | e.CallRefused | e.CallEnded, settings: dict[str, Any]
) -> Iterator[e.Event]:
    """What the provider says of the call itself; its end is told once. settings: what its caller asked for with the offer."""
    if not isinstance(event, e.CallEnded) or state.call.id == event.call_id:
        yield event
    if isinstance(event, e.CallEnded) and set(state.links.callers) - {state.call.link}:
        before = state.life.ending
        if before is None or before.drain:  # those who are left have no provider any more
            yield e.SessionEnding(reason="caller_gone", detail="the call has ended")
    if isinstance(event, e.CallOpened) and settings:
        yield e.SettingsAsked(link=event.link, settings=settings)


# --- the sideband is gone ---


def lost_sight(state: State, heads: Heads, own: list[str]) -> Iterator[e.Event]:
    """Nobody knows what becomes of what was asked for or sounds: what is missed is not told again.

    own: the model's responses before it was lost; those that had not begun to sound are forgotten by now.
    """
    for response in own:
        if response not in state.playout.responses:
            yield e.PlayoutEnded(response=response, interrupted=True)
    for response in list(state.playout.responses):
        yield from cut(state, heads, response, "outcome_unknown")
        if response in state.playout.responses:
            yield from end_playout(state, heads, response)
    yield from unknown_outcomes(state)


# --- what its client does past us ---


def changed(state: State, session: dict[str, Any]) -> list[str]:
    """Which of these are not as they were when the provider last confirmed a configuration of ours."""
    now = governed(session)
    return [key for key, value in state.call.effective.items() if key in now and now[key] != value]


def overridden(state: State, link: str, session: dict[str, Any]) -> Iterator[e.Event]:
    """A session.updated that none of ours explains. One that changes nothing of what matters is the client's affair."""
    if not (parts := changed(state, session)):
        return
    now = governed(session)
    yield e.ConfigurationOverridden(link=link, changed=parts, effective={key: now[key] for key in parts})
    if state.life.definition.client_updates == "refuse" and state.life.ending is None:
        detail = f"its client has changed {', '.join(parts)}, and the session refuses that"
        yield e.SessionEnding(reason=REFUSED, code="TL313", detail=detail)


def reassert_ns(state: State) -> int | None:
    """From when on our configuration may be sent again; None where nothing calls for it.

    Strategy: five times in a minute. A client that sends its own again at once would never let go, and neither would we.
    """
    call = state.call
    if not call.overridden or state.life.definition.client_updates == "refuse":
        return None
    return call.reasserted_ns[0] + _MINUTE_NS if len(call.reasserted_ns) == REASSERTED_MOST else 0


def typed(state: State, link: str, signal: s.ItemAdded) -> Iterator[e.Event]:
    """The caller has typed something, past us."""
    theirs = signal.kind == "message" and signal.role == "user" and not signal.has_audio
    if theirs and signal.text and signal.item not in state.call.ours:
        yield e.ItemSeeded(link=link, item=signal.item, role="user", text=signal.text)


def is_foreign(state: State, signal: s.ResponseBegan) -> bool:
    """Whether a response was asked for past us where the model is not to speak: it is stopped on arrival.

    One beside the conversation is its client's affair, unless it sounds.
    """
    return bool(state.call.id) and signal.say is None and signal.in_band and not state.model_answers


def typed_turn(state: State, signal: s.ResponseBegan) -> Iterator[e.Event]:
    """What was typed is a turn once an answer to it was asked for."""
    seeded = state.turns.seeded if state.call.id and signal.say is None and signal.in_band else []
    if text := "\n".join(text for _, text in seeded if text.strip()):
        yield e.TurnEnded(
            turn=state.turns.count + 1, item=seeded[-1][0], text=text, channel="text", transcript_status="none"
        )


# --- a cut's third step ---


def clear_due(state: State) -> int | None:
    """What calls for output_audio_buffer.clear: the provider plays what was cut, or what nobody wants to hear."""
    call = state.call
    if not (call.id and call.playing and call.clear_owed):
        return None
    one = state.playout.responses.get(call.playing)
    return call.clear_owed if one is None or one.cut else None
