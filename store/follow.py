"""One session's events as they are committed, to its end: what `turnlog tail` and the API's event stream read."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from time import monotonic

from ..core import events as e
from ..core.ports import Recorded
from .awake import Awake
from .port import Store

__all__ = ["follow"]

_PAUSE_S = 0.05  # a commit of any session wakes all who follow one: a busy store must not be read for each of them
_END = e.SessionEnded.__name__


async def follow(
    store: Store,
    session: str,
    *,
    after: int = 0,
    semantic: bool = False,
    idle_s: float | None = None,
    alive: Callable[[], bool] = lambda: True,
) -> AsyncGenerator[Recorded | None, None]:
    """The session's events behind event `after`, then each as it comes, up to SessionEnded or until the store is closed.

    semantic: without those of the wire. idle_s: None is given whenever nothing came for so long. alive: whether anybody
    still writes it; once nobody does, what is there is the end. Raises StoreError TL408.
    """
    given_s = monotonic()
    with Awake(store.tail) as awake:
        while True:
            awake.arm()
            last = store.tail.closed or not alive()
            async for recorded in store.read(session, after=after, semantic=semantic):
                after, given_s = recorded.seq, monotonic()
                yield recorded
                if recorded.type == _END:
                    return
            if last:
                return
            if idle_s is not None and monotonic() - given_s >= idle_s:
                given_s = monotonic()
                yield None
            await awake.wait()
            await asyncio.sleep(_PAUSE_S)
