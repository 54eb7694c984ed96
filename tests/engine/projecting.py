"""What the tests of projections share: logs written by hand, and a projection whose rows show what it was given."""

import asyncio
import os
import threading
from collections.abc import Sequence

from turnlog.core import events as e
from turnlog.core.codec import encode
from turnlog.core.definition import define_session
from turnlog.core.ports import Draft, Head, SessionRow
from turnlog.engine.projections import ProjectionContext, projection
from turnlog.store.port import Store

__all__ = ["Writer", "closed", "ledger", "started", "turn"]

SECOND_NS = 1_000_000_000


def started(session: str, *, answers: str = "handler") -> e.SessionStarted:
    """The first event of a session."""
    definition = define_session("desk", provider="scripted", transport="in_process", answers=answers)
    return e.SessionStarted(session=session, target="hotel.desk", definition=definition, handler="hotel:desk")


def turn(n: int, text: str = "hello") -> e.TurnEnded:
    """A turn of the user."""
    return e.TurnEnded(turn=n, item=f"item_{n}", text=text)


async def closed(store: Store) -> None:
    """Close the last store of a test, and wait until the writers' threads have gone too."""
    await store.close()
    for thread in threading.enumerate():
        if thread.name == "turnlog-writer":
            await asyncio.to_thread(thread.join)


class Writer:
    """Appends events to sessions of a store, a second apart on the clock."""

    def __init__(self, store: Store, began_ns: int = 0) -> None:
        self.store = store
        self.heads: dict[str, Head] = {}
        self.now_ns = began_ns

    async def session(self, name: str) -> None:
        """A new session, empty."""
        row = SessionRow(name, "", "hotel.desk", "scripted", "in_process", "active", "3.11", "", 0, 0, 1, None)
        self.heads[name] = await self.store.create(row)

    async def write(self, name: str, *events: e.Event) -> None:
        """Append events, each a second after the one before."""
        drafts: list[Draft] = []
        for event in events:
            self.now_ns += SECOND_NS
            type_, version, data = encode(event, os.urandom(16))
            drafts.append(Draft(type_, version, self.now_ns, -1, data))
        await self.drafts(name, drafts)

    async def drafts(self, name: str, drafts: Sequence[Draft]) -> None:
        """Append drafts as they are."""
        if name not in self.heads:
            await self.session(name)
        self.heads[name] = await self.store.append(self.heads[name], drafts)

    async def turns(self, name: str, count: int) -> None:
        """Append so many turns, some at a time."""
        for at in range(0, count, 7):
            await self.write(name, *(turn(at + n) for n in range(min(7, count - at))))
            await asyncio.sleep(0)


@projection("ledger", on=(e.TurnEnded,), tables="CREATE TABLE ledger (session TEXT, seq INTEGER, text TEXT)")
def ledger(event: object, ctx: ProjectionContext) -> None:
    """A row for each turn, without any key that would hide that one came twice."""
    assert isinstance(event, e.TurnEnded)
    ctx.execute("INSERT INTO ledger VALUES (?, ?, ?)", (ctx.session, ctx.seq, event.text))

