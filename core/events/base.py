"""The base of all events, their named causes, and what stands for those of no known type."""

from enum import IntEnum

import msgspec

__all__ = [
    "Erased",
    "Event",
    "Root",
    "Unknown",
]


class Root(IntEnum):
    """Causes that are no event of this log."""

    WIRE = -1  # a message arrived
    TIMER = -2  # a deadline passed
    API = -3  # the embedding program asked
    START = -4  # the session began
    HOST = -5  # something outside finished: a tool, a link, the handler's task


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events."""


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """An event type this version does not know: kept, chained, skipped by folds."""

    type: str
    version: int


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """An event whose payload was erased; its digest still holds the chain."""

    type: str
