"""The open calls of a served model: each is a session with one peer that carries the media, found by its id until it ends.

A call is a task of its own: the request that opened it was answered long before it ends. Who hangs up waits for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from msgspec import structs

from ...core.errors import LinkError
from ...core.ports import Link
from .observed import ObservedLink
from .opening import Opening

__all__ = ["Answer", "Calls"]

_log: Final = logging.getLogger("turnlog.providers")

Answer = Callable[[str], Awaitable[tuple[Link, str]]]
"""Answers an SDP offer: the link of the peer that made it, which plays what it is sent, and the SDP for it."""
Run = Callable[[Link, Opening], Awaitable[None]]
"""Serves a session over a link until that is closed."""


class _Call(NamedTuple):
    link: ObservedLink
    task: asyncio.Task[None]


class Calls:
    """The calls of one server. new_id: makes call ids that nobody can guess."""

    def __init__(self, answer: Answer, run: Run, new_id: Callable[[], str]) -> None:
        self._answer = answer
        self._run = run
        self._new_id = new_id
        self._open: dict[str, _Call] = {}
        self._left: tuple[int, str] | None = None

    async def open(self, offer: str, opening: Opening) -> tuple[str, str]:
        """A new call: its id, and the SDP answer. Raises what answering the offer raises, LinkError TL301 after close()."""
        media, sdp = await self._answer(offer)
        if self._left is not None:
            await media.close(*self._left)
            raise LinkError("TL301", f"the call cannot be taken: {self._left[1]}")
        call, link = self._new_id(), ObservedLink(media)
        task = asyncio.create_task(self._serve(call, link, structs.replace(opening, plays=True)), name=f"turnlog call {call}")
        self._open[call] = _Call(link, task)
        return call, sdp

    def find(self, call: str) -> ObservedLink | None:
        """The call of this id; None if there is none, or none any more."""
        found = self._open.get(call)
        return None if found is None else found.link

    async def hang_up(self, call: str, code: int = 1000, reason: str = "") -> bool:
        """End a call and wait until it has ended; False if there is none of this id."""
        found = self._open.get(call)
        if found is None:
            return False
        await found.link.hang_up(code, reason)
        await asyncio.wait((found.task,))
        return True

    async def close(self, code: int, reason: str) -> None:
        """Hang up everywhere; an offer that is being answered makes no call any more."""
        self._left = (code, reason)
        await asyncio.gather(*(self.hang_up(call, code, reason) for call in tuple(self._open)))

    async def _serve(self, call: str, link: ObservedLink, opening: Opening) -> None:
        code, reason = 1000, "the call has ended"
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(link.carry())
                await self._run(link, opening)
                reading.cancel()
        except Exception:
            _log.exception("a call failed")
            code, reason = 1011, "the session of the call failed"
        finally:
            del self._open[call]
            await link.close(code, reason)
