"""The reference page of states is drawn from the transition tables."""

import re

from tools import gen_states
from turnlog.core.states import SAY, SESSION


def test_the_committed_page_is_the_generated_one() -> None:
    """docs/reference/states.md says what the tables say; `make docs` writes it."""
    assert gen_states.PAGE.read_text(encoding="utf-8") == gen_states.render()


def test_every_transition_is_drawn_and_listed() -> None:
    """An arrow and a row for each, and no other."""
    transitions = {(state.value, event.__name__, after.value) for (state, event), after in SESSION.items()}
    transitions |= {(state.value, event.__name__, after.value) for (state, event), after in SAY.items()}
    page = gen_states.render()
    arrows = {(state, event, after) for state, after, event in re.findall(r"^    (\w+) --> (\w+): (\w+)$", page, re.MULTILINE)}
    rows = set(re.findall(r"^\| (\w+) \| ([A-Z]\w+) \| (\w+) \|$", page, re.MULTILINE))
    assert arrows == rows == transitions
