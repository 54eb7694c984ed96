"""Drafts to rows: the numbers, digests and hashes an append adds. Pure; every store uses it.

Strategy: an append is chained on the caller's side, before it is queued. Measured: the work is the same in either thread
(about 3 us an event), but on the writer's it would fight the event loop for the interpreter lock, be done again
on every retry, and let one session's malformed draft reach its neighbours' transaction.
"""

from collections.abc import Sequence
from operator import index
from typing import TypeAlias

from ..core.chain import digest, link
from ..core.errors import StoreError
from ..core.ports import Draft, Head, Segment

__all__ = ["EventRow", "MediaRow", "chained", "placed"]

EventRow: TypeAlias = tuple[int, int, str, int, int, int, int, bytes, bytes, bytes]
"""sid, then schema.EVENT_COLUMNS: seq, type, version, at_ns, epoch, cause, digest, hash, data."""

MediaRow: TypeAlias = tuple[int, str, int, int, int, int, str, bytes, bytes]
"""sid, then schema.MEDIA_COLUMNS: track, n, first_seq, t0_ns, dur_ns, codec, digest, data."""


def chained(head: Head, drafts: Sequence[Draft]) -> tuple[list[EventRow], Head]:
    """The rows of these drafts after `head`, and the head after them. Raises StoreError TL406 for what is no draft."""
    session, sid, epoch, seq, previous = head
    rows: list[EventRow] = []
    add = rows.append
    try:
        for type_, version, at_ns, cause, data in drafts:
            seq += 1
            cause = index(cause)  # a named root is an enum's member, which sqlite3 would look for an adapter for: 0.6 us
            of_data = digest(data)
            previous = link(previous, session, seq, type_, version, at_ns, epoch, cause, of_data)
            add((sid, seq, type_, version, at_ns, epoch, cause, of_data, previous, data))
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreError(
            "TL406", f"session {session}: event {seq} cannot be stored: {error}", "append core.ports.Draft values"
        ) from error
    return rows, Head(session, sid, epoch, seq, previous)


def placed(head: Head, after: Head, segments: Sequence[Segment]) -> list[MediaRow]:
    """The rows of the segments of this append. Raises StoreError TL406 if one belongs to no event of it."""
    for segment in segments:
        if not head.seq < segment.first_seq <= after.seq:
            raise StoreError(
                "TL406",
                f"session {head.session}: segment {segment.n} of {segment.track} names event {segment.first_seq}, "
                f"but this append holds {head.seq + 1} to {after.seq}",
                "append a segment together with its MediaRecorded event",
            )
    return [(head.sid, *segment) for segment in segments]
