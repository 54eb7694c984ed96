"""A proxied session: two connections, and what comes by one leaves by the other, unchanged and at once; the log comes behind.

Closing passes like a frame: with the code and reason that came. Where one side breaks, what it had sent before still arrives.
"""

import asyncio
from typing import Any, Final

from ...core import events as e
from ...core.core import SessionCore
from ...core.errors import LinkClosed
from ...core.relaying import Frames, RelayLink
from ..clock import Clock
from .log import RelayLog
from .record import Passed
from .relayed import CALLER, PROVIDER, Gone, Relayed

__all__ = ["STALL_S", "RelaySession"]

STALL_S: Final = 15.0
"""A side that takes nothing for so long is given up: before the 20 s after which the other leg's keepalive gives up."""
_DRAIN_S: Final = 5.0  # for what a side had sent before it broke, and for closing


class RelaySession(Relayed):
    """One proxied session over WebSockets. Made by Proxied.open; `carry` gives it its caller."""

    def __init__(self, core: SessionCore, relay_log: RelayLog, clock: Clock, provider: RelayLink) -> None:
        super().__init__(core, relay_log, clock)
        self.provider = provider
        self._caller: asyncio.Future[Frames] = asyncio.get_running_loop().create_future()

    async def carry(self, caller: Frames) -> None:
        """Pass what comes, either way, until it is over. Cancelled, it ends the session."""
        if not self._caller.done():
            self._caller.set_result(caller)
        try:
            await asyncio.wait([self._ended])
        except asyncio.CancelledError:
            self.end("caller_gone")
            raise

    # --- the session's task ---

    async def _pass(self, writing: asyncio.Task[None]) -> Gone:
        """Pass frames until one side is gone, the session is to end, or the log cannot be written; then close the other side."""
        begins: list[asyncio.Future[Any]] = [self._caller, self._asked]
        await asyncio.wait(begins, return_when=asyncio.FIRST_COMPLETED)
        if not self._caller.done():
            gone = self._as_asked()
            await self._close(self.provider, gone.closed)
            return gone
        caller, provider = self._caller.result(), self.provider
        self._log_caller()
        up = asyncio.create_task(self._pump(caller, provider, CALLER, PROVIDER))
        down = asyncio.create_task(self._pump(provider, caller, PROVIDER, CALLER))
        try:
            over: list[asyncio.Future[Any]] = [up, down, self._asked, writing]
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
            gone = await self._why(up, down, writing)
        finally:
            up.cancel()
            down.cancel()
            await asyncio.wait([up, down])
        await self._part(gone, caller, provider)
        return gone

    def _log_caller(self) -> None:
        self._core.record(e.LinkOpened(link=CALLER, side="caller", transport="websocket"), e.Root.HOST, self._clock.now_ns())

    async def _pump(self, source: Frames, sink: Frames, came: str, leaves: str) -> Gone:
        """One direction, to its end."""
        while True:
            try:
                frame = await source.receive()
            except LinkClosed as closed:
                return Gone(came, closed)
            at_ns, went = self._clock.now_ns(), False
            try:
                async with asyncio.timeout(STALL_S):
                    await sink.send(frame)
                went = True
            except LinkClosed as closed:
                return Gone(leaves, closed)
            except TimeoutError:
                return Gone(leaves, LinkClosed(1008, f"it took nothing for {STALL_S:.0f} s"), stalled=True)
            finally:
                self._log.passed(Passed(came, leaves, frame, at_ns, went))
            if self._log.is_full:
                await self._log.room()

    async def _why(self, up: asyncio.Task[Gone], down: asyncio.Task[Gone], writing: asyncio.Task[None]) -> Gone:
        """Why it is over. What a side had sent before it went is passed on first."""
        for one, other in ((down, up), (up, down)):
            if not one.done():
                continue
            gone = one.result()
            if (gone.link == PROVIDER) == (one is up) and not gone.stalled:  # noticed by sending to it: it may have said more
                await asyncio.wait([other], timeout=_DRAIN_S)
                return other.result() if other.done() and other.result().link == gone.link else gone
            return gone
        if writing.done():
            return Gone("", LinkClosed(1011, "the log cannot be written"))
        return self._as_asked()

    async def _part(self, gone: Gone, caller: Frames, provider: Frames) -> None:
        """Close what stands."""
        sides: dict[str, Frames] = {CALLER: caller, PROVIDER: provider}
        if not gone.link:
            await asyncio.gather(*(self._close(side, gone.closed) for side in sides.values()))
            return
        if gone.stalled:
            await sides[gone.link].abort()
        else:
            await self._close(sides[gone.link], gone.closed)  # nothing but what is left of it
        other = PROVIDER if gone.link == CALLER else CALLER
        await self._close(sides[other], gone.told())

    async def _close(self, side: Frames, closed: LinkClosed) -> None:
        try:
            async with asyncio.timeout(_DRAIN_S):
                await side.close(closed.close_code, closed.reason)
        except TimeoutError:
            await side.abort()
