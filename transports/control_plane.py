"""Where reasoners of other nodes are run: what is known of a control plane, and what it can be asked. reasoners.py asks it."""

import os
from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from .environment import setting

__all__ = ["ControlPlane", "Executions", "Headers", "Submitted"]

Headers: TypeAlias = Mapping[str, str]


class ControlPlane(msgspec.Struct, frozen=True, kw_only=True):
    """A control plane of AgentField. webhook: the base URL at which it can reach this server; "": it is asked for results."""

    url: str
    key: str = ""
    webhook: str = ""

    @classmethod
    def from_environment(cls) -> "ControlPlane | None":
        """As AGENTFIELD_SERVER, AGENTFIELD_API_KEY and TURNLOG_WEBHOOK_URL say; None where no server is named."""
        url, webhook = (os.environ.get(name, "").strip().rstrip("/") for name in ("AGENTFIELD_SERVER", "TURNLOG_WEBHOOK_URL"))
        return cls(url=url, key=setting("AGENTFIELD_API_KEY"), webhook=webhook) if url else None

    def __repr__(self) -> str:
        return f"ControlPlane({self.url!r})"  # never the key

    def __rich_repr__(self) -> list[Any]:
        return [self.url]


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """What a control plane answered to a request, as it came."""

    status: int
    body: bytes
    content_type: str


class Executions(Protocol):
    """What a control plane can be asked."""

    async def run(self, target: str, given: Mapping[str, Any], headers: Headers) -> Any:
        """Run a reasoner and wait for its result."""

    def left(self, key: str) -> None:
        """Nobody waits any more for what was run with this idempotency key."""

    async def submit(self, target: str, body: bytes, headers: Headers) -> Submitted:
        """Pass a caller's own request on, once."""

    async def look(self, execution: str, headers: Headers) -> Submitted:
        """What became of an execution, as it is told."""

    def arrived(self, body: bytes, signature: str) -> None:
        """Take a webhook."""

    async def close(self) -> None:
        """Let go of the connections."""
