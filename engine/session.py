"""RealtimeSession: what a handler holds. Every call takes its command index at once and is settled only by an event.

No host code runs here: commands gather in `issued`, and whoever drives the handler (live or replay) takes them.
"""

import asyncio
import inspect
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Literal, TypeVar
from weakref import WeakSet

import msgspec

from ..core import commands as c
from ..core import events as e
from ..core.definition import SessionDefinition
from ..core.errors import HandlerError, SessionEnded, StepError
from ..core.turn import SessionTurn
from .handler_loop import HandlerLoop

__all__ = ["Issued", "Journal", "RealtimeSession", "SayHandle", "SayOutcome"]

# The package's own folder, by both of its names: through the symlink and real.
_OWN = tuple({os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.realpath(__file__))})
T = TypeVar("T")
_STDLIB = os.path.dirname(os.path.abspath(asyncio.__file__))


class Issued(msgspec.Struct, frozen=True):
    """A command with its place among the handler's commands and in its code."""

    index: int
    command: c.Command
    site: c.Site


class SayOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a say ended: played, interrupted, cancelled or failed; heard_ms and heard_text are what the caller had of it."""

    status: Literal["played", "interrupted", "cancelled", "failed"]
    heard_ms: int
    heard_text: str
    code: str


class SayHandle:
    """A say that is durable and owed to the caller."""

    def __init__(self, journal: "Journal", say: str, text: str) -> None:
        self._journal = journal
        self.id = say
        self.text = text

    @property
    def outcome(self) -> SayOutcome | None:
        """How it ended, or None while it is owed or sounding."""
        return self._journal.outcomes.get(self.id)

    async def settled(self) -> SayOutcome:
        """Wait until the caller has heard it, or will not."""
        while (outcome := self.outcome) is None:
            await self._journal.wait()
        return outcome


class Journal:
    """The handler's side of the log: commands out, completions in."""

    def __init__(self, loop: HandlerLoop) -> None:
        self.loop = loop
        self.issued: list[Issued] = []
        self.outcomes: dict[str, SayOutcome] = {}
        self.turns: deque[SessionTurn] = deque()
        self.over: SessionEnded | None = None  # set when nobody can be heard or spoken to any more
        self._count = 0
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._lent: WeakSet[Coroutine[Any, Any, Any]] = WeakSet()

    # --- commands out ---

    def issue(self, command: c.Command, site: c.Site | None = None) -> int:
        """Take the next index for a command. During teardown nothing is issued any more."""
        try:
            c.encode_command(command)
        except (TypeError, ValueError, OverflowError) as error:  # e.g. half of a surrogate pair, a subclass of str
            raise HandlerError("TL105", f"{type(command).__name__.lower()}(): {error}", "pass plain values") from None
        if self.loop.closing:
            return 0
        self._count += 1
        self.issued.append(Issued(self._count, command, site or _site()))
        return self._count

    def completion(self, index: int) -> Coroutine[Any, Any, Any]:
        """Wait for the completion of a command; a cancelled wait abandons it. It may complete before it is awaited."""
        self._open[index] = future = self.loop.create_future()
        return self.lend(self._completed(index, future))

    def lend(self, coro: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Give a coroutine to the handler, which may end before it has awaited it."""
        self._lent.add(coro)
        return coro

    def close(self) -> None:
        """Close the coroutines that the handler holds and has not awaited: at its end that is no oversight to warn of."""
        for coro in self._lent:
            if inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
                coro.close()

    async def _completed(self, index: int, future: asyncio.Future[Any]) -> Any:
        try:
            return await future
        except asyncio.CancelledError:
            if self._open.pop(index, None) is not None:
                self.issue(c.Abandon(command=index), c.Site("", 0))
            raise

    async def turn(self, index: int) -> SessionTurn:
        """Take the next turn off the queue; it leaves the queue only when this task resumes."""
        try:
            while not self.turns:
                if self.over:
                    raise self.over
                await self.wait()
        except asyncio.CancelledError:
            self.issue(c.Abandon(command=index), c.Site("", 0))
            raise
        return self.turns.popleft()

    async def wait(self) -> None:
        """Wait until something was delivered that a waiter may look at."""
        future: asyncio.Future[None] = self.loop.create_future()
        self._waiting.append(future)
        await future

    # --- completions in ---

    def deliver(self, seq: int, event: e.Event) -> None:
        """Settle what an event settles. The caller drains the loop afterwards."""
        match event:
            case e.TurnEnded():
                self.turns.append(_turn(seq, event))
                self._wake()
            case e.SayRequested():
                self._settle(event.index, SayHandle(self, event.say, event.command.text))
            case e.CallCompleted():
                self._settle(event.index, msgspec.msgpack.decode(event.result))
            case e.CallFailed():
                self._settle(event.index, error=StepError(event.type_name, event.message))
            case e.EndRequested():
                self._settle(event.index, None)
            case e.SaySettled():
                self.outcomes[event.say] = SayOutcome(
                    status=event.status, heard_ms=event.heard_ms, heard_text=event.heard_text, code=event.code
                )
                self._wake()
            case e.CallersGone():
                self._hang_up("the caller has gone")
            case e.SessionEnding():
                self._hang_up(f"the session is ending ({event.reason})")
            case e.SessionEnded():
                self._hang_up(f"the session has ended ({event.reason})")
                for index in sorted(self._open):
                    self._settle(index, error=self.over)

    def _settle(self, index: int, result: object = None, error: BaseException | None = None) -> None:
        if future := self._open.pop(index, None):
            self.loop.settle(future, result, error)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for future in waiting:
            self.loop.settle(future)

    def _hang_up(self, why: str) -> None:
        """No more turns and no more says; calls that are open still complete."""
        self.over = SessionEnded("TL102", why, "leave the loop over turns(), or catch SessionEnded")
        self._wake()


def _turn(seq: int, event: e.TurnEnded) -> SessionTurn:
    metadata: dict[str, Any] = {"item": event.item, "turn": event.turn, "seq": seq}
    if event.channel == "audio":
        metadata |= {"start_ms": event.start_ms, "end_ms": event.end_ms, "transcript_status": event.transcript_status}
    return SessionTurn(text=event.text, transcript=event.transcript, channel=event.channel, metadata=metadata)


def _site() -> c.Site:
    """The innermost frame of the handler's own code."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_code.co_filename.startswith((*_OWN, _STDLIB)):
        frame = frame.f_back
    return c.Site(frame.f_code.co_filename, frame.f_lineno)


class RealtimeSession:
    """A live conversation, as its handler sees it. Works inside the handler only."""

    def __init__(self, journal: Journal, started: e.SessionStarted) -> None:
        self._journal = journal
        self.session_id = started.session
        self.definition: SessionDefinition = started.definition
        self.metadata: dict[str, Any] = started.metadata

    def input(self, *, timeout: float | None = None) -> Coroutine[Any, Any, SessionTurn]:
        """Wait for the user's next turn. `timeout` in seconds.

        Raises the builtin TimeoutError, and SessionEnded when the caller has gone or the session ends.
        """
        if timeout is not None and not timeout > 0:
            raise ValueError(f"input(timeout={timeout!r}): a positive number of seconds, or None")
        limit_s = None if timeout is None else float(timeout)
        return self._journal.lend(self._input(self._journal.issue(c.Input(timeout_s=limit_s)), limit_s))

    async def _input(self, index: int, limit_s: float | None) -> SessionTurn:
        async with asyncio.timeout(limit_s):
            return await self._journal.turn(index)

    def turns(self) -> AsyncIterator[SessionTurn]:
        """The user's turns, until the caller has gone or the session ends."""
        return _Turns(self)

    def say(self, text: str, *, metadata: dict[str, Any] | None = None) -> Coroutine[Any, Any, SayHandle]:
        """Have words spoken to the caller, after those already asked for.

        Returns a handle once the request is durable; `await handle.settled()` waits for the outcome. `metadata` is kept in
        the log. Raises HandlerError TL105 for empty text or metadata that cannot be stored, SessionEnded after the end.
        """
        if type(text) is not str or not text.strip():
            raise HandlerError("TL105", f"say({text!r}): there is nothing to say", "pass a string with at least one word")
        self._refuse_after_end()
        if not isinstance(metadata, dict | None):
            raise HandlerError("TL105", f"say(metadata={metadata!r}): it is no dict", "pass a dict with string keys")
        kept = c.plain(metadata or {}, "say(metadata)")
        return self._journal.completion(self._journal.issue(c.Say(text=text, metadata=kept)))

    def call(self, target: str, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Invoke a tool by name and return its result as it comes back from the log (plain values).

        Works after the caller has gone, until the session's end. Raises StepError if the tool raised or does not exist,
        HandlerError TL105 for arguments that cannot be stored, SessionEnded when the session ends before the tool does.
        """
        if type(target) is not str:
            raise HandlerError("TL105", f"call({target!r}): a tool is called by its name", "pass the name as a string")
        plain_args = c.plain(args, f"call({target!r}) args")
        plain_kwargs = c.plain(kwargs, f"call({target!r})")
        return self._journal.completion(self._journal.issue(c.Call(target=target, args=plain_args, kwargs=plain_kwargs)))

    def end(self, reason: str = "completed", *, drain: bool = True) -> Coroutine[Any, Any, None]:
        """End the session; says that are queued are spoken first unless drain=False."""
        if type(reason) is not str:
            raise HandlerError("TL105", f"end({reason!r}): the reason is no string", "pass a word, as in end('booked')")
        self._refuse_after_end()
        return self._journal.completion(self._journal.issue(c.End(reason=reason, drain=bool(drain))))

    def _refuse_after_end(self) -> None:
        if self._journal.over:
            raise self._journal.over


class _Turns:
    """The turns until the end, as an object: an async generator left by break would wait for the garbage collector."""

    def __init__(self, session: RealtimeSession) -> None:
        self._session = session

    def __aiter__(self) -> "_Turns":
        return self

    async def __anext__(self) -> SessionTurn:
        try:
            return await self._session.input()
        except SessionEnded:
            raise StopAsyncIteration from None
