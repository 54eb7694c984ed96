"""The reference page of states is drawn from the transition tables."""

import re

from tools import gen_states
from turnlog.core.states import SAY, SESSION


def test_the_committed_page_is_the_generated_one() -> None:
    """docs/reference/states.md says what the tables say; `make docs` writes it."""
    assert gen_states.PAGE.read_text(encoding="utf-8") == gen_states.render()


def test_every_transition_is_drawn_and_listed() -> None:
    """A row and a place on an arrow for each, and no other; no two arrows lead from one state to the same other."""
    transitions = {(state.value, event.__name__, after.value) for (state, event), after in SESSION.items()}
    transitions |= {(state.value, event.__name__, after.value) for (state, event), after in SAY.items()}
    page = gen_states.render()
    drawn = re.findall(r"^    (\w+) --> (\w+): ([\w, ]+)$", page, re.MULTILINE)
    arrows = {(state, event, after) for state, after, events in drawn for event in events.split(", ")}
    assert len({(page.count(f"    {state} --> {after}:"), state, after) for state, after, _ in drawn}) == len(drawn)
    rows = set(re.findall(r"^\| (\w+) \| ([A-Z]\w+) \| (\w+) \|$", page, re.MULTILINE))
    assert arrows == rows == transitions
