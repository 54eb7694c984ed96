"""The feed: every committed event of a store, all sessions in one line, followed live.

Never skips a committed event and never gives a session's event before the one that precedes it. A cursor is text whose form
is nobody's business: it names the feed, a position, and the event that stands there. So a cursor of another store is refused,
and also one of a log that was restored from an older copy and went on differently.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection
from typing import NamedTuple

from ..core.errors import StoreError
from ..core.ports import Recorded
from .awake import Awake
from .port import Feed, FeedReader

__all__ = ["NOW", "START", "FeedEntry", "cursor_at", "feed", "position", "type_names"]

START = "start"
NOW = "now"
_HASH_BYTES = 8  # of the event's hash in a cursor


class FeedEntry(NamedTuple):
    """A committed event. `cursor` is what to give to feed(after=) to go on behind it."""

    cursor: str
    session: str
    recorded: Recorded


async def feed(
    store: Feed, *, after: str = START, types: Collection[str | type] | None = None, follow: bool = True
) -> AsyncGenerator[FeedEntry, None]:
    """All committed events in the order of their commits: from "start", from "now", or after a cursor.

    types: only those, by class or name. With `follow` it waits for more until the store is closed, woken by commits of this
    process and looking every `store.tail.poll_s` for those of others; else it ends at the newest event. Holds one page of at
    most 256 events. Raises StoreError TL416 for a cursor of another feed, TL404 if the store cannot be read.
    """
    wanted = type_names(types)
    reader = await asyncio.to_thread(store.feed_reader)
    try:
        pos = await asyncio.to_thread(position, reader, after)
        with Awake(store.tail) as awake:
            while True:
                awake.arm()
                last = store.tail.closed or not follow
                page = await asyncio.to_thread(reader.page, pos, wanted)
                for at, session, recorded in page.entries:
                    yield FeedEntry(cursor_at(reader.epoch, at, recorded.hash), session, recorded)
                pos = page.pos
                if pos >= page.newest:
                    if last:
                        return
                    await awake.wait()
    finally:
        reader.close()


def cursor_at(epoch: str, pos: int, hash_: bytes) -> str:
    """The cursor of a position at which the event of this hash stands; of the beginning for position 0."""
    return f"{epoch}.{pos}.{hash_[:_HASH_BYTES].hex() if pos else ''}"


def position(reader: FeedReader, after: str) -> int:
    """The position that a cursor, "start" or "now" means in this feed. Raises StoreError TL416."""
    if after == START:
        return 0
    if after == NOW:
        return reader.newest()
    match after.split("."):
        case [epoch, digits, _] if epoch and digits.isascii() and digits.isdigit() and len(digits) < 19:
            pos = int(digits)
        case _:
            raise StoreError("TL416", f"{after!r} is no cursor of a feed", 'give a cursor of this feed, "start" or "now"')
    if epoch != reader.epoch:
        raise StoreError(
            "TL416",
            f"the cursor {after!r} is of feed {epoch}, this store's feed is {reader.epoch}",
            'the store was made anew, or is another one: begin at "start", and drop what was made of the other feed',
        )
    if pos and ((found := reader.hash_at(pos)) is None or cursor_at(epoch, pos, found) != after):
        raise StoreError(
            "TL416",
            f"the event that the cursor {after!r} stands behind is not in this store",
            'the log was restored from an older copy, or lost its end: begin at "start", and drop what was made of the lost part',
        )
    return pos


def type_names(types: Collection[str | type] | None) -> frozenset[str] | None:
    """Event types, given as classes or by name, as names; None stays None and means all."""
    if types is None:
        return None
    if isinstance(types, str):
        return frozenset({types})
    return frozenset(one if isinstance(one, str) else one.__name__ for one in types)
