"""What stands where in an archive: one pass over the file that checks every block, and the decoding of their records."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from ..core.chain import GENESIS, digest, link
from ..core.ports import Head, Recorded, Segment, SessionRow
from . import archive_format as form

__all__ = [
    "ArchivedSession", "Counts", "Place", "Survey", "decode_event", "decode_segment", "decoded", "salvaged", "survey",
]  # fmt: skip

R = TypeVar("R")


class ArchivedSession(msgspec.Struct, frozen=True, kw_only=True):
    """The header's record: the session's row and head. A new field has a default."""

    session: str
    tenant: str
    target: str
    provider: str
    transport: str
    status: str
    python: str
    code_version: str
    engine_flags: int
    head_seq: int
    created_ns: int
    ended_ns: int | None
    epoch: int
    head_hash: bytes
    writer: str = ""  # the turnlog that wrote the file

    @property
    def row(self) -> SessionRow:
        """The row of the catalogue."""
        return SessionRow(*(getattr(self, name) for name in SessionRow._fields))

    @property
    def head(self) -> Head:
        """Where the log ends."""
        return Head(self.session, 1, self.epoch, self.head_seq, self.head_hash)


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The last record: what stands before it."""

    events: int
    segments: int


class Place(NamedTuple):
    """Where a block stands, and what it takes to check it alone."""

    kind: bytes
    at: int
    previous: bytes  # check of the block before
    records: int


class Survey(NamedTuple):
    """What one pass over an archive found. `damage`: why it ended early."""

    header: ArchivedSession
    places: list[Place]
    damage: form.Damage | None = None


_ORDER = (form.HEADER, form.EVENTS, form.MEDIA, form.END)

_decode_header = msgspec.msgpack.Decoder(ArchivedSession).decode
_decode_counts = msgspec.msgpack.Decoder(Counts).decode
decode_event = msgspec.msgpack.Decoder(Recorded).decode
decode_segment = msgspec.msgpack.Decoder(Segment).decode


def survey(path: Path, *, partial: bool) -> Survey:
    """Read the whole file once and check every block. `partial` stops at the first damage instead of raising it.

    Raises OSError, StoreError TL405, TL412, TL413, TL414.
    """
    header: ArchivedSession | None = None
    counts: Counts | None = None
    places: list[Place] = []
    with path.open("rb") as file:
        check = form.start(file, path)
        while counts is None:
            at = file.tell()
            block = form.read_block(file, check, path)
            if isinstance(block, form.Block) and _misplaced(block.kind, places):
                block = form.Damage(form.altered(path, at, f"a block {block.kind!r} has no place there"))
            if isinstance(block, form.Damage):
                if header is None or not partial:
                    raise block.error
                return Survey(header, places, block)
            if block.kind == form.HEADER:
                header = _one(_decode_header, block, at, path)
            elif block.kind == form.END:
                counts = _one(_decode_counts, block, at, path)
            places.append(Place(block.kind, at, check, block.records))
            check = block.check
        assert header is not None  # nothing but a header is first
        wrong = _counted(counts, places) or (file.read(1) and "something follows its end")
        damage = form.Damage(form.altered(path, at, wrong)) if wrong else None
    if damage and not partial:
        raise damage.error
    return Survey(header, places, damage)


def _misplaced(kind: bytes, places: list[Place]) -> bool:
    """The order is: one header, events, media, counts."""
    if not places:
        return kind != form.HEADER
    return kind == form.HEADER or _ORDER.index(kind) < _ORDER.index(places[-1].kind)


def _counted(counts: Counts, places: list[Place]) -> str:
    found = Counts(events=_total(places, form.EVENTS), segments=_total(places, form.MEDIA))
    return "" if counts == found else f"it says {counts} and holds {found}"


def _one(decode: Callable[[bytes], R], block: form.Block, at: int, path: Path) -> R:
    found = list(decoded(decode, block, at, path))
    if len(found) != 1:
        raise form.altered(path, at, f"a block {block.kind!r} holds one record, not {len(found)}")
    return found[0]


def _total(places: list[Place], kind: bytes) -> int:
    return sum(place.records for place in places if place.kind == kind)


def decoded(decode: Callable[[bytes], R], block: form.Block, at: int, path: Path) -> Iterator[R]:
    """The records of a block. Raises StoreError TL414 if they are not what their kind says, though the check is right."""
    count = 0
    for record in form.records(block):
        count += 1
        try:
            yield decode(record)
        except ValueError as error:  # msgspec's errors and UnicodeDecodeError
            raise form.altered(path, at, f"record {count} of the block does not decode: {error}") from error
    if count != block.records:
        raise form.altered(path, at, f"the block should hold {block.records} records and holds {count}")


def salvaged(session: str, last: Recorded | None, damage: form.Damage) -> Iterator[Recorded]:
    """The events of a damaged block, as long as each follows from the one before by the session's own hash chain."""
    if damage.kind != form.EVENTS:
        return
    seq, previous = (last.seq, last.hash) if last else (0, GENESIS)
    for record in form.records(damage):
        try:
            event = decode_event(record)
        except ValueError:
            return
        hash_ = link(previous, session, seq + 1, event.type, event.version, event.at_ns, event.epoch, event.cause, event.digest)
        if (event.seq, event.hash) != (seq + 1, hash_) or (event.data is not None and digest(event.data) != event.digest):
            return
        seq, previous = event.seq, event.hash
        yield event
