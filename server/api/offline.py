"""Replays and forks by the API: the app's handler of today on a recorded session, in a thread, one at a time.

Each holds the interpreter while it runs: two at once would keep the live sessions waiting for longer, and be done no sooner.
"""

import asyncio
import secrets

from starlette.requests import Request
from starlette.responses import Response

from ...core.errors import DefinitionError, StoreError
from ...core.ports import SessionRow
from ...engine.app import Handler
from ...engine.engine import Engine
from ...engine.offline.fork import Forked, fork
from ...engine.offline.fork_rest import parse_script
from ...engine.offline.replay_all import SessionReplay, replay_one
from ..access import Access, Principal
from .operations import Answer, Operation, json_answer
from .problems import ApiRefused
from .reading import body_of
from .sessions import ONE, SESSIONS
from .shapes import ForkBody, ReplayBody

__all__ = ["Offline"]


class Offline:
    """Operations that run a handler on what the store of one engine holds."""

    def __init__(self, engine: Engine, access: Access, one_at_a_time: asyncio.Semaphore) -> None:
        self._engine = engine
        self._access = access
        self._turn = one_at_a_time
        self.operations = [
            Operation(
                "POST", ONE + "/replay", "replay", "Run today's handler on the session's log, and compare", "admin", self.replay,
                (Answer(200, "What came of it.", SessionReplay),), body=ReplayBody,
            ),
            Operation(
                "POST", ONE + "/fork", "fork", "Store a session with this one's past and another rest", "admin", self.fork,
                (Answer(201, "The new session.", Forked),), body=ForkBody,
            ),
        ]  # fmt: skip

    async def replay(self, request: Request, principal: Principal) -> Response:
        """200, also for a divergence: the answer tells."""
        row = await self._access.row_for(principal, request.path_params["session"])
        asked = await body_of(request, ReplayBody)
        handler = self._handler(row)
        async with self._turn:
            return json_answer(await asyncio.to_thread(replay_one, self._engine.store, row, handler, until=asked.until))

    async def fork(self, request: Request, principal: Principal) -> Response:
        """201, and where the new session is."""
        row = await self._access.row_for(principal, request.path_params["session"])
        asked = await body_of(request, ForkBody)
        script = parse_script("\n".join(asked.script))
        handler = self._handler(row)
        name = asked.name or f"{row.session}_fork_{secrets.token_hex(2)}"
        if asked.name is not None:
            await self._must_be_free(asked.name)
        async with self._turn:
            made = await fork(self._engine.store, row.session, asked.at, handler, name=name, script=script)
        return json_answer(made, 201, {"Location": f"{SESSIONS}/{made.session}"})

    async def _must_be_free(self, name: str) -> None:
        try:
            await self._engine.store.session(name)
        except StoreError as error:
            if error.code != "TL408":
                raise
            return
        raise StoreError("TL409", f"a session {name} exists already", "choose another name")

    def _handler(self, row: SessionRow) -> Handler:
        try:
            return self._engine.directory.resolve(row.target).handler
        except DefinitionError as error:
            raise ApiRefused(error, 409) from error
