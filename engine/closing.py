"""What the peers of a session are told when their links are closed, and what `ended` raises for one that was left. Pure."""

from ..core import events as e
from ..core.errors import TurnlogError

__all__ = ["close_of", "left"]

_CLOSE = {"provider_lost": 1011, "handler_failed": 1011, "engine_fault": 1011, "engine_stopped": 1001}  # else 1000


def left(session: str) -> TurnlogError:
    """The session has no end: the engine left it."""
    hint = "its log has no end: it can be replayed as far as it goes, and forked"
    return TurnlogError("TL508", f"session {session} was left while it ran: the engine stopped", hint)


def close_of(ending: e.SessionEnding | None, failure: BaseException | None) -> tuple[int, str]:
    """A code of WebSocket's, and why."""
    if isinstance(failure, TurnlogError) and failure.code == "TL508":
        return 1012, "engine_restarts"
    if failure or not ending:
        return 1011, "the session failed"
    return _CLOSE.get(ending.reason, 1000), ending.reason
