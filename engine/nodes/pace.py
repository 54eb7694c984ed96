"""How fast an engine reads a node: so many messages a second, and no further ahead than its sessions follow.

What the node sends beyond that waits at the node, by TCP; nothing is refused and nothing is lost. So no node fills the engine's
memory, and none takes more than its part of the loop on which all sessions run.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from ...core.bucket import Bucket
from .remote import RemoteRun

__all__ = ["MESSAGES_S", "WAITING_BYTES", "Pace"]

MESSAGES_S: Final = 2000.0
"""Messages a second of one node. A session that is spoken with makes about ten."""
WAITING_BYTES: Final = 4 * 1024 * 1024
"""What a node's sessions may have been told by it and not taken up yet, and one message more."""
_IN_A_ROW: Final = 32  # messages; then the others have a turn, though more lie there
_LOOK_S: Final = 0.002

log = logging.getLogger("turnlog")


class Pace:
    """Of one link. runs: the sessions behind it; one that is gone from there is waited for no more."""

    def __init__(self, node: str, messages_s: float, runs: Mapping[str, RemoteRun]) -> None:
        self._node = node
        self._messages_s = messages_s
        self._runs = runs
        self._bucket = Bucket(messages_s, asyncio.get_running_loop().time())
        self._taken: dict[str, int] = {}  # bytes for each session since all had taken up theirs
        self._slowed = False

    async def message(self, taken: int) -> None:
        """Return when the next message may be looked at; so many were before."""
        if taken % _IN_A_ROW == _IN_A_ROW - 1:
            await asyncio.sleep(0)
        while wait_s := self._bucket.take(asyncio.get_running_loop().time()):
            self._tell(f"more than {self._messages_s:g} messages a second (node_messages_s)")
            await asyncio.sleep(wait_s)

    async def followed(self, session: str, size: int) -> None:
        """Return when the sessions have taken up what they were told, if that is much; `session` was told `size` bytes more."""
        self._taken[session] = self._taken.get(session, 0) + size
        if sum(self._taken.values()) <= WAITING_BYTES:
            return
        while left := [one for one in self._taken if one in self._runs and not self._runs[one].is_idle]:
            self._tell(f"more than {WAITING_BYTES} bytes that its sessions have not taken up")
            self._taken = {one: self._taken[one] for one in left}
            await asyncio.sleep(_LOOK_S)
        self._taken.clear()

    def _tell(self, what: str) -> None:
        if not self._slowed:
            self._slowed = True
            log.warning("TL322 node %s sent %s: it is read more slowly from here on", self._node, what)
