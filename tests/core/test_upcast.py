"""Upcasters: chains of pure functions, refused at once when they do not fit, applied on each read, bytes untouched."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.core import codec
from turnlog.core.codec import Codec
from turnlog.core.errors import DefinitionError, StoreError
from turnlog.core.events import EVENT_TYPES, Erased, Event, Unknown
from turnlog.core.ports import Recorded
from turnlog.core.upcast import Fields, Form, Upcast, Upcasters

__all__: list[str] = []

NONCE = bytes(16)


class Drink(msgspec.Struct, frozen=True):
    """A part of an event."""

    name: str
    ml: int = 0


class CupPoured(Event, frozen=True, kw_only=True):
    """An event in its third version: centilitres became millilitres, then a drink became a struct."""

    drink: Drink
    raw: bytes = b""


class CupEmptied(Event, frozen=True, kw_only=True):
    """What CupDrunk was once called."""

    by: str


TYPES: dict[str, type[Event]] = {"CupPoured": CupPoured, "CupEmptied": CupEmptied}
VERSIONS = {"CupPoured": 3}


def to_ml(fields: Fields) -> Fields:
    """CupPoured v1 -> v2."""
    fields["ml"] = fields.pop("cl") * 10
    return fields


def to_drink(fields: Fields) -> Fields:
    """CupPoured v2 -> v3."""
    return {"drink": {"name": fields["name"], "ml": fields["ml"]}, "raw": fields.get("raw", b"")}


STEPS = (
    Upcast(("CupPoured", 2), ("CupPoured", 3), to_drink),
    Upcast(("CupPoured", 1), ("CupPoured", 2), to_ml),
    Upcast(("CupDrunk", 1), ("CupEmptied", 1), lambda fields: {"by": fields["guest"]}),
)
CUPS = Codec(TYPES, VERSIONS, STEPS)


def stored(type_: str, version: int, fields: Any) -> Recorded:
    """A log entry."""
    return Recorded(7, type_, version, 0, 1, -1, b"", b"", NONCE + msgspec.msgpack.encode(fields))


def same(fields: Fields) -> Fields:
    """An upcaster that changes nothing."""
    return fields


def test_every_older_version_is_read_in_todays_form() -> None:
    """v1 goes through both steps, v2 through one, v3 through none; a renamed type gets its new name."""
    poured = CupPoured(drink=Drink("tea", 200), raw=b"\xff\x00")
    assert CUPS.decode(stored("CupPoured", 1, {"name": "tea", "cl": 20, "raw": b"\xff\x00"})) == poured
    assert CUPS.decode(stored("CupPoured", 2, {"name": "tea", "ml": 200, "raw": b"\xff\x00"})) == poured
    assert CUPS.decode(stored(*CUPS.encode(poured, b"")[:2], poured)) == poured
    assert CUPS.decode(stored("CupDrunk", 1, {"guest": "Ann"})) == CupEmptied(by="Ann")


@given(st.text(), st.integers(0, 1000), st.binary())
def test_stored_bytes_never_change(name: str, cl: int, raw: bytes) -> None:
    """Reading twice gives the same event and leaves the entry as it was."""
    entry = stored("CupPoured", 1, {"name": name, "cl": cl, "raw": raw})
    before = bytes(entry.data or b"")
    assert CUPS.decode(entry) == CUPS.decode(entry) == CupPoured(drink=Drink(name, cl * 10), raw=raw)
    assert entry.data == before


def test_what_is_newer_or_erased_is_not_upcast() -> None:
    """A version or type of the future is Unknown, an erased old event is Erased."""
    assert CUPS.decode(stored("CupPoured", 4, {})) == Unknown(type="CupPoured", version=4)
    assert CUPS.decode(stored("CupDrunk", 2, {})) == Unknown(type="CupDrunk", version=2)
    assert CUPS.decode(stored("Spilled", 1, {})) == Unknown(type="Spilled", version=1)
    assert CUPS.decode(stored("CupPoured", 1, {})._replace(data=None)) == Erased(type="CupPoured")


def test_encode_states_todays_version() -> None:
    """New events carry the current version of their type."""
    assert CUPS.encode(CupPoured(drink=Drink("tea")), NONCE)[:2] == ("CupPoured", 3)
    assert CUPS.encode(CupEmptied(by="Ann"), NONCE)[:2] == ("CupEmptied", 1)


A, B, C = "CupPoured", "CupEmptied", "Gone"


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([((C, 1), (B, 1)), ((C, 1), (A, 3))], "Gone v1 is brought to another form twice"),
        ([((A, 3), (B, 1))], "CupPoured v3 is today's form"),
        ([((A, 4), (B, 1))], "CupPoured v4 is today's form"),
        ([((A, 0), (B, 1))], "CupPoured v0 is no version"),
        ([((C, 1), (B, 0))], "CupEmptied v0 is no version"),
        ([((A, 1), (A, 2))], "CupPoured v2 has no upcaster"),
        ([((A, 2), (A, 3))], "CupPoured v1 has no upcaster"),
        ([((C, 3), (B, 1)), ((C, 1), (B, 1))], "Gone v2 has no upcaster"),
        ([((C, 1), (B, 2))], "Gone v1 leads to CupEmptied v2, which is not known here"),
        ([((C, 1), ("Nowhere", 1))], "Gone v1 leads to Nowhere v1"),
        ([((C, 1), (C, 1))], "Gone v1 comes back to Gone v1"),
        ([((C, 1), ("D", 1)), (("D", 1), (C, 1))], "comes back to"),
        ([((C, 1), (C, 2)), ((C, 2), (C, 1))], "comes back to"),
        ([((C, 1), ("D", 1)), (("D", 1), ("D", 2)), (("D", 2), ("D", 1))], "comes back to"),
    ],
)
def test_steps_that_do_not_fit_are_refused_at_once(steps: list[tuple[Form, Form]], says: str) -> None:
    """Doubled, needless, missing, circular and unknown steps are TL207 and name the form."""
    named = [source for source, _ in steps]
    whole = [Upcast((A, n), (A, n + 1), same) for n in (1, 2) if not any(name == A for name, _ in named)]
    with pytest.raises(DefinitionError) as refused:
        Codec(TYPES, VERSIONS, [*whole, *(Upcast(source, target, same) for source, target in steps)])
    assert refused.value.code == "TL207" and says in refused.value.message and refused.value.hint


def test_a_type_beyond_version_one_needs_upcasters() -> None:
    """Raising a version without saying how old events are read is refused."""
    with pytest.raises(DefinitionError, match="CupPoured v1 has no upcaster"):
        Codec(TYPES, VERSIONS)


FORMS = st.tuples(st.sampled_from("ABC"), st.integers(1, 3))


@given(st.lists(st.tuples(FORMS, FORMS), max_size=6), st.dictionaries(st.sampled_from("AB"), st.integers(1, 3)))
def test_accepted_upcasters_always_end_at_a_current_form(steps: list[tuple[Form, Form]], current: dict[str, int]) -> None:
    """Whatever is accepted: every step's events end at a known type's version of today, each version of it is readable."""
    try:
        accepted = Upcasters([Upcast(source, target, same) for source, target in steps], current)
    except DefinitionError as error:
        assert error.code == "TL207"
        return
    for source, _ in steps:
        assert accepted.apply(source, {})[0] in current
    for name, version in current.items():
        assert all((name, older) in accepted for older in range(1, version)) and (name, version) not in accepted


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda fields: fields["no such field"], "from Old v1 to CupEmptied v1 raised KeyError"),
        (lambda fields: None, "returned NoneType, no dict"),
        (lambda fields: {"by": 12}, "event 7 (Old v1), brought to CupEmptied, does not decode"),
        (lambda fields: {"by": object()}, "event 7 (Old v1), brought to CupEmptied, does not decode"),
    ],
)
def test_an_upcaster_that_fails_is_named(function: Any, says: str) -> None:
    """It raises, returns no fields, or fields that are not of the type: TL415 on reading."""
    cups = Codec({B: CupEmptied}, upcasts=[Upcast(("Old", 1), (B, 1), function)])
    with pytest.raises(StoreError) as refused:
        cups.decode(stored("Old", 1, {}))
    assert refused.value.code == "TL415" and says in refused.value.message


def test_damage_in_an_old_event_is_damage() -> None:
    """Bytes that are no fields are TL407, not the upcaster's fault."""
    for data in (NONCE + b"\xc1", NONCE + b"\x92\x01\x02", b""):
        with pytest.raises(StoreError, match="event 7") as refused:
            CUPS.decode(stored("CupPoured", 1, {})._replace(data=data))
        assert refused.value.code == "TL407"


def test_turnlogs_own_upcasters_fit_its_events() -> None:
    """What the package declares is accepted; importing it proves the same."""
    assert set(codec.VERSIONS) <= set(EVENT_TYPES)
    Codec(EVENT_TYPES, codec.VERSIONS, codec.UPCASTS)
