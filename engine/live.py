"""A running session, seen from the embedding program: its loop, its links and its end."""

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from typing import Any

from ..core import events as e
from ..core.definition import SessionDefinition
from ..core.errors import LinkError, TurnlogError
from ..core.ports import Link, Provider
from ..transports.realtime.caller_leg import CallerLeg
from ..transports.realtime.provider_leg import ProviderLeg
from .inbox import Ending, Failed
from .run import SessionRun, in_callback

__all__ = ["LiveSession"]

log = logging.getLogger("turnlog")


class LiveSession:
    """A session that this engine runs. Made by Engine.start."""

    def __init__(self, run: SessionRun, started: e.SessionStarted, provider: Provider) -> None:
        self._run = run
        self._started = started
        self._provider = provider
        self._children: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[e.SessionEnded] = asyncio.get_running_loop().create_future()
        self._names = {"p": 0, "c": 0}

    @property
    def id(self) -> str:
        """The session's id, its name in the store."""
        return self._started.session

    @property
    def target(self) -> str:
        """<app>.<session>"""
        return self._started.target

    @property
    def definition(self) -> SessionDefinition:
        """What it was declared to be."""
        return self._started.definition

    async def ended(self) -> e.SessionEnded:
        """Wait for the end: its reason, code and detail. Raises StoreError if the log could not be written any more."""
        return await asyncio.shield(self._ended)

    def end(self, reason: str = "ended", *, drain: bool = True) -> None:
        """Ask the session to end; says that are queued are spoken first if `drain`."""
        self._run.inbox.put(Ending(e.SessionEnding(reason=reason, drain=drain)))

    def attach(self, link: Link, *, transport: str = "in_process", peer: str = "") -> str:
        """Attach a caller: from here its audio and text reach the session, and it hears what is said. Returns the line's name.

        Raises TurnlogError TL102 when the session has ended.
        """
        if self._ended.done():
            raise TurnlogError("TL102", f"session {self.id} has ended", "start a new session for this caller")
        name = self._name("c")
        leg = CallerLeg(name, self.definition.model or "", _id)
        self._spawn(self._run.attach(name, link, leg, transport, peer))
        return name

    # --- the session's task ---

    async def begin(self) -> None:
        """Commit the session's beginning, and let the handler run to its first await."""
        self._run.effects.spawn = self._spawn
        await self._run.round([])

    async def drive(self) -> None:
        """Run to the end. Never raises: what went wrong is what ended() raises."""
        failure: BaseException | None = None
        try:
            self._spawn(self._connect())
            await self._run.run()
        except TurnlogError as error:
            failure = error
            log.error("session %s stopped: %s", self.id, error)
        except Exception as error:
            failure = error
            log.exception("session %s stopped by a fault of the engine", self.id)
        except asyncio.CancelledError as error:
            failure = error
            raise
        finally:
            await asyncio.shield(self._close(failure))

    async def _close(self, failure: BaseException | None) -> None:
        ending = self._run.core.state.life.ending
        reason = ending.reason if ending else "stopped"
        in_order = failure is None and reason in ("completed", "caller_gone", "ended")
        for line in list(self._run.lines.values()):
            await line.link.close(1000 if in_order else 1011, reason if failure is None else "the session's log failed")
        for child in list(self._children):
            child.cancel()
        await asyncio.gather(*self._children, return_exceptions=True)
        await in_callback(self._run.handler.close)
        if failure is not None:
            self._ended.set_exception(failure)
            self._ended.exception()  # logged above; ended() raises it for whoever asks
        else:
            self._ended.set_result(e.SessionEnded(reason=reason, code=ending.code, detail=ending.detail) if ending else _END)

    async def _connect(self) -> None:
        try:
            link = await self._provider.connect(self.definition, self.id)
        except TurnlogError as error:
            self._run.inbox.put(Failed(error))
        except OSError as error:
            self._run.inbox.put(Failed(LinkError("TL301", f"{self.definition.provider}: {error}", "is the service up?")))
        else:
            name = self._name("p")
            leg = ProviderLeg(name, [tool.definition() for tool in self._run.effects.allowed()])
            await self._run.attach(name, link, leg, self.definition.transport, self.definition.provider)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """A task of this session: ended with it, its failures the session's."""
        task = asyncio.create_task(work)
        self._children.add(task)
        task.add_done_callback(self._child_done)

    def _child_done(self, task: asyncio.Task[None]) -> None:
        self._children.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("session %s: a task failed", self.id, exc_info=error)
            detail = f"{type(error).__name__}: {error}"
            self._run.inbox.put(Ending(e.SessionEnding(reason="engine_fault", detail=detail)))

    def _name(self, side: str) -> str:
        self._names[side] += 1
        return f"{side}{self._names[side]}"


_END = e.SessionEnded(reason="stopped")


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(10)}"
