"""The session that an AgentField handler is given: its SDK's surface, on a turnlog session.

In that SDK every keyword of `say` is metadata, every keyword of `call` belongs to its target, and results are plain dicts. What
else a RealtimeSession of turnlog has is here too, under the same names.
"""

from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

from ...core import commands as c
from ...core.turn import SessionTurn
from ..handlers.session import RealtimeSession

__all__ = ["CURRENT", "AgentSession"]


class AgentSession:
    """AgentField's RealtimeSession. app: the agent; definition: as its SDK made it."""

    def __init__(self, app: Any, definition: Any, session: RealtimeSession) -> None:
        self.app = app
        self.definition = definition
        self.session_id = session.session_id
        self.metadata = session.metadata
        self.realtime = session

    def input(self, *, timeout: float | None = None) -> Coroutine[Any, Any, SessionTurn]:
        """The user's next turn; raises as RealtimeSession.input."""
        return self.realtime.input(timeout=timeout)

    async def say(self, text: Any, **metadata: Any) -> dict[str, Any]:
        """Have it spoken. Returns, once that is durable, what stands in `outbox`; raises as RealtimeSession.say.

        text: words, or an answer of `app.ai` as it came, whose text is meant.
        """
        if not isinstance(text, str) and isinstance(words := getattr(text, "text", None), str) and hasattr(text, "audio"):
            text = words
        kept: dict[str, Any] = c.plain(metadata, "say() metadata")
        await self.realtime.say(text, metadata=kept)
        return {"type": "speech", "text": text, "metadata": kept}

    async def call(self, *args: Any, **kwargs: Any) -> Any:
        """Invoke a reasoner or skill, "node.name" or a name of this node's; its result as plain values.

        The target goes first, or as `target=` where nothing goes by position. Raises as RealtimeSession.call.
        """
        given = args or (kwargs.pop("target", None),)
        return await self.realtime.call(*given, **kwargs)

    @property
    def outbox(self) -> list[dict[str, Any]]:
        """What was said so far."""
        return self.realtime.outbox

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "realtime":
            raise AttributeError(f"a session has no {name!r}")
        return getattr(self.realtime, name)


CURRENT: ContextVar[AgentSession | None] = ContextVar("turnlog_agentfield_session", default=None)
"""The session whose handler runs. Steps and tools run in the host's context, where it is None."""
