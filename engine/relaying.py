"""A proxied session: two connections, and what comes by one leaves by the other, unchanged and at once; the log comes behind.

Closing passes like a frame: with the code and reason that came. Where one side breaks, what it had sent before still arrives.
"""

import asyncio
import logging
from typing import Any, Final, NamedTuple

from ..core import events as e
from ..core.core import SessionCore
from ..core.definition import SessionDefinition
from ..core.errors import LinkClosed, TurnlogError
from ..core.relaying import Frames, RelayLink
from .clock import Clock
from .relay_log import RelayLog
from .relay_record import Passed

__all__ = ["STALL_S", "RelaySession"]

STALL_S: Final = 30.0
"""A side that takes nothing for so long is given up."""
_DRAIN_S: Final = 5.0  # for what a side had sent before it broke, and for closing
_LOST: Final = 1006
_PROVIDER: Final = "p1"
_CALLER: Final = "c1"

log = logging.getLogger("turnlog")


class _Gone(NamedTuple):
    """Why passing is over: which side ended it ("" for neither) and how. stalled: it does not read what is sent to it."""

    link: str
    closed: LinkClosed
    stalled: bool = False


class RelaySession:
    """One proxied session. Made by Proxied.open; `carry` gives it its caller."""

    def __init__(self, core: SessionCore, relay_log: RelayLog, clock: Clock, provider: RelayLink) -> None:
        self._core = core
        self._log = relay_log
        self._clock = clock
        self.provider = provider
        self._caller: asyncio.Future[Frames] = asyncio.get_running_loop().create_future()
        self._asked: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ended: asyncio.Future[e.SessionEnded] = asyncio.get_running_loop().create_future()

    @property
    def started(self) -> e.SessionStarted:
        """Its beginning."""
        started = self._core.state.life.started
        assert started is not None  # it was recorded before this was made
        return started

    @property
    def id(self) -> str:
        """The session's id, its name in the store."""
        return self.started.session

    @property
    def target(self) -> str:
        """<app>.<session>"""
        return self.started.target

    @property
    def definition(self) -> SessionDefinition:
        """What it was declared to be."""
        return self.started.definition

    async def ended(self) -> e.SessionEnded:
        """Wait for the end: its reason, code and detail. Raises StoreError if the log could not be written any more."""
        return await asyncio.shield(self._ended)

    def end(self, reason: str = "ended", *, drain: bool = True) -> None:
        """End the session; both sides are closed. `drain` means nothing here. Ending twice does nothing."""
        if not self._asked.done():
            self._asked.set_result(reason)

    def leave(self) -> None:
        """The same as ending: nobody else can take its connections up."""
        self.end("engine_stopped")

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

    async def drive(self) -> None:
        """Run to the end. Never raises: what went wrong is what ended() raises."""
        writing = asyncio.create_task(self._log.run())
        try:
            gone = await self._pass(writing)
            self._log.finish(lambda now_ns: self._end(gone, now_ns))
            await asyncio.shield(asyncio.wait([writing]))
        except BaseException:  # cancelled, or the process is to end
            self._log.finish(lambda now_ns: self._end(_Gone("", LinkClosed(_LOST, "cancelled")), now_ns))
            await asyncio.shield(asyncio.wait([writing]))
            raise
        finally:
            self._settle(writing)

    def _settle(self, writing: asyncio.Task[None]) -> None:
        error = None if writing.cancelled() else writing.exception()
        ending = self._core.state.life.ending
        if error is None and ending is not None:
            self._ended.set_result(e.SessionEnded(reason=ending.reason, code=ending.code, detail=ending.detail))
            return
        log.error("session %s stopped: %s", self.id, error)
        failure = error or TurnlogError("TL102", f"session {self.id} was cancelled; its log has no end", "start it anew")
        self._ended.set_exception(failure)
        self._ended.exception()  # logged above; ended() raises it for whoever asks

    async def _pass(self, writing: asyncio.Task[None]) -> _Gone:
        """Pass frames until one side is gone, the session is to end, or the log cannot be written; then close the other side."""
        begins: list[asyncio.Future[Any]] = [self._caller, self._asked]
        await asyncio.wait(begins, return_when=asyncio.FIRST_COMPLETED)
        if not self._caller.done():
            gone = self._as_asked()
            await self._close(self.provider, gone.closed)
            return gone
        caller, provider = self._caller.result(), self.provider
        self._log_caller()
        up = asyncio.create_task(self._pump(caller, provider, _CALLER, _PROVIDER))
        down = asyncio.create_task(self._pump(provider, caller, _PROVIDER, _CALLER))
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
        self._core.record(e.LinkOpened(link=_CALLER, side="caller", transport="websocket"), e.Root.HOST, self._clock.now_ns())

    async def _pump(self, source: Frames, sink: Frames, came: str, leaves: str) -> _Gone:
        """One direction, to its end."""
        while True:
            try:
                frame = await source.receive()
            except LinkClosed as closed:
                return _Gone(came, closed)
            at_ns, went = self._clock.now_ns(), False
            try:
                async with asyncio.timeout(STALL_S):
                    await sink.send(frame)
                went = True
            except LinkClosed as closed:
                return _Gone(leaves, closed)
            except TimeoutError:
                return _Gone(leaves, LinkClosed(1008, f"it took nothing for {STALL_S:.0f} s"), stalled=True)
            finally:
                self._log.passed(Passed(came, leaves, frame, at_ns, went))
            if self._log.is_full:
                await self._log.room()

    async def _why(self, up: asyncio.Task[_Gone], down: asyncio.Task[_Gone], writing: asyncio.Task[None]) -> _Gone:
        """Why it is over. What a side had sent before it went is passed on first."""
        for one, other in ((down, up), (up, down)):
            if not one.done():
                continue
            gone = one.result()
            if (gone.link == _PROVIDER) == (one is up) and not gone.stalled:  # noticed by sending to it: it may have said more
                await asyncio.wait([other], timeout=_DRAIN_S)
                return other.result() if other.done() and other.result().link == gone.link else gone
            return gone
        if writing.done():
            return _Gone("", LinkClosed(1011, "the log cannot be written"))
        return self._as_asked()

    def _as_asked(self) -> _Gone:
        reason = self._asked.result()
        return _Gone("", LinkClosed(1001 if reason == "engine_stopped" else 1000, reason))

    async def _part(self, gone: _Gone, caller: Frames, provider: Frames) -> None:
        """Close what stands."""
        sides: dict[str, Frames] = {_CALLER: caller, _PROVIDER: provider}
        if not gone.link:
            await asyncio.gather(*(self._close(side, gone.closed) for side in sides.values()))
            return
        if gone.stalled:
            await sides[gone.link].abort()
        else:
            await self._close(sides[gone.link], gone.closed)  # nothing but what is left of it
        other = _PROVIDER if gone.link == _CALLER else _CALLER
        await self._close(sides[other], _told(gone))

    async def _close(self, side: Frames, closed: LinkClosed) -> None:
        try:
            async with asyncio.timeout(_DRAIN_S):
                await side.close(closed.close_code, closed.reason)
        except TimeoutError:
            await side.abort()

    def _end(self, gone: _Gone, now_ns: int) -> None:
        """Record the end."""
        core, told = self._core, gone.closed if not gone.link else _told(gone)
        if gone.link:
            core.record(e.LinkClosed(link=gone.link, code=gone.closed.close_code, reason=gone.closed.reason), e.Root.HOST, now_ns)
        core.ending(_ending(gone), now_ns, e.Root.HOST if gone.link else e.Root.API)
        for link in (_CALLER, _PROVIDER):
            if link != gone.link and (link == _PROVIDER or self._caller.done()):
                core.record(e.LinkClosed(link=link, code=told.close_code, reason=told.reason), core.seq, now_ns)
        while not core.ended:
            core.close_when_done(now_ns)


def _told(gone: _Gone) -> LinkClosed:
    """How the other side learns of it: as it came, where a close frame can say that."""
    if gone.closed.close_code != _LOST and not gone.stalled:
        return gone.closed
    what = "takes nothing any more" if gone.stalled else "was lost"
    if gone.link == _PROVIDER:
        return LinkClosed(1011, f"TL314 the provider's connection {what}")
    return LinkClosed(1001, f"the caller's connection {what}")


def _ending(gone: _Gone) -> e.SessionEnding:
    detail = f"{gone.closed.close_code} {gone.closed.reason}".strip()
    if gone.link == _PROVIDER:
        return e.SessionEnding(reason="provider_lost", code="TL314", detail=detail)
    if gone.link == _CALLER:
        reason = "caller_lost" if gone.closed.close_code == _LOST or gone.stalled else "caller_gone"
        return e.SessionEnding(reason=reason, detail=detail)
    return e.SessionEnding(reason=gone.closed.reason)
