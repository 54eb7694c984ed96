"""The changed handler."""

from pathlib import Path

from turnlog.cli.retell import edit_handler
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.codec import encode
from turnlog.core.ports import Recorded
from turnlog.examples import hotel

SITE = c.Site("x.py", 1)


def recorded(*texts: str) -> list[Recorded]:
    """A log's says."""
    says = [e.SayRequested(index=n, say=f"s{n}", command=c.Say(text=text), site=SITE) for n, text in enumerate(texts, 1)]
    encoded = [encode(say, bytes(16)) for say in says]
    return [Recorded(n, type_, version, 0, 1, 1, b"", b"", data) for n, (type_, version, data) in enumerate(encoded, 1)]


def test_one_line_of_a_copy_is_changed(tmp_path: Path) -> None:
    """A say of the middle is worded differently, in the file and line that are named; nothing else changes."""
    log = recorded("Front desk, how can I help you?", "Room 12 is free.", "Breakfast is from seven to ten, in the garden.")
    edited = edit_handler(hotel, "frontdesk", log, tmp_path)
    assert edited is not None and edited.after == "Certainly. Breakfast is from seven to ten, in the garden."
    before = Path(hotel.__file__).read_text().splitlines()
    after = edited.path.read_text().splitlines()
    assert [n for n, pair in enumerate(zip(before, after, strict=True), 1) if pair[0] != pair[1]] == [edited.line]
    assert edited.after in after[edited.line - 1]
    assert edited.handler.__module__ == "hotel_edited" and edited.handler is not hotel.frontdesk


def test_a_log_without_literal_says_changes_nothing(tmp_path: Path) -> None:
    """Says that were put together at run time stand nowhere in the source."""
    assert edit_handler(hotel, "frontdesk", recorded("Room 12 is free. It costs 90 euros."), tmp_path) is None
    assert list(tmp_path.iterdir()) == []
