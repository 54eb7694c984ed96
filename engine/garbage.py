"""When a process that holds calls looks for its cyclic garbage: in moments without a session, not while somebody speaks.

A full collection stops every session for as long as it takes to look at all objects of all of them (0.1 to 0.8 s for 540). What
a session leaves in circles is little, but collections alone give it back: put off, never given up.
"""

import asyncio
import gc
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context

from ..core.core import Staged
from .engine import Engine

__all__ = ["collections_when_idle"]

IDLE_S = 1.0
MOST_ENDED = 200
_RARELY = 1000  # collections of the middle generation between two full ones of Python's own; it has 10


@contextmanager
def collections_when_idle(engine: Engine, *, idle_s: float = IDLE_S, most_ended: int = MOST_ENDED) -> Iterator[None]:
    """Let full garbage collections of this process wait for moments in which `engine` runs no session.

    What is there when this is entered (modules, the application) is looked at once and then left out of all collections until
    this is left (gc.freeze). From then on a full collection is run when sessions have ended and none runs for `idle_s` seconds,
    and where that never happens each time that `most_ended` sessions have ended, since what they left must be bounded. Python's
    own full collections become rare instead of impossible: what else the program leaves behind is found, too. Young objects are
    collected as ever. Meant for the one engine of a process, entered once it has started, in its event loop; the process's
    settings are put back at the end.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(before[0], before[1], max(before[2], _RARELY))
    ended = _Ended(engine, idle_s, most_ended)
    engine.observers.add(ended)
    try:
        yield
    finally:
        engine.observers.remove(ended)
        ended.stop()
        gc.set_threshold(*before)
        gc.unfreeze()


class _Ended:
    """An observer: counts the sessions that have ended since the last full collection, and runs the next."""

    def __init__(self, engine: Engine, idle_s: float, most_ended: int) -> None:
        self._engine = engine
        self._idle_s = idle_s
        self._most = most_ended
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def appended(self, session: str, staged: Sequence[Staged], seconds: float) -> None:
        """Nothing."""

    def around(self, session: str, seq: int) -> AbstractContextManager[object]:
        """Nothing."""
        return nullcontext()

    def closed(self, session: str, failure: BaseException | None) -> None:
        """Look a while later: at this moment the session's own tasks still hold it."""
        self._count += 1
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(self._idle_s, self._look, context=Context())  # not the session's
        if self._count >= self._most:
            self._collect()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if not self._engine.sessions and not self._engine.proxied.sessions:
            self._collect()

    def _collect(self) -> None:
        self._count = 0
        gc.collect()
