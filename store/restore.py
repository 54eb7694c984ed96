"""Entering a recorded session verbatim: what both stores share of it. Nothing is renumbered, hashed anew or re-encoded.

Strategy: what comes in is verified while it is entered, in one pass, so that a session of any length needs no memory; the
store takes all of it back if the verification finds anything.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from typing import TypeVar

from ..core.errors import StoreError
from ..core.ports import Head, Recorded, Segment
from .verify import MediaFact, verify_log

__all__ = ["enter"]

T = TypeVar("T")

_EVENTS = 256  # a page
_MEDIA = 16  # a page: a segment may have a megabyte


def enter(
    head: Head,
    events: Iterable[Recorded],
    segments: Iterable[Segment],
    add_events: Callable[[Sequence[Recorded]], object],
    add_segments: Callable[[Sequence[Segment]], object],
) -> None:
    """Hand everything to `add_events` and `add_segments`, page by page. Raises StoreError TL407 if it does not verify.

    `head` is where the session must end. A segment without data (b"") is an erased one.
    """
    numbers = count(1)
    names: set[tuple[str, int]] = set()

    def add_next(page: Sequence[Recorded]) -> None:
        for event in page:
            if event.seq != (wanted := next(numbers)):
                raise _refusal(head, f"gap: event {event.seq} comes where event {wanted} belongs")
        add_events(page)

    def add_new(page: Sequence[Segment]) -> None:
        for part in page:
            if (part.track, part.n) in names:
                raise _refusal(head, f"segment {part.n} of track {part.track} comes twice")
            names.add((part.track, part.n))
        add_segments(page)

    report = verify_log(head, _through(events, add_next, _EVENTS), map(_fact, _through(segments, add_new, _MEDIA)))
    if report.problems:
        first, more = report.problems[0], len(report.problems) - 1
        raise _refusal(head, f"{first.kind}: {first.detail}{f', and {more} more' if more else ''}")


def _through(items: Iterable[T], add: Callable[[Sequence[T]], object], size: int) -> Iterator[T]:
    rest = iter(items)
    while page := list(islice(rest, size)):
        add(page)
        yield from page


def _refusal(head: Head, why: str) -> StoreError:
    hint = "nothing of it was entered; verify the log it comes from"
    return StoreError("TL407", f"session {head.session} does not verify: {why}", hint)


def _fact(segment: Segment) -> MediaFact:
    return segment.track, segment.n, segment.first_seq, segment.digest, segment.data or None
