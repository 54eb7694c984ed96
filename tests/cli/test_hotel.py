"""The example's own helpers."""

import pytest

from turnlog.examples import hotel


@pytest.mark.parametrize(("words", "nights"), [("a room for two nights?", 2), ("3 nights", 3), ("a room", 1), ("seven", 7)])
def test_nights_are_the_first_number(words: str, nights: int) -> None:
    """In words or digits; one night if none is named."""
    assert hotel.nights_in(words) == nights


async def test_a_room_costs_by_the_night() -> None:
    """The tool's price is for the whole stay."""
    assert await hotel.find_room(2) == {"room": 12, "price": 180}
