"""What the log calls for outside of it: tools, steps, streams. Started only after their request is durable; what comes of
them goes to the inbox."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec

from ..core import events as e
from ..core.commands import Call, Options, Step, Stream
from ..core.core import Staged
from .handler_run import words_of
from .inbox import Attempted, CallDone, ToolDone
from .tools import Tool, run_stored, stored

__all__ = ["STARTED", "Effects"]

STARTED = frozenset({e.CallRequested, e.StepRequested, e.CommandAbandoned, e.StreamRequested, e.ToolRequested})
"""The events that `start` acts on."""

AHEAD = 100  # items of a stream that the handler has not taken: its function goes on when there are fewer
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.05
_LONGEST_BACKOFF_S = 3600.0
_ONCE = Options()

# Strategy: a tool may itself raise CancelledError (a task of its own was cancelled) or SystemExit; its caller must learn of it.
_RAISED = (Exception, asyncio.CancelledError, SystemExit)


def _stopped() -> bool:
    """Whether this task is being cancelled, as the session's end does."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Effects:
    """Runs the tools, steps and streams of one session, each as a task of the session.

    `spawn` is set by whoever drives the session, `work` and `taken` by its run: the functions of the handler's steps and
    streams, and how many items of a stream it has taken.
    """

    def __init__(self, tools: dict[str, Tool], allowed: Callable[[], list[str]]) -> None:
        self._tools = tools
        self._allowed = allowed
        self.work: dict[int, Callable[..., Any]] = {}
        self.taken: Callable[[int], int]
        self._streams: dict[int, asyncio.Task[Any]] = {}
        self.spawn: Callable[[Coroutine[Any, Any, None]], None]

    def definitions(self) -> list[dict[str, Any]]:
        """Every declared tool as the protocol declares it; which of them the model may call changes with the session."""
        return [tool.definition() for tool in self._tools.values()]

    def unknown(self, names: list[str]) -> list[str]:
        """Those of `names` that no tool has."""
        return [name for name in names if name not in self._tools]

    def start(self, staged: Staged, done: Callable[[Any], None]) -> None:
        """Start what this event calls for, if anything; `done` takes what comes of it, for the inbox."""
        match staged.event:
            case e.CallRequested() as requested:
                self.spawn(self._try(staged, requested.command.options, partial(self._tool, requested.command), done))
            case e.StepRequested() as requested:
                self.spawn(self._try(staged, requested.command.options, partial(self._step, requested), done))
            case e.CommandAbandoned() as abandoned:
                if streaming := self._streams.get(abandoned.command):
                    streaming.cancel()
            case e.StreamRequested():
                self.spawn(self._stream(staged.seq, staged.event, done))
            case e.ToolRequested():
                self.spawn(self._answer(staged.seq, staged.event, done))

    async def _try(
        self,
        staged: Staged,
        options: Options | None,
        attempt: Callable[[], Coroutine[Any, Any, bytes]],
        done: Callable[[Any], None],
    ) -> None:
        """Attempt a call or step as often as its options allow."""
        tries = options or _ONCE
        index: int = staged.event.index  # type: ignore[attr-defined] # a CallRequested or StepRequested
        for number in range(1, tries.retries + 2):
            try:
                if tries.timeout_s is None:
                    result = await attempt()
                else:
                    async with asyncio.timeout(tries.timeout_s):
                        result = await attempt()
            except _RAISED as error:
                if _stopped():
                    raise
                if number > tries.retries:
                    done(CallDone(index, staged.seq, None, error))
                    return
                name, words = type(error).__name__, words_of(error)
                done(Attempted(e.AttemptFailed(index=index, attempt=number, type_name=name, message=words), staged.seq))
                doublings = min(number - 1, 64)  # more would not fit in a float, and all are longer than the longest
                await asyncio.sleep(min(tries.backoff_s * 2**doublings, max(tries.backoff_s, _LONGEST_BACKOFF_S)))
            else:
                done(CallDone(index, staged.seq, result, None))
                return

    async def _tool(self, command: Call) -> bytes:
        return await self._find(command.target, self._tools).invoke(*_given(command))

    async def _step(self, requested: e.StepRequested) -> bytes:
        command = requested.command
        function = self.work[requested.index]
        return await run_stored(function, *_given(command), command.name)

    async def _stream(self, seq: int, requested: e.StreamRequested, done: Callable[[Any], None]) -> None:
        command, index = requested.command, requested.index
        n = 0
        args, kwargs = _given(command)
        task = asyncio.current_task()
        assert task is not None  # spawned as one
        self._streams[index] = task
        try:
            async with aclosing(_items(self.work[index](*args, **kwargs))) as items:
                async for item in items:
                    await self._not_too_far_ahead(index, n)
                    n += 1
                    done(Attempted(e.StreamItem(index=index, n=n, item=stored(item, command.name)), seq))
        except _RAISED as error:
            if _stopped():
                raise
            ended = e.StreamEnded(index=index, type_name=type(error).__name__, message=words_of(error))
            done(Attempted(ended, seq))
        else:
            done(Attempted(e.StreamEnded(index=index), seq))
        finally:
            del self._streams[index]

    async def _not_too_far_ahead(self, index: int, n: int) -> None:
        """Wait until the handler has taken most of the n items there are: one that has left its stream takes none.

        Strategy: looked at again and again, for the handler's loop tells nobody what it does between two events.
        """
        pause_s = 0.0  # at first only a turn of the host's loop: a function that never waits must not hold up other sessions
        while True:
            await asyncio.sleep(pause_s)
            if n - self.taken(index) < AHEAD:
                return
            pause_s = min(max(2 * pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)

    async def _answer(self, seq: int, requested: e.ToolRequested, done: Callable[[Any], None]) -> None:
        allowed = {name: tool for name, tool in self._tools.items() if name in self._allowed()}
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


def _given(command: Call | Step | Stream) -> tuple[list[Any], dict[str, Any]]:
    """The arguments for one attempt: what a function does to them must not reach the next attempt, or the log's command."""
    return _copied(command.args), _copied(command.kwargs)


def _copied(value: Any) -> Any:
    """Lists and dicts anew, which hold what they held."""
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if type(value) is list else value


async def _items(made: Any) -> AsyncGenerator[Any, None]:
    """The items of an asynchronous iterator; those of a plain one are asked for in a thread. A generator is closed behind."""
    if hasattr(made, "__aiter__"):
        try:
            async for item in made:
                yield item
        finally:
            if isinstance(made, AsyncGenerator):
                await made.aclose()
        return
    items, end = iter(made), object()
    while (item := await asyncio.to_thread(next, items, end)) is not end:
        yield item
