"""The transition tables: what they hold happens, what they do not hold is an error."""

from itertools import product

import pytest

from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.definition import SessionDefinition
from turnlog.core.states import SAY, SESSION, SayState, SessionState, step

SAY_EVENTS: list[e.Event] = [
    e.SayRequested(index=1, say="say_1", command=c.Say(text="x"), site=c.Site("f", 1)),
    e.SayDispatched(say="say_1", attempt=1, link="p1"),
    e.SayRefused(say="say_1", attempt=1, code="busy"),
    e.ResponseStarted(response="r", say="say_1", attempt=1),
    e.ResponseEnded(response="r", status="completed"),
    e.SaySettled(say="say_1", status="played"),
]
SESSION_EVENTS: list[e.Event] = [
    e.SessionStarted(session="s", target="a.b", definition=SessionDefinition(name="b", provider="local", transport="websocket")),
    e.SessionEnding(reason="r"),
    e.SessionEnded(reason="r"),
]


@pytest.mark.parametrize(("state", "event"), [*product(SayState, SAY_EVENTS)], ids=lambda x: getattr(x, "name", type(x).__name__))
def test_a_say_takes_the_transitions_of_its_table_only(state: SayState, event: e.Event) -> None:
    """An absent transition raises and names state and event."""
    if (state, type(event)) in SAY:
        assert step(SAY, state, event) is SAY[state, type(event)]
    else:
        with pytest.raises(ValueError, match=f"{type(event).__name__} cannot happen in state {state.value!r}"):
            step(SAY, state, event)


@pytest.mark.parametrize(
    ("state", "event"), [*product(SessionState, SESSION_EVENTS)], ids=lambda x: getattr(x, "name", type(x).__name__)
)
def test_a_session_takes_the_transitions_of_its_table_only(state: SessionState, event: e.Event) -> None:
    """An absent transition raises and names state and event."""
    if (state, type(event)) in SESSION:
        assert step(SESSION, state, event) is SESSION[state, type(event)]
    else:
        with pytest.raises(ValueError, match=f"{type(event).__name__} cannot happen in state {state.value!r}"):
            step(SESSION, state, event)


def test_a_say_can_be_settled_from_wherever_it_is_open() -> None:
    """No open state is a trap: a loss settles it from there."""
    for state in set(SayState) - {SayState.SETTLED}:
        assert SAY[state, e.SaySettled] is SayState.SETTLED


def test_nothing_follows_a_terminal_state() -> None:
    """A settled say and an ended session have no transition."""
    assert not [key for key in SAY if key[0] is SayState.SETTLED]
    assert not [key for key in SESSION if key[0] is SessionState.ENDED]


def test_every_state_is_reached() -> None:
    """No state stands in the enumeration alone."""
    assert {SayState.PENDING, *SAY.values()} == set(SayState)
    assert {SessionState.NEW, *SESSION.values()} == set(SessionState)
