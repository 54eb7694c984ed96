"""Keys that are remembered for a while: what comes again under one of them is the same fact. Bounded, by the log alone."""

from typing import TypeVar

__all__ = ["MOST_KEYS", "remember"]

MOST_KEYS = 1000
V = TypeVar("V")


def remember(kept: dict[str, V], key: str, value: V) -> V | None:
    """Keep one more, unless its key is kept already, and forget the oldest beyond MOST_KEYS: what that stood for, else None."""
    kept.setdefault(key, value)
    return kept.pop(next(iter(kept))) if len(kept) > MOST_KEYS else None
