"""What the log calls for outside of it: tools, steps, streams. Started only after their request is durable; what comes of
them goes to the inbox."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any, Literal, TypeVar

import msgspec

from ..core import events as e
from ..core.commands import Call, Options, Say, Step, Stream, plain
from ..core.core import Staged
from ..core.tool_errors import told
from .handlers.current import CALL, SESSION
from .handlers.handler_run import words_of
from .inbox import Attempted, CallDone, ToolDone
from .toolbox import ReasonerTool, Toolbox
from .tools import ArgumentError, JsonError, run_stored, stored

__all__ = ["MODEL_CALL_S", "STARTED", "Effects", "carried_by"]

STARTED = frozenset(
    {
        *(e.CallRequested, e.StepRequested, e.CommandAbandoned, e.StreamRequested, e.ToolRequested),
        *(e.CallFailed, e.ToolAnswered, e.SayRequested, e.SayRepeated, e.SaySettled),
    }
)
"""The events that `start` acts on."""

T = TypeVar("T")
_Key = int | str | tuple[str, int]  # a call's index, the model's call id, ("stream", index), ("elsewhere", index) of a reasoner
MODEL_CALL_S = 60.0  # of a call by the model whose tool says nothing else: it would wait for ever
AHEAD = 100  # items of a stream that the handler has not taken: its function goes on when there are fewer
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.05
_LONGEST_BACKOFF_S = 3600.0
_ONCE = Options()

# Strategy: a tool may itself raise CancelledError (a task of its own was cancelled) or SystemExit; its caller must learn of it.
_RAISED = (Exception, asyncio.CancelledError, SystemExit)


class Cancelled(Exception):
    """What ended a call that nobody waited for any more."""


def _stopped() -> bool:
    """Whether this task is being cancelled, as the session's end does."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Effects:
    """Runs the tools, steps and streams of one session, each as a task of the session.

    `spawn` and `voice` are set by whoever drives the session (`voice` opens the line that a say needs), `work` and `taken` by
    its run: the functions of the handler's steps and streams, and how many items of a stream it has taken. kept: whose
    executions at a control plane are not cancelled when the session stops here, because others go on with them: those of calls
    that are tried again, or all.
    """

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools
        self.work: dict[int, Callable[..., Any]] = {}
        self.taken: Callable[[int], int]
        self.kept: Literal["", "repeated", "all"] = ""
        self._spoken: dict[str, int] = {}  # open say -> the stream that it speaks
        self._running: dict[_Key, asyncio.Task[Any] | None] = {}  # None: not begun yet
        self.spawn: Callable[[Coroutine[Any, Any, None]], None]
        self.voice: Callable[[Say], None] = lambda say: None

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
                tries = self._try(staged, requested.command.options, partial(self._tool, requested), done)
                options = requested.command.options
                self._start(self._key(requested), tries, repeats=options is not None and options.retries > 0)
            case e.CallFailed() as ended:
                self._stop(ended.index)
                self._stop(("elsewhere", ended.index))
            case e.ToolAnswered() as answered:
                self._stop(answered.call_id)
            case e.StepRequested() as requested:
                self.spawn(self._try(staged, requested.command.options, partial(self._step, requested), done))
            case e.CommandAbandoned() as abandoned:
                self._stop(("stream", abandoned.command))
                if ("elsewhere", abandoned.command) in self._running:  # it would go on at another node for nobody
                    self._stop(("elsewhere", abandoned.command))
                    done(CallDone(abandoned.command, staged.seq, None, Cancelled("the handler waits for it no more")))
            case e.StreamRequested() as requested:
                self._start(("stream", requested.index), self._stream(staged.seq, requested, done))
            case e.SayRequested() as requested:
                self.voice(requested.command)
                if requested.command.stream:
                    self._spoken[requested.say] = requested.command.stream
            case e.SayRepeated() as repeated if repeated.command.stream:
                self._stop(("stream", repeated.command.stream))  # the say with this key speaks another one
            case e.SaySettled() as settled if settled.say in self._spoken:
                self._stop(("stream", self._spoken.pop(settled.say)))  # nobody else reads what a say speaks
            case e.ToolRequested(allowed=True) as asked:
                self._start(asked.call_id, self._answer(staged.seq, asked, done))

    def _key(self, requested: e.CallRequested) -> _Key:
        """A call of another node's reasoner is one that can be cancelled there."""
        try:
            tool = self._tools.find(requested.command.target)
        except LookupError:
            return requested.index
        return ("elsewhere", requested.index) if isinstance(tool, ReasonerTool) else requested.index

    def _start(self, key: _Key, work: Coroutine[Any, Any, None], *, repeats: bool = False) -> None:
        self._running[key] = None
        self.spawn(self._run(key, work, repeats))

    async def _run(self, key: _Key, work: Coroutine[Any, Any, None], repeats: bool) -> None:
        if key not in self._running:  # stopped before it began
            work.close()
            return
        self._running[key] = asyncio.current_task()
        try:
            await work
        finally:
            is_open = self._running.pop(key, None) is not None and _stopped()  # in the log: only the session's end cut it
            if not (is_open and (self.kept == "all" or (self.kept and repeats))):
                self._tools.left(SESSION.get(), CALL.get())

    def _stop(self, key: _Key) -> None:
        """A call or stream has ended in the log. If it runs still, it was cancelled: nobody waits for what comes of it."""
        if running := self._running.pop(key, None):
            running.cancel()

    async def _try(
        self,
        staged: Staged,
        options: Options | None,
        attempt: Callable[[], Coroutine[Any, Any, bytes]],
        done: Callable[[Any], None],
    ) -> None:
        """Attempt a call or step as often as its options allow."""
        tries = options or _ONCE
        limit_s = self._limit_s(staged.event) if tries.timeout_s is None else tries.timeout_s
        index: int = staged.event.index  # type: ignore[attr-defined] # a CallRequested or StepRequested
        for number in range(1, tries.retries + 2):
            try:
                result = await _within(limit_s, attempt)
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

    def _limit_s(self, event: e.Event) -> float | None:
        """How long an attempt may take where the handler has not said it."""
        if not isinstance(event, e.CallRequested):
            return None
        try:
            return self._tools.find(event.command.target).timeout_s
        except LookupError:
            return None

    async def _tool(self, requested: e.CallRequested) -> bytes:
        CALL.set(str(requested.index))  # of this task's own context
        return await self._tools.find(requested.command.target).invoke(*_given(requested.command))

    async def _step(self, requested: e.StepRequested) -> bytes:
        command = requested.command
        function = self.work[requested.index]
        return await run_stored(function, *_given(command), command.name)

    async def _stream(self, seq: int, requested: e.StreamRequested, done: Callable[[Any], None]) -> None:
        command, index = requested.command, requested.index
        n = 0
        args, kwargs = _given(command)
        try:
            async with aclosing(_items(self.work[index](*args, **kwargs))) as items:
                async for item in items:
                    await self._not_too_far_ahead(index, n)
                    n += 1
                    done(Attempted(e.StreamItem(index=index, n=n, item=stored(item, command.name)), seq))
        except _RAISED as error:
            if _stopped():
                raise
            kind, words = type(error).__name__, words_of(error)
            done(Attempted(e.StreamEnded(index=index, type_name=kind, message=words, data=carried_by(error)), seq))
        else:
            done(Attempted(e.StreamEnded(index=index), seq))

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
        try:
            CALL.set(requested.call_id)
            tool = self._tools.find(requested.name)
            output = await _within(tool.timeout_s or MODEL_CALL_S, partial(tool.invoke_json, requested.arguments))
        except _RAISED as error:
            if _stopped():
                raise
            done(ToolDone(requested.call_id, seq, _told(error), ok=False))
        else:
            done(ToolDone(requested.call_id, seq, output, ok=True))


async def _within(limit_s: float | None, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """One attempt, in at most so many seconds. Raises TimeoutError naming them, and what the attempt raises."""
    if limit_s is None:
        return await attempt()
    try:
        async with asyncio.timeout(limit_s) as limit:
            return await attempt()
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"no result within {limit_s:g} s") from None
        raise


def _told(error: BaseException) -> str:
    """What the model reads of an error: its kind and words, never a traceback."""
    match error:
        case ArgumentError():
            return told("invalid_arguments", words_of(error), error.field)
        case JsonError():
            return told("invalid_json", f"the arguments are no JSON: {words_of(error)}")
    return told(type(error).__name__, words_of(error))


def carried_by(error: BaseException) -> bytes:
    """The msgpack of an exception's attribute `data`, where that is plain; else nothing."""
    try:
        data = getattr(error, "data", None)
        return b"" if data is None else msgspec.msgpack.encode(plain(data, "data"))
    except Exception:  # a property that raises, a HandlerError of what is not plain: the failure itself is what counts
        return b""


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
