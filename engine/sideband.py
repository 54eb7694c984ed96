"""The sideband of a direct call: joined when the provider has taken it, joined anew when it is lost, until the call is over.

A call that has just been taken may not be known to the provider's other servers yet: they answer 404 for some seconds. Once a
sideband has stood, 404 means that the call has ended. So when one is lost it is asked at once, and only then told: a caller who
hung up is no gap.
"""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, Final

from ..core import events as e
from ..core.errors import LinkClosed, TurnlogError
from ..core.ports import Calls, Link
from ..transports.callers.direct import DirectCaller
from .inbox import Failed, OfCall

__all__ = ["JOIN_S", "REJOIN_S", "Sideband"]

JOIN_S: Final = 5.0
"""For so long a call that was just taken may be unknown."""
REJOIN_S: Final = 20.0
"""For so long a lost sideband is tried again."""
_LOOK_S: Final = 1.0  # how long the loss of one is kept back until it is known whether the call goes on
_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)

Attach = Callable[[int, Link], Coroutine[Any, Any, None]]
Told = Callable[[OfCall | Failed], None]


class Sideband:
    """Keeps one. `told` takes what becomes of the call, `attach` makes the n-th line of a link: what reads it to its end."""

    def __init__(
        self, calls: Calls, call_id: str, caller: DirectCaller, told: Told, attach: Attach
    ) -> None:
        self._calls = calls
        self._call_id = call_id
        self._caller = caller
        self._told = told
        self._attach = attach
        self._looking: asyncio.Task[Link | TurnlogError] | None = None  # for the next one, when one was lost

    async def follow(self) -> None:
        """Until the call is over, or its sideband cannot be had."""
        try:
            link = await self._join(JOIN_S, None)
            for n in count(1):
                if link is None:
                    return
                await self._attach(n, _Watched(link, self._lost))
                if self._looking is None:  # our own end has closed it
                    return
                looking, self._looking = self._looking, None
                link = await self._join(REJOIN_S, looking)
        finally:
            await self._stop_looking()

    async def _stop_looking(self) -> None:
        """What was under way when the session ended leaves nothing open."""
        if self._looking is not None:
            self._looking.cancel()
            (found,) = await asyncio.gather(self._looking, return_exceptions=True)
            if not isinstance(found, BaseException):
                await found.close()

    async def _lost(self) -> None:
        """A sideband has closed: see whether the call goes on, before anybody is told."""
        self._looking = asyncio.create_task(self._try())
        await asyncio.wait([self._looking], timeout=_LOOK_S)
        if self._looking.done():
            self._has_ended(self._looking.result())

    def _has_ended(self, outcome: Link | TurnlogError) -> bool:
        """Whether the call is over; that is told."""
        ended = isinstance(outcome, TurnlogError) and outcome.code == "TL312"
        if ended:
            self._told(OfCall(e.CallEnded(call_id=self._call_id, reason="the provider does not know it any more")))
            self._caller.over("the call has ended")
        return ended

    async def _join(self, patience_s: float, looking: asyncio.Task[Link | TurnlogError] | None) -> Link | None:
        """A sideband, or None if there is none to be had: why is told. looking: an attempt that is under way."""
        until_s = asyncio.get_running_loop().time() + patience_s
        pauses = list(_PAUSES_S)
        knows = looking is not None  # a call that has had a sideband
        while True:
            outcome = await (looking or self._try())
            looking = None
            if not isinstance(outcome, TurnlogError) or (knows and self._has_ended(outcome)):
                return None if isinstance(outcome, TurnlogError) else outcome
            pause_s = pauses.pop(0) if len(pauses) > 1 else pauses[0]
            if outcome.code == "TL303" or asyncio.get_running_loop().time() + pause_s > until_s:
                self._told(Failed(outcome))
                return None
            await asyncio.sleep(pause_s)

    async def _try(self) -> Link | TurnlogError:
        try:
            return await self._calls.join_call(self._call_id)
        except TurnlogError as error:
            return error


class _Watched:
    """A link whose loss is told to `lost` before whoever reads it learns of it."""

    def __init__(self, link: Link, lost: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._link = link
        self._lost = lost
        self._is_ours = False  # we have closed it
        self.send = link.send

    async def receive(self) -> bytes:
        """The next message. Raises LinkClosed."""
        try:
            return await self._link.receive()
        except LinkClosed:
            if not self._is_ours:
                await self._lost()
            raise

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the sideband; the call is another matter."""
        self._is_ours = True
        await self._link.close(code, reason)
