"""A session's tools that its clients have run by HTTP: who asked for what, and what came of it, in the session's log.

A tool runs once the request for it is durable, as those of the handler do. Neither the handler nor any decision learns of it, and
so no replay does.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import msgspec

from ..core import events as e
from ..core.core import Staged
from ..core.errors import TurnlogError
from .executions import Execution
from .live import LiveSession
from .observing import Observers

__all__ = ["OutsideCall"]

_PATIENCE_S = 10.0  # for the log: longer than that an append is not under way, but stuck


class OutsideCall:
    """One of them. `enter` it before the tool runs, then tell its end by `ended` or `passed_on`."""

    def __init__(self, live: LiveSession, asked: e.OutsideCallRequested) -> None:
        self._live = live
        self._asked = asked
        self._seq = 0

    async def enter(self, observers: Observers) -> None:
        """Returns once the request is in the log. Raises TurnlogError TL102 for a session that has ended, or ends meanwhile."""
        waiting = _Waiting(self._live.id, self._asked.execution)
        observers.add(waiting)  # only meanwhile: a session that nobody watches pays nothing
        try:
            self._live.enter(self._asked)
            async with asyncio.timeout(_PATIENCE_S):
                self._seq = await waiting.seq
        except TimeoutError:
            pass
        finally:
            observers.remove(waiting)
        if not self._seq:
            raise TurnlogError("TL102", f"session {self._live.id} has ended", "start a new session for this caller")

    def ended(self, one: Execution) -> None:
        """It ran here."""
        output = _json(one.result) if one.status == "succeeded" else ""
        self._tell(e.OutsideCallEnded(execution=self._asked.execution, status=one.status, output=output, error=one.error))

    def passed_on(self, elsewhere: str) -> None:
        """Another control plane has taken it, and calls it so."""
        self._tell(e.OutsideCallEnded(execution=self._asked.execution, status="passed_on", elsewhere=elsewhere))

    def failed(self, why: str) -> None:
        """It could not be begun."""
        self._tell(e.OutsideCallEnded(execution=self._asked.execution, status="failed", error=why))

    def _tell(self, event: e.OutsideCallEnded) -> None:
        with suppress(TurnlogError):  # the session has ended: its log is closed
            self._live.enter(event, self._seq)


def _json(result: Any) -> str:
    try:
        return msgspec.json.encode(result).decode()
    except (TypeError, ValueError):  # keys that JSON has not: what the client was told of it cannot be read either
        return ""


class _Waiting:
    """An observer until the request is in the log; its seq, or 0 where the session has ended."""

    def __init__(self, session: str, execution: str) -> None:
        self._session = session
        self._execution = execution
        self.seq: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def appended(self, session: str, staged: Sequence[Staged], seconds: float) -> None:
        """See Observer."""
        for one in staged if session == self._session else ():
            if isinstance(one.event, e.OutsideCallRequested) and one.event.execution == self._execution:
                self._set(one.seq)

    def around(self, session: str, seq: int) -> AbstractContextManager[object]:
        """See Observer."""
        return nullcontext()

    def closed(self, session: str, failure: BaseException | None) -> None:
        """See Observer."""
        if session == self._session:
            self._set(0)

    def _set(self, seq: int) -> None:
        if not self.seq.done():
            self.seq.set_result(seq)
