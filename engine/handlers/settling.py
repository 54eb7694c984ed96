"""What a handler's journal needs of the loop that the handler runs on, whichever that is."""

import asyncio
from typing import Any, Protocol

__all__ = ["SettlingLoop"]


class SettlingLoop(Protocol):
    """Makes futures and settles them. `closing`: nothing is issued any more. `now_ns`: of the event delivered last."""

    @property
    def closing(self) -> bool:
        """Whether the handler is being ended."""

    @property
    def now_ns(self) -> int:
        """ns since the Unix epoch."""

    def create_future(self) -> asyncio.Future[Any]:
        """A future of the loop."""

    def settle(self, future: asyncio.Future[Any], result: object = None, error: BaseException | None = None) -> bool:
        """Complete a future from an event. False, and nothing done, if it was done or cancelled before."""
