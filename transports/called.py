"""What a control plane runs for the calls of this process: known by the call's idempotency key, cancelled when the call is over.

Only the answer to a request says what the request has begun. So one that is given up goes on to its answer, at most so long, and
what it began is cancelled then if nobody has taken the call up again.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from .control_plane import Submitted

__all__ = ["CLOSE_S", "LATE_S", "Called"]

LATE_S: Final = 30.0
"""For the answer to a request whose call is over."""
CLOSE_S: Final = 3.0
"""For what is being cancelled when all is closed."""

log = logging.getLogger("turnlog")


class Called:
    """cancel: cancels an execution, and never raises. begun: the execution that an answer says runs now, or "".

    late_s, close_s: see LATE_S and CLOSE_S.
    """

    def __init__(
        self,
        cancel: Callable[[str], Coroutine[Any, Any, None]],
        begun: Callable[[Submitted], str],
        *,
        late_s: float = LATE_S,
        close_s: float = CLOSE_S,
    ) -> None:
        self._cancel = cancel
        self._begun = begun
        self._late_s = late_s
        self._close_s = close_s
        self._open: dict[str, str] = {}  # key -> the execution that runs for it
        self._unanswered: dict[str, set[asyncio.Task[Submitted]]] = {}  # key -> requests whose attempt was given up
        self._tasks: set[asyncio.Task[Any]] = set()

    async def begin(self, key: str, request: Callable[[], Coroutine[Any, Any, Submitted]]) -> Submitted:
        """The answer to one request that begins an execution."""
        asked = self._task(request())
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            self._unanswered.setdefault(key, set()).add(asked)
            if key:
                asked.add_done_callback(partial(self._answered, key))
            else:  # no other attempt could find it
                self.left(key)
            raise

    def runs(self, key: str, execution: str) -> None:
        """What runs for a call. An attempt that is given up leaves it there: the next one of the call finds it by its key."""
        if key:
            self._open[key] = execution

    def ended(self, key: str) -> None:
        """It has run."""
        self._open.pop(key, None)

    def left(self, key: str) -> None:
        """The call is over. What runs for it still, or turns out to, is cancelled, beside the rest."""
        if execution := self._open.pop(key, ""):
            self._task(self._cancel(execution))
        for asked in self._unanswered.pop(key, ()):
            self._task(self._cancel_when_known(asked))

    async def close(self) -> None:
        """Returns when what is being cancelled is, at the latest after close_s; what else is under way is dropped."""
        kept = [asked for requests in self._unanswered.values() for asked in requests]  # of calls that somebody goes on with
        self._unanswered.clear()
        if wanted := self._tasks.difference(kept):
            await asyncio.wait(wanted, timeout=self._close_s)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _answered(self, key: str, asked: asyncio.Task[Submitted]) -> None:
        """A request that was given up has its answer. Its call may have gone on with another attempt, and is over with that."""
        waiting = self._unanswered.get(key, set())
        if asked not in waiting:
            return  # the call is over: what cancels it looks at the answer
        waiting.discard(asked)
        if not waiting:
            del self._unanswered[key]
        if execution := self._running(asked):
            self._open.setdefault(key, execution)

    async def _cancel_when_known(self, asked: asyncio.Task[Submitted]) -> None:
        await asyncio.wait([asked], timeout=self._late_s)
        if not asked.done():
            asked.cancel()
            log.warning("a request was not answered within %g s: what it has begun cannot be cancelled", self._late_s)
        elif execution := self._running(asked):
            await self._cancel(execution)

    def _running(self, asked: asyncio.Task[Submitted]) -> str:
        return "" if asked.cancelled() or asked.exception() else self._begun(asked.result())

    def _task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name="an execution elsewhere")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
