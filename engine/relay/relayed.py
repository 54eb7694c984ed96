"""What the proxied sessions have in common, whichever way they pass: who they are, and how they end."""

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import Final, NamedTuple

from ...core import events as e
from ...core.core import SessionCore
from ...core.definition import SessionDefinition
from ...core.errors import LinkClosed, TurnlogError
from ..clock import Clock
from .log import RelayLog

__all__ = ["CALLER", "LOST", "PROVIDER", "Gone", "Relayed"]

LOST: Final = 1006
"""The code of a connection that broke."""
PROVIDER: Final = "p1"
CALLER: Final = "c1"

log = logging.getLogger("turnlog")


class Gone(NamedTuple):
    """Why passing is over: which side ended it ("" for neither) and how. stalled: it does not read what is sent to it."""

    link: str
    closed: LinkClosed
    stalled: bool = False

    def told(self) -> LinkClosed:
        """How the other side learns of it: as it came, where a close frame can say that."""
        if not self.link or (self.closed.close_code != LOST and not self.stalled):
            return self.closed
        what = "takes nothing any more" if self.stalled else "was lost"
        if self.link != CALLER:
            return LinkClosed(1011, f"TL314 the provider's connection {what}")
        return LinkClosed(1001, f"the caller's connection {what}")

    def ending(self) -> e.SessionEnding:
        """What that is for the session."""
        detail = f"{self.closed.close_code} {self.closed.reason}".strip()
        if not self.link:
            return e.SessionEnding(reason=self.closed.reason)
        if self.link != CALLER:
            return e.SessionEnding(reason="provider_lost", code="TL314", detail=detail)
        lost = self.closed.close_code == LOST or self.stalled
        return e.SessionEnding(reason="caller_lost" if lost else "caller_gone", detail=detail)


class Relayed(ABC):
    """A proxied session."""

    def __init__(self, core: SessionCore, relay_log: RelayLog, clock: Clock) -> None:
        self._core = core
        self._log = relay_log
        self._clock = clock
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

    # --- the session's task ---

    async def drive(self) -> None:
        """Run to the end. What went wrong with the log is what ended() raises."""
        writing = asyncio.create_task(self._log.run())
        gone = Gone("", LinkClosed(LOST, "engine_fault"))
        try:
            gone = await self._pass(writing)
        except Exception:
            log.exception("session %s stopped by a fault of the engine", self.id)
        finally:  # cancelled, too
            self._log.finish(lambda now_ns: self._end(gone, now_ns))
            await asyncio.shield(asyncio.wait([writing]))
            self._settle(writing)

    @abstractmethod
    async def _pass(self, writing: asyncio.Task[None]) -> Gone:
        """Pass and record until it is over; nothing stands any more then."""

    def _as_asked(self) -> Gone:
        reason = self._asked.result()
        return Gone("", LinkClosed(1001 if reason == "engine_stopped" else 1000, reason))

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

    def _end(self, gone: Gone, now_ns: int) -> None:
        """Record the end."""
        core, told = self._core, gone.told()
        links = core.state.links
        standing = [*links.callers, *([] if links.provider is None else [links.provider])]
        if gone.link in standing:
            core.record(e.LinkClosed(link=gone.link, code=gone.closed.close_code, reason=gone.closed.reason), e.Root.HOST, now_ns)
        core.ending(gone.ending(), now_ns, e.Root.HOST if gone.link else e.Root.API)
        for link in standing:
            if link != gone.link:
                core.record(e.LinkClosed(link=link, code=told.close_code, reason=told.reason), core.seq, now_ns)
        while not core.ended:
            core.close_when_done(now_ns)
