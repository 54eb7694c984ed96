"""Errors: code, message, hint."""

import re

import pytest

from turnlog.core import errors
from turnlog.core.errors import (
    CODES,
    DefinitionError,
    Fenced,
    LinkClosed,
    MissingExtra,
    StepError,
    TurnlogError,
    WrongExpectedSeq,
)


def test_an_error_shows_its_code_message_and_hint() -> None:
    """What was wrong, where, and what to do: in one text."""
    error = TurnlogError("TL408", "no session 'x'", "list them with `turnlog sessions`")
    assert str(error) == "TL408 no session 'x'\n  list them with `turnlog sessions`"
    assert (error.code, error.message, error.hint) == ("TL408", "no session 'x'", "list them with `turnlog sessions`")


def test_a_code_that_is_not_declared_is_refused() -> None:
    """Codes are added to CODES first."""
    with pytest.raises(ValueError, match="TL999"):
        TurnlogError("TL999", "x")


def test_codes_have_one_form_and_each_a_sentence() -> None:
    """TL and three digits; a meaning that ends with a full stop."""
    for code, meaning in CODES.items():
        assert re.fullmatch(r"TL[1-7]\d\d", code)
        assert meaning.endswith(".")
    assert len(set(CODES.values())) == len(CODES)


def test_every_error_class_is_a_turnlog_error() -> None:
    """One base to catch."""
    classes = [getattr(errors, name) for name in errors.__all__ if name != "CODES"]
    assert all(issubclass(cls, TurnlogError) for cls in classes)


def test_errors_carry_what_a_program_needs() -> None:
    """Fields beside the text."""
    wrong = WrongExpectedSeq("s", 3, 5)
    fenced = Fenced("s", 1, 2)
    closed = LinkClosed(1011, "oops")
    extra = MissingExtra("local", "offline speech")
    step = StepError("KeyError", "'x'", {"a": 1})
    assert (wrong.code, wrong.session, wrong.expected, wrong.actual) == ("TL402", "s", 3, 5)
    assert (fenced.code, fenced.session, fenced.epoch, fenced.actual) == ("TL403", "s", 1, 2)
    assert (closed.code, closed.close_code, closed.reason) == ("TL302", 1011, "oops")
    assert (extra.code, extra.extra, extra.hint) == ("TL601", "local", 'pip install "turnlog[local]"')
    assert (step.code, step.type_name, step.detail, step.data) == ("TL103", "KeyError", "'x'", {"a": 1})
    assert DefinitionError("TL201", "m", "h", field="f").field == "f"


def test_a_link_closed_in_order_says_so() -> None:
    """1000, without a reason."""
    assert str(LinkClosed()) == "TL302 the link was closed (1000)"
