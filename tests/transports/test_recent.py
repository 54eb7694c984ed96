"""What a connection remembers of names that are over."""

from turnlog.transports.realtime.recent import REMEMBERED, Recent


def test_the_last_names_are_remembered() -> None:
    """The oldest goes where there are too many; a name that comes again takes no place of another."""
    recent = Recent()
    for n in range(REMEMBERED + 1):
        recent.add(f"item_{n}")
        recent.add(f"item_{n}")
    assert "item_0" not in recent
    assert all(f"item_{n}" in recent for n in range(1, REMEMBERED + 1))
