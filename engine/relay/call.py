"""A proxied call over WebRTC: the provider holds it with the caller itself, and a sideband that only listens records it.

Its audio goes past us and is in no log. The call goes on over a sideband that was lost and is joined anew; one that cannot be had
ends the call: nothing passes for long unrecorded.
"""

import asyncio
from typing import Any

from ...core import events as e
from ...core.core import SessionCore
from ...core.errors import LinkClosed, TurnlogError
from ...core.ports import Calls, Link
from ...transports.callers.direct import DirectCaller
from ..clock import Clock
from ..inbox import Failed, OfCall
from ..sideband import Sideband
from .log import RelayLog
from .record import Passed
from .relayed import CALLER, PROVIDER, Gone, Relayed

__all__ = ["RelayCall"]


class RelayCall(Relayed):
    """One proxied call. Made by Proxied.call."""

    def __init__(
        self, core: SessionCore, relay_log: RelayLog, clock: Clock, calls: Calls, call_id: str, caller: DirectCaller
    ) -> None:
        super().__init__(core, relay_log, clock)
        self.caller = caller
        self._sideband = Sideband(calls, call_id, caller, self._told, self._listen)
        self._failure: TurnlogError | None = None

    async def _pass(self, writing: asyncio.Task[None]) -> Gone:
        """Listen until the call is over, the session is to end, or it cannot be recorded."""
        following = asyncio.create_task(self._sideband.follow())
        over = asyncio.create_task(self._over())
        try:
            until: list[asyncio.Future[Any]] = [following, over, self._asked, writing]
            await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
            gone = self._why(over, writing)
        finally:
            for task in (following, over):
                task.cancel()
            await asyncio.wait([following, over])
        try:
            await self.caller.close(gone.closed.close_code, gone.closed.reason)  # hangs up, unless it is over
        except TurnlogError as error:
            self._record(e.PeerFaulted(link=CALLER, code=error.code, message=error.message))
        return gone

    async def _over(self) -> LinkClosed:
        try:
            await self.caller.receive()
        except LinkClosed as closed:
            return closed
        raise AssertionError("a direct caller sends nothing")

    def _why(self, over: asyncio.Task[LinkClosed], writing: asyncio.Task[None]) -> Gone:
        if over.done():
            return Gone(CALLER, over.result())
        if self._asked.done():
            return self._as_asked()
        if writing.done():
            return Gone("", LinkClosed(1011, "the log cannot be written"))
        return Gone(PROVIDER, LinkClosed(1011, str(self._failure.message) if self._failure else "the sideband was closed"))

    # --- what is heard ---

    async def _listen(self, n: int, link: Link) -> None:
        """Record what comes by the n-th sideband, to its end."""
        name, peer = f"p{n}", self.definition.provider
        self._record(e.LinkOpened(link=name, side="provider", transport="sideband", peer=peer))
        try:
            while True:
                raw = await link.receive()
                self._log.passed(Passed(name, "", raw.decode(), self._clock.now_ns(), went=False))
        except LinkClosed as closed:
            self._record(e.LinkClosed(link=name, code=closed.close_code, reason=closed.reason))
        finally:
            await link.close()

    def _told(self, told: OfCall | Failed) -> None:
        if isinstance(told, OfCall):
            self._record(told.event)
        else:
            self._failure = told.error
            self._record(e.LinkFailed(side="provider", code=told.error.code, message=told.error.message))

    def _record(self, event: e.Event) -> None:
        self._log.note(lambda now_ns: self._core.record(event, e.Root.HOST, now_ns))
