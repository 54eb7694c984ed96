"""Signals: what a wire message means to the core."""

import pytest

from turnlog.core import signals as s

KINDS = [kind for kind in vars(s).values() if isinstance(kind, type) and issubclass(kind, s.Signal) and kind is not s.Signal]


def test_every_signal_is_exported() -> None:
    """__all__ names the base and all signals."""
    assert sorted(s.__all__) == sorted(["Signal", *(kind.__name__ for kind in KINDS)])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_signals_are_frozen_and_keyword_only(kind: type[s.Signal]) -> None:
    """They cross layers: nobody may change one on the way."""
    assert kind.__struct_config__.frozen
    with pytest.raises(TypeError, match="positional"):
        kind("x")
