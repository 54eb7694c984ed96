"""All of a log entry as values that JSON can hold: what commands print with --json, and what the API answers with. Pure."""

from typing import Any

import msgspec

from . import events as e
from .codec import decode, decode_value, to_json
from .ports import Recorded

__all__ = ["EventFacts", "cause_name", "event_facts"]


class EventFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A log entry. ms: since the session's start. cause: the seq of an event, or a root by name. digest, hash: hexadecimal.

    event: its fields; wire bytes as the text they were, else hexadecimal.
    """

    seq: int
    ms: float
    at_ns: int
    cause: int | str
    type: str
    version: int
    epoch: int
    digest: str
    hash: str
    event: dict[str, Any]


def cause_name(cause: int) -> str:
    """The seq of the causing event as "#12", or the name of a root, e.g. "wire"."""
    return f"#{cause}" if cause > 0 else e.Root(cause).name.lower() if cause in set(e.Root) else str(cause)


def event_facts(recorded: Recorded, started_ns: int) -> EventFacts:
    """Everything about a log entry. Raises StoreError TL407 for one that does not decode."""
    event = decode(recorded)
    fields = to_json(event)
    match event:
        case e.CallCompleted():
            fields["result"] = decode_value(event.result, "a recorded value")
        case e.StreamItem():
            fields["item"] = decode_value(event.item, "a recorded value")
        case e.SignalReceived():
            fields["data"] = decode_value(event.data, "a recorded value")
    return EventFacts(
        seq=recorded.seq,
        ms=round((recorded.at_ns - started_ns) / 1e6, 3),
        at_ns=recorded.at_ns,
        cause=recorded.cause if recorded.cause > 0 else cause_name(recorded.cause),
        type=recorded.type,
        version=recorded.version,
        epoch=recorded.epoch,
        digest=recorded.digest.hex(),
        hash=recorded.hash.hex(),
        event=fields,
    )
