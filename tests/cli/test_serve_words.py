"""What `turnlog serve` says of its address."""

import pytest

from turnlog.cli.serve import unheard_outside


@pytest.mark.parametrize(("host", "keys", "says"), [("0.0.0.0", (), True), ("0.0.0.0", ("k",), False), ("127.0.0.1", (), False)])
def test_an_open_address_without_a_key_is_named(host: str, keys: tuple[str, ...], says: bool) -> None:
    """Whoever listens to the world and lets nobody in learns why."""
    assert ("--key" in unheard_outside(host, keys)) is says
