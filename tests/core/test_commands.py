"""Commands: what replay compares, and what may stand in them."""

import enum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.core import commands as c
from turnlog.core.commands import MAX_DEPTH, encode_command, plain
from turnlog.core.errors import HandlerError


class Colour(enum.StrEnum):
    """A str that is more than a str."""

    RED = "red"


class Celsius(float):
    """A float that is more than a float."""


def test_commands_of_equal_content_have_equal_bytes_whatever_the_order_of_keys() -> None:
    """Keyword order at a call site is no difference."""
    one = c.Call(target="t", kwargs={"a": 1, "b": 2})
    other = c.Call(target="t", kwargs={"b": 2, "a": 1})
    assert encode_command(one) == encode_command(other)


def test_kinds_of_commands_are_part_of_their_bytes() -> None:
    """An End and a Return, or a Call without arguments, never look alike."""
    kinds = [c.Input(), c.Say(text="x"), c.Call(target="x"), c.End(reason="x"), c.Abandon(command=1), c.Return()]
    kinds.append(c.Fail(type_name="x", message="x"))
    assert len({encode_command(command) for command in kinds}) == len(kinds)
    assert [msgspec.msgpack.decode(encode_command(command))["type"] for command in kinds] == [
        *("input", "say", "call", "end", "abandon", "return", "raise")
    ]


def test_bytes_of_commands_stay_for_ever() -> None:
    """Recorded sessions are compared with these bytes."""
    assert encode_command(c.Say(text="Hi")) == b"\x82\xa4text\xa2Hi\xa4type\xa3say"
    assert encode_command(c.Input(timeout_s=2.0)) == b"\x82\xa9timeout_s\xcb@\x00\x00\x00\x00\x00\x00\x00\xa4type\xa5input"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_plain_comes_back_equal(value: object) -> None:
    """plain accepts exactly what the log gives back."""
    kept = plain(value, "x")
    assert kept == value
    assert msgspec.msgpack.decode(encode_command(c.Call(target="t", args=[kept])))["args"] == [value]


def test_tuples_become_lists_at_every_depth() -> None:
    """What the handler sees live is what a replay sees."""
    assert plain(((1, (2,)), {"a": (3,)}), "x") == [[1, [2]], {"a": [3]}]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({1, 2}, "x is set"),
        (object(), "x is object"),
        ({"a": [1, {2}]}, r"x\.a\[1\] is set"),
        ({1: "a"}, "x has the key 1, which is no string"),
        ({"a": {b"k": 1}}, r"x\.a has the key b'k'"),
        (2**64, "x is an integer beyond 64 bit"),
        ([-(2**63) - 1], r"x\[0\] is an integer beyond 64 bit"),
        (Colour.RED, "x is Colour"),
        ({Colour.RED: 1}, "has the key <Colour.RED: 'red'>"),
        (Celsius(1.5), "x is Celsius"),
        ("\ud800", "x holds a lone surrogate"),
        ({"\ud800": 1}, "x holds a lone surrogate"),
        (1j, "x is complex"),
        (bytearray(b"a"), "x is bytearray"),
    ],
)
def test_what_cannot_come_back_the_same_is_refused_with_its_path(value: object, text: str) -> None:
    """TL105 names the part, before anything is issued."""
    with pytest.raises(HandlerError, match=text) as caught:
        plain(value, "x")
    assert caught.value.code == "TL105"
    assert caught.value.hint


def test_a_value_that_holds_itself_is_refused() -> None:
    """A cycle is an error, not an exhausted stack."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(HandlerError, match=f"more than {MAX_DEPTH} levels"):
        plain(endless, "x")


def test_the_deepest_plain_value_survives_the_log() -> None:
    """MAX_DEPTH levels are accepted, encoded and decoded."""
    value: Any = "core"
    for _ in range(MAX_DEPTH):
        value = [value]
    back = msgspec.msgpack.decode(encode_command(c.Call(target="t", args=[plain(value, "x")])))
    assert back["args"] == [value]
