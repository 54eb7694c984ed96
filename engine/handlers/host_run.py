"""One handler declared with replay=False: a task of the host's loop, free to do I/O, to use threads and to look at the clock.

It has the same RealtimeSession and its commands enter the same log in the same way, but at moments of its own: they go to
`put` as they are issued. Its timers and tasks are the host's, so they are in no log, and no replay can repeat it.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from ...core import commands as c
from ...core import events as e
from ...core.errors import HandlerError
from ..app import Handler
from .asking import Asking
from .await_stack import await_stack
from .handler_run import Asked, definition_site, how_it_ended
from .journal import Journal
from .session import RealtimeSession

__all__ = ["HostRun"]

_GRACE_S = 0.1  # for what a handler does on the session's end without waiting for anything else


class _HostLoop:
    """The loop this was made on, as a journal needs it."""

    def __init__(self, at_ns: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.closing = False
        self.now_ns = at_ns

    def create_future(self) -> asyncio.Future[Any]:
        """A future of the host's loop."""
        return self.loop.create_future()

    def settle(self, future: asyncio.Future[Any], result: object = None, error: BaseException | None = None) -> bool:
        """Complete it, if it waits still."""
        if future.done():
            return False
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
        return True


class _HostAsking(Asking):
    """Hands on each command at once. `cause`: the seq of the event delivered last."""

    def __init__(self, host: _HostLoop) -> None:
        super().__init__(host)
        self.cause = 0
        self.put: Callable[[Asked], None]
        self._host = host

    def check_inside(self, call: str) -> None:
        """Refuse a call from another thread or loop."""
        if asyncio._get_running_loop() is not self._host.loop:
            why = "a session is driven by one event loop, and this is another thread or loop"
            hint = "from a thread: asyncio.run_coroutine_threadsafe(…, loop), with the loop the handler runs on"
            raise HandlerError("TL104", f"{call}: {why}", hint)

    def issue(self, command: c.Command, site: c.Site | None = None) -> int:
        """Take the next index, and hand the command on. Raises HandlerError TL104 in another thread or loop."""
        index = super().issue(command, site)
        for one in self.take():
            self.put(Asked(one, self.cause))
        return index


class HostRun:
    """A handler's task on the host's loop; to whoever drives the session it looks like a HandlerRun."""

    caught_up: Final = True

    def __init__(self, handler: Handler, started: e.SessionStarted, at_ns: int) -> None:
        self.loop = _HostLoop(at_ns)
        self._asking = _HostAsking(self.loop)
        self.journal = Journal(self._asking)
        self.finished = False
        self.failure: BaseException | None = None
        self._handler = handler
        self._session = RealtimeSession(self.journal, started)

    def connect(self, put: Callable[[Asked], None]) -> None:
        """Where its commands go. Before start()."""
        self._asking.put = put

    def start(self, seq: int) -> list[Asked]:
        """Begin: the handler's task is made; it runs when the host's loop comes to it. seq: of SessionStarted."""
        self._asking.cause = seq
        self._task = self.loop.loop.create_task(self._main(), name=f"handler of {self._session.session_id}")
        return []

    def observe(self, seq: int, at_ns: int, event: e.Event) -> None:
        """See every event in log order, before `deliver` if it is one of DELIVERED."""
        self.journal.record.observe(seq, at_ns, event)

    def deliver(self, seq: int, at_ns: int, event: e.Event) -> list[Asked]:
        """Give the handler one event of DELIVERED; what it asks for then goes to `put`."""
        self.loop.now_ns, self._asking.cause = at_ns, seq
        self.journal.deliver(seq, event)
        return []

    def next_timer(self) -> tuple[int, int] | None:
        """None: its timers are the host's."""
        return None

    def waits_at(self) -> list[tuple[str, int, str]]:
        """Where the handler stands: (file, line, function) frames, outermost first."""
        return [] if self.finished else list(await_stack(self._task))

    async def stop(self, patience_s: float) -> bool:
        """End the task: by what it was told, else by cancellation. False if even that did not end it in time."""
        await asyncio.wait([self._task], timeout=_GRACE_S)
        self.loop.closing = True
        self._task.cancel()
        await asyncio.wait([self._task], timeout=patience_s)
        return self._task.done()

    def close(self) -> None:
        """What it asks for from now on is swallowed."""
        self.loop.closing = True
        self.journal.waits.close()

    async def _main(self) -> None:
        try:
            await self._handler(self._session)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if self.loop.closing or self._task.cancelling():
                raise
            command, site = how_it_ended(error)
            self.failure = error if isinstance(command, c.Fail) else None
        else:
            command, site = c.Return(), None
        self.finished = True
        self.journal.issue(command, site or definition_site(self._handler))
