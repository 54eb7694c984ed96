"""A session's events by the API: a page of its log, and the log as it grows (server-sent events)."""

import difflib
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ...core.events import EVENT_TYPES, WIRE_TYPES
from ...core.facts import EventFacts, event_facts
from ...core.ports import Recorded, SessionRow
from ...engine.engine import Engine
from ...store.follow import follow
from ..access import Access, Principal
from .operations import Answer, Operation, json_answer
from .problems import refused
from .reading import query_of
from .sessions import ONE
from .shapes import EventsPage, EventsQuery, StreamQuery

__all__ = ["HEARTBEAT_S", "Events"]

HEARTBEAT_S: Final = 15.0
"""A stream on which nothing comes for so long gets a comment: proxies keep it, and who has left is noticed."""
_READ: Final = 10_000  # events looked at for one page: who asks for rare types gets a page that has fewer
_END: Final = "SessionEnded"


class Events:
    """Operations on the logs of one engine's store."""

    def __init__(self, engine: Engine, access: Access) -> None:
        self._engine = engine
        self._access = access
        self.operations = [
            Operation(
                "GET", ONE + "/events", "listEvents", "A page of a session's log", "observe", self.page,
                (Answer(200, "Some events.", EventsPage),), query=EventsQuery,
            ),
            Operation(
                "GET", ONE + "/events/stream", "streamEvents", "A session's log as it grows, to the session's end", "observe",
                self.stream,
                (
                    Answer(200, "Server-sent events: id is the seq, event the type, data an EventFacts.", EventFacts,
                           ("text/event-stream",)),
                    Answer(204, "The session has ended, and the client has seen all of it."),
                ),
                query=StreamQuery, headers=("Last-Event-ID",),
            ),
        ]  # fmt: skip

    async def page(self, request: Request, principal: Principal) -> Response:
        """200: events behind `after`."""
        row = await self._access.row_for(principal, request.path_params["session"])
        asked = query_of(request, EventsQuery)
        types = _types(asked.types)
        semantic = not (asked.wire or types & WIRE_TYPES)
        started_ns, found, seen, read = await self._started_ns(row), list[EventFacts](), asked.after, 0
        async for recorded in self._engine.store.read(row.session, after=asked.after, semantic=semantic):
            seen, read = recorded.seq, read + 1
            if not types or recorded.type in types:
                found.append(event_facts(recorded, started_ns))
            if len(found) == asked.limit or read == _READ:
                break
        else:
            seen = max(seen, row.head_seq)
        return json_answer(EventsPage(events=found, next=seen if seen < row.head_seq else None, head=row.head_seq))

    async def stream(self, request: Request, principal: Principal) -> Response:
        """200, and events until the session has ended; 204 for who has seen that end already."""
        row = await self._access.row_for(principal, request.path_params["session"])
        asked = query_of(request, StreamQuery)
        after = _last_seen(request, asked.after)
        if row.status == "ended" and after >= row.head_seq:
            return Response(status_code=204)  # an EventSource that is told this does not come again
        types = _types(asked.types)
        semantic = not (asked.wire or types & WIRE_TYPES)
        started_ns = await self._started_ns(row)
        reading = follow(
            self._engine.store,
            row.session,
            after=after,
            semantic=semantic,
            idle_s=HEARTBEAT_S,
            alive=lambda: self._engine.runs(row.session),
        )
        lines = self._lines(reading, types, started_ns)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(headers=headers, media_type="text/event-stream")
        return StreamingResponse(lines, headers=headers, media_type="text/event-stream")

    async def _lines(
        self, reading: AsyncGenerator[Recorded | None, None], types: Collection[str], started_ns: int
    ) -> AsyncGenerator[bytes, None]:
        yield b": the log of a session\n\n"
        async with aclosing(reading):
            async for recorded in reading:
                if recorded is None:
                    yield b": nothing new\n\n"
                elif not types or recorded.type in types or recorded.type == _END:
                    started_ns = started_ns or recorded.at_ns
                    data = msgspec.json.encode(event_facts(recorded, started_ns))
                    yield b"id: %d\nevent: %s\ndata: %s\n\n" % (recorded.seq, recorded.type.encode(), data)

    async def _started_ns(self, row: SessionRow) -> int:
        async for first in self._engine.store.read(row.session, until=1):
            return first.at_ns
        return 0


def _types(given: list[str]) -> frozenset[str]:
    """Event types by name. Raises ApiRefused: 400 for one that does not exist."""
    for name in given:
        if name not in EVENT_TYPES:
            near = difflib.get_close_matches(name, EVENT_TYPES, 3)
            hint = f"did you mean {', '.join(near)}?" if near else "docs/reference/archive.md has the types"
            raise refused(400, f"no event is called {name[:100]!r}", hint)
    return frozenset(given)


def _last_seen(request: Request, after: int) -> int:
    given = request.headers.get("last-event-id", "")
    if not given:
        return after
    if not (given.isascii() and given.isdecimal() and len(given) < 16):
        raise refused(400, "the Last-Event-ID is none of this stream", "send the id of the last event, or leave it out")
    return int(given)
