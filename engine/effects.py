"""What the log calls for outside of it: tools. Started only after their request is durable; results go to the inbox."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from ..core import events as e
from ..core.core import Staged
from .handler_run import words_of
from .inbox import CallDone, ToolDone
from .tools import Tool

__all__ = ["Effects"]


# Strategy: a tool may itself raise CancelledError (a task of its own was cancelled) or SystemExit; its caller must learn of it.
_RAISED = (Exception, asyncio.CancelledError, SystemExit)


def _stopped() -> bool:
    """Whether this task is being cancelled, as the session's end does."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Effects:
    """Runs the tools of one session, each as a task of the session (`spawn`, set by whoever drives it)."""

    def __init__(self, tools: dict[str, Tool], allowed: list[str]) -> None:
        self._tools = tools
        self._allowed = allowed
        self.spawn: Callable[[Coroutine[Any, Any, None]], None]

    def allowed(self) -> list[Tool]:
        """The tools that the model may call."""
        return [self._tools[name] for name in self._allowed]

    def start(self, staged: Staged, done: Callable[[Any], None]) -> None:
        """Start what this event calls for, if anything; `done` takes the CallDone or ToolDone."""
        match staged.event:
            case e.CallRequested():
                self.spawn(self._call(staged.seq, staged.event, done))
            case e.ToolRequested():
                self.spawn(self._answer(staged.seq, staged.event, done))

    async def _call(self, seq: int, requested: e.CallRequested, done: Callable[[Any], None]) -> None:
        command = requested.command
        try:
            result = await self._find(command.target, self._tools).invoke(command.args, command.kwargs)
        except _RAISED as error:
            if _stopped():
                raise
            done(CallDone(requested.index, seq, None, error))
        else:
            done(CallDone(requested.index, seq, result, None))

    async def _answer(self, seq: int, requested: e.ToolRequested, done: Callable[[Any], None]) -> None:
        allowed = {name: tool for name, tool in self._tools.items() if name in self._allowed}
        try:
            output = await self._find(requested.name, allowed).invoke_json(requested.arguments)
        except _RAISED as error:
            if _stopped():
                raise
            told = msgspec.json.encode({"error": f"{type(error).__name__}: {words_of(error)}"}).decode()
            done(ToolDone(requested.call_id, seq, told, ok=False))
        else:
            done(ToolDone(requested.call_id, seq, output, ok=True))

    def _find(self, name: str, tools: dict[str, Tool]) -> Tool:
        if name not in tools:
            raise LookupError(f"no tool {name!r}; there are: {', '.join(tools) or 'none'}")
        return tools[name]
