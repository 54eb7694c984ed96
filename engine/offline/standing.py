"""Where a handler stands: its own frames among those of the loop that drives it, for reports and for the debugger."""

from collections.abc import Callable, Sequence
from types import CodeType, FrameType
from typing import Any

from ..app import Handler
from ..handlers.frames import is_own
from ..handlers.handler_run import HandlerRun

__all__ = ["Kept", "own_frames", "standing_frames"]


def own_frames(frames: Sequence[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    """Those that are neither asyncio's nor the engine's."""
    return [frame for frame in frames if is_own(frame[0])]


class Kept:
    """A handler whose frame stays readable after it has ended."""

    def __init__(self, handler: Handler) -> None:
        self._handler: Callable[..., Any] = handler
        self.frame: FrameType | None = None
        self.coro: Any = None

    @property
    def __code__(self) -> CodeType:
        code: CodeType = self._handler.__code__
        return code

    def __call__(self, session: Any) -> Any:
        self.coro = self._handler(session)
        self.frame = getattr(self.coro, "cr_frame", None)
        return self.coro


def standing_frames(run: HandlerRun, kept: Kept) -> list[tuple[FrameType, int]]:
    """The handler's own frames with their lines, outermost first: where it awaits, raised or returned."""
    if run.failure is not None:
        frames, traceback = [], run.failure.__traceback__
        while traceback:
            frames.append((traceback.tb_frame, traceback.tb_lineno))
            traceback = traceback.tb_next
    elif run.finished:
        frames = [(kept.frame, kept.frame.f_lineno)] if kept.frame else []
    else:
        frames = [(frame, frame.f_lineno) for frame in _awaiting(kept.coro)]
    return [(frame, line) for frame, line in frames if is_own(frame.f_code.co_filename)]


def _awaiting(coro: Any) -> list[FrameType]:
    frames: list[FrameType] = []
    seen: set[int] = set()
    while coro is not None and id(coro) not in seen:
        seen.add(id(coro))
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
        if frame is not None:
            frames.append(frame)
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None)
    return frames
