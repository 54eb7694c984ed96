"""What of a session goes to its log when: with its own append, or, if nothing follows from it, with a later one."""

from .session_log import SessionLog
from .step import Behind, Step

__all__ = ["Writing"]


class Writing:
    """The steps of one session on their way to its log."""

    def __init__(self, log: SessionLog) -> None:
        self._log = log
        self._behind = Behind()

    @property
    def due_ns(self) -> int | None:
        """When what waits must go."""
        return self._behind.due_ns

    def is_due(self, now_ns: int) -> bool:
        """Whether something has waited for as long as it may."""
        return self._behind.is_due(now_ns)

    def lets_wait(self, step: Step, now_ns: int) -> bool:
        """Whether a step goes with a later append: nothing follows from it, and what waits need not go now."""
        if not step.can_wait() or self.is_due(now_ns):
            return False
        self._behind.add(step, now_ns)
        return True

    async def write(self, step: Step, *, ended: bool) -> None:
        """Commit a step and all that waits; until this returns nothing of it has happened for anyone else.

        Raises StoreError.
        """
        events, segments = step.staged, step.segments
        if self._behind.due_ns is not None:
            before, held = self._behind.take()
            events, segments = [*before, *events], [*held, *segments]
        if events:
            await self._log.append(events, segments, ended=ended)
