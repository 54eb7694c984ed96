"""Event types: their names and fields are in logs, so they stay."""

from pathlib import Path

import msgspec
import pytest

from turnlog.core import events as e
from turnlog.core.codec import VERSIONS

GOLDEN = Path(__file__).with_name("events.golden")


def golden() -> dict[str, list[str]]:
    """The names and fields that logs hold: `Type: field field …` a line."""
    lines = (line.partition(":") for line in GOLDEN.read_text(encoding="utf-8").splitlines())
    return {name: fields.split() for name, _, fields in lines}


def test_no_event_type_was_renamed_or_removed() -> None:
    """Every name that a log may hold is known; a new type is added to the golden list."""
    assert sorted(e.EVENT_TYPES) == sorted(golden())


@pytest.mark.parametrize("name", sorted(golden()))
def test_no_field_was_renamed_or_removed(name: str) -> None:
    """Fields stay in place; new ones come behind them and are added to the golden list."""
    assert list(e.EVENT_TYPES[name].__struct_fields__) == golden()[name]


@pytest.mark.parametrize("cls", list(e.EVENT_TYPES.values()), ids=lambda cls: cls.__name__)
def test_events_are_frozen_and_keyword_only(cls: type[e.Event]) -> None:
    """A fact cannot be changed, nor made by position."""
    config = cls.__struct_config__
    assert config.frozen
    with pytest.raises(TypeError, match="positional"):
        cls("x")


@pytest.mark.parametrize("cls", list(e.EVENT_TYPES.values()), ids=lambda cls: cls.__name__)
def test_events_say_what_they_mean(cls: type[e.Event]) -> None:
    """Each has a docstring of its own."""
    assert cls.__doc__
    assert cls.__doc__ != e.Event.__doc__


def test_roots_keep_their_numbers() -> None:
    """Causes that are no event are negative numbers in the log."""
    assert {root.name: root.value for root in e.Root} == {"WIRE": -1, "TIMER": -2, "API": -3, "START": -4, "HOST": -5}


def test_wire_types_are_event_types() -> None:
    """The types that the index of meaningful events leaves out exist."""
    assert set(e.EVENT_TYPES) > e.WIRE_TYPES


def test_every_event_type_is_exported() -> None:
    """__all__ leaves none out."""
    assert set(e.EVENT_TYPES) <= set(e.__all__)


def test_versions_name_event_types() -> None:
    """A version is of a type that exists, and above 1."""
    assert set(VERSIONS) <= set(e.EVENT_TYPES)
    assert all(version > 1 for version in VERSIONS.values())


def test_an_event_of_an_early_log_decodes_with_the_fields_it_had() -> None:
    """Only the fields without defaults are needed: those that came later have defaults."""
    early = msgspec.msgpack.encode({"say": "say_1", "status": "played"})
    settled = msgspec.msgpack.decode(early, type=e.SaySettled)
    assert (settled.source, settled.heard_text, settled.error_ms) == ("none", "", 0)
