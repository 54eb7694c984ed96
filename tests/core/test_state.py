"""State: all folds, each event seen by each that names it."""

import ast
from pathlib import Path

import pytest

from tests.core.driving import START_NS, anatomy
from turnlog.core import events as e
from turnlog.core import folds
from turnlog.core.state import _FOLDED_BY_TOOLS, NOT_FOLDED, State

WIRE = [
    e.TransportReceived(link="c1", n=1, data=b"{}"),
    e.TransportSent(link="c1", n=1, data=b"{}"),
    e.MediaRecorded(track="c1.in", n=1, duration_ms=20, digest=bytes(32), messages=1, first=1),
    e.PeerFaulted(link="c1", code="TL304", message="m"),
    e.Unknown(type="Newer", version=2),
    e.Erased(type="ItemSeeded"),
]


@pytest.mark.parametrize("event", WIRE, ids=lambda event: type(event).__name__)
def test_records_of_the_wire_change_nothing(event: e.Event | e.Unknown | e.Erased) -> None:
    """Nor do unknown types and erased payloads: folds never read them."""
    state = State()
    state.apply(1, START_NS, event)
    assert anatomy(state) == anatomy(State())


def test_the_definition_is_that_of_the_log() -> None:
    """Before SessionStarted there is none to go by."""
    with pytest.raises(ValueError, match="no SessionStarted"):
        _ = State().life.definition


def test_an_impossible_transition_raises() -> None:
    """A log that settles a session twice is a bug, not a state."""
    state = State()
    with pytest.raises(ValueError, match="SessionEnded cannot happen in state 'new'"):
        state.apply(1, START_NS, e.SessionEnded(reason="r"))


def test_no_fold_misses_an_event_that_it_names() -> None:
    """What the state hands to no fold, or to the tools' alone, stands in no other fold's source."""
    for source in Path(folds.__file__).parent.glob("*.py"):
        tree = ast.parse(source.read_text(encoding="utf-8"))
        named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        kept = NOT_FOLDED if source.stem in ("tools", "running") else NOT_FOLDED | _FOLDED_BY_TOOLS
        withheld = {kind.__name__ for kind in kept}
        assert not named & withheld, source.name
