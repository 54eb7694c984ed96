"""Does a session's log say what was written? Digests, the hash chain, and media against the events that name them.

Pure: reads rows, knows no event type but the one that carries media, and nothing of its payload except that the segment's
digest stands in it. So it also verifies logs of newer versions. Of a segment it reads what that refers to.
"""

from collections.abc import Iterable

from ..core.chain import GENESIS, digest, link
from ..core.errors import StoreError
from ..core.ports import Head, Recorded
from .port import Problem, VerifyReport
from .rebuild import sources_of

__all__ = ["MEDIA_EVENT", "MediaFact", "verify_log"]

MEDIA_EVENT = "MediaRecorded"

MediaFact = tuple[str, int, int, bytes, bytes | None]
"""track, n, first_seq, digest, data of a segment; data is None where it is erased or kept elsewhere."""


def verify_log(head: Head, events: Iterable[Recorded], segments: Iterable[MediaFact]) -> VerifyReport:
    """Check everything of one session. `events` in seq order, all of them; `segments` in any order."""
    problems: list[Problem] = []
    media_events: dict[int, bytes | None] = {}
    count = erased = 0
    seq, previous, epoch = 0, GENESIS, 0
    for event in events:
        count += 1
        erased += event.data is None
        if event.seq != seq + 1:
            problems.append(Problem("gap", event.seq, f"after event {seq} comes event {event.seq}"))
        _check_event(head.session, previous, event, problems)
        if event.epoch < epoch:
            problems.append(Problem("epoch", event.seq, f"epoch {event.epoch} after epoch {epoch}"))
        # Strategy: go on from the stored hash, so that one broken link is one problem and not one for each event after it.
        seq, previous, epoch = event.seq, event.hash, event.epoch
        if event.type == MEDIA_EVENT:
            media_events[seq] = event.data
    if (head.seq, head.hash) != (seq, previous):
        problems.append(Problem("head", seq, f"the catalogue ends the log at event {head.seq}, its last event is {seq}"))
    found = _check_media(media_events, segments, problems)
    return VerifyReport(head.session, count, erased, found, tuple(problems))


def _check_event(session: str, previous: bytes, event: Recorded, problems: list[Problem]) -> None:
    seq, type_, version, at_ns, epoch, cause, of_data, hash_, data = event
    if data is not None and digest(data) != of_data:
        problems.append(Problem("digest", seq, f"the data of event {seq} ({type_}) is not what was written"))
    if link(previous, session, seq, type_, version, at_ns, epoch, cause, of_data) != hash_:
        problems.append(Problem("chain", seq, f"the hash of event {seq} ({type_}) does not follow from the event before it"))


def _check_media(events: dict[int, bytes | None], segments: Iterable[MediaFact], problems: list[Problem]) -> int:
    count = 0
    claimed: set[int] = set()
    known: dict[tuple[str, int], bytes] = {}
    references: list[tuple[str, int, tuple[str, int, bytes]]] = []
    for track, n, first_seq, of_data, data in segments:
        count += 1
        name = f"segment {n} of track {track}"
        known[track, n] = of_data
        if data is not None and digest(data) != of_data:
            problems.append(Problem("media_digest", first_seq, f"the data of {name} is not what was written"))
        elif data is not None:
            try:
                references += [(name, first_seq, source) for source in sources_of(data)]
            except StoreError as error:
                problems.append(Problem("media_reference", first_seq, f"{name}: {error.message}"))
        if first_seq not in events or first_seq in claimed:
            problems.append(Problem("media_unclaimed", first_seq, f"no {MEDIA_EVENT} event names {name}"))
            continue
        claimed.add(first_seq)
        event = events[first_seq]
        if event is not None and of_data not in event:
            problems.append(Problem("media_mismatch", first_seq, f"event {first_seq} names another digest than {name} has"))
    for name, first_seq, (track, n, of_source) in references:
        if known.get((track, n)) != of_source:
            what = "is another" if (track, n) in known else "is not there"
            text = f"{name} refers to segment {n} of track {track}, which {what}"
            problems.append(Problem("media_reference", first_seq, text))
    missing = sorted(events.keys() - claimed)
    problems.extend(Problem("media_missing", seq, f"the segment that event {seq} names is not there") for seq in missing)
    return count
