"""RealtimeSession: what a handler holds. Every call takes its command index at once and is settled only by an event."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec

from ...core import commands as c
from ...core import events as e
from ...core.definition import Answers, SessionDefinition
from ...core.errors import HandlerError, SessionEnded, StepError
from ...core.folds.conversation import Line
from ...core.turn import SessionTurn
from ..earlier import EARLIER, MAX_LINES
from .arguments import asked_of, seconds, text, tries
from .clip import AudioClip
from .handles import ItemStream, SayHandle, Utterances
from .journal import Journal
from .say_command import Spoken, say_command

__all__ = ["RealtimeSession"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Options(NamedTuple):
    """How calls and steps are tried, and what their results are converted to."""

    tries: c.Options | None = None
    returns: Any = None


class RealtimeSession:
    """A live conversation, as its handler sees it. Works inside the handler only."""

    def __init__(self, journal: Journal, started: e.SessionStarted, options: "_Options | None" = None) -> None:
        self._journal = journal
        self._started = started
        self._options = options or _Options()
        self.session_id = started.session
        self.definition: SessionDefinition = started.definition
        self.metadata: dict[str, Any] = c.plain(started.metadata, "metadata")  # the handler may change what it is given
        seed = started.seed or started.session
        self._random = Random(f"{seed} random")
        self._ids = Random(f"{seed} uuid")
        self._patched: dict[str, bool] = {}

    def input(self, *, timeout: float | None = None) -> Coroutine[Any, Any, SessionTurn]:
        """Wait for the user's next turn. `timeout` in seconds.

        Raises the builtin TimeoutError, and SessionEnded when the caller has gone or the session ends.
        """
        limit_s = seconds(timeout, "input")
        return self._journal.lend(self._input(self._journal.issue(c.Input(timeout_s=limit_s)), limit_s))

    async def _input(self, index: int, limit_s: float | None) -> SessionTurn:
        async with asyncio.timeout(limit_s):
            return await self._journal.queues.turn(index)

    def turns(self) -> AsyncIterator[SessionTurn]:
        """The user's turns, until the caller has gone or the session ends."""
        return _Turns(self)

    def say(
        self,
        spoken: Spoken,
        *,
        when: Literal["queue", "interrupt", "drop"] = "queue",
        interruptible: bool = True,
        key: str = "",
        mode: Literal["", "out_of_band", "in_band", "tts"] = "",
        on_mismatch: Literal["log", "retry", "fail"] = "log",
        on_stale: Literal["hold", "drop", "speak"] = "hold",
        metadata: dict[str, Any] | None = None,
    ) -> Coroutine[Any, Any, SayHandle]:
        """Have something spoken to the caller: words, a stream of words (`session.stream(…)`) as they come, or a `turnlog.clip`.

        Returns a handle once the request is durable; `await handle.settled()` waits for the outcome.

        when: after what was asked for before; or at once, cutting what sounds; or only if nothing sounds or waits.
        interruptible: whether the user's speech cuts it. key: a second say with the same key is the first one.
        mode: how it is spoken, else as the session is declared. on_mismatch: what to do where other words were spoken.
        on_stale: what to do where the user has spoken since the turn that this answers: wait for the end of it, drop the say,
        or speak all the same. metadata is kept in the log.

        Raises HandlerError TL105 for nothing to say or metadata that cannot be stored, TL111 for an option that is none and a
        key that was used for other words; MediaError TL602 for a recording that cannot be read; SessionEnded after the end.
        """
        self._refuse_after_end()
        options = {
            "when": when,
            "interruptible": interruptible,
            "key": key,
            "mode": mode,
            "on_mismatch": on_mismatch,
            "on_stale": on_stale,
            "metadata": metadata,
        }
        journal = self._journal
        command = say_command(spoken, turn=journal.queues.turn_taken, live=journal.asking.host.plays, options=options)
        is_repeated = journal.says.is_repeated(command)
        index = journal.issue(command)
        if isinstance(spoken, AudioClip) and not is_repeated:  # in a replay, too: one at a node goes on live
            journal.asking.host.clips[f"say_{index}"] = spoken
        return journal.completion(index)

    def utterances(self) -> Utterances:
        """What ends to be heard from here on, the model's own words and says: an asynchronous iterator, until the end."""
        self._journal.asking.check_inside("utterances()")
        return self._journal.says.utterances()

    def call(self, target: str, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Invoke a tool by name and return its result as it comes back from the log (plain values).

        Works after the caller has gone, until the session's end. Raises StepError if the tool raised or does not exist,
        HandlerError TL105 for arguments that cannot be stored, SessionEnded when the session ends before the tool does.
        """
        if type(target) is not str:
            raise HandlerError("TL105", f"call({target!r}): a tool is called by its name", "pass the name as a string")
        plain_args = c.plain(args, f"call({target!r}) args")
        plain_kwargs = c.plain(kwargs, f"call({target!r})")
        command = c.Call(target=target, args=plain_args, kwargs=plain_kwargs, options=self._options.tries)
        return self._completion(self._journal.issue(command))

    def step(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Run a function outside of the handler's loop (an LLM call, a query) and return its result as the log gives it back.

        A coroutine function runs on the host's loop, any other in a thread. In a replay it does not run: the recorded result
        is returned. It happens at least once. Raises as `call` does.
        """
        index = self._journal.issue(c.Step(options=self._options.tries, **asked_of(function, args, kwargs)))
        self._journal.asking.host.work[index] = function
        return self._completion(index)

    def stream(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> ItemStream:
        """Run a function that yields (a generator or an asynchronous one) and iterate over its items with `async for`.

        Each item is in the log before the handler sees it. Raises StepError behind the last item if the function raises.
        """
        index = self._journal.issue(c.Stream(**asked_of(function, args, kwargs)))
        self._journal.asking.host.work[index] = function
        return self._journal.stream(index)

    def options(
        self, *, timeout: float | None = None, retries: int = 0, backoff: float = 0.5, returns: Any = None
    ) -> "RealtimeSession":
        """This session with other settings for `call` and `step`.

        timeout: seconds of one attempt. retries: further attempts after a failure, `backoff` seconds before the first of
        them, twice as long before each next. returns: the type that a result is converted to; StepError if it does not fit.
        """
        changed = RealtimeSession(self._journal, self._started, _Options(tries(timeout, retries, backoff), returns))
        changed._random, changed._ids, changed._patched = self._random, self._ids, self._patched
        changed.metadata = self.metadata
        return changed

    def _completion(self, index: int) -> Coroutine[Any, Any, Any]:
        completion = self._journal.completion(index)
        if self._options.returns is None:
            return completion
        return self._journal.lend(self._converted(completion, self._options.returns))

    async def _converted(self, completion: Coroutine[Any, Any, Any], returns: Any) -> Any:
        try:
            return msgspec.convert(await completion, returns)
        except msgspec.ValidationError as error:
            name = getattr(returns, "__name__", returns)  # int | None has none
            raise StepError("ValidationError", f"the result is no {name}: {error}") from None

    def signal(self, name: str) -> Coroutine[Any, Any, Any]:
        """Wait for the next signal of this name (`engine.signal(session, name, data)`) and return its data.

        Raises SessionEnded when the caller has gone or the session ends.
        """
        text(name, "signal")
        return self._journal.lend(self._journal.queues.signal(self._journal.issue(c.AwaitSignal(name=name)), name))

    def update(
        self,
        *,
        instructions: str | None = None,
        tools: list[str] | None = None,
        voice: str | None = None,
        answers: Answers | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Change what the model is told, may call, sounds like, or who answers; returns when the provider has confirmed it.

        Raises VoiceLocked for another voice after the caller has heard one, StepError if the provider refuses.
        """
        self._refuse_after_end()
        for given, what in ((instructions, "update(instructions)"), (voice, "update(voice)")):
            if given is not None:
                text(given, what)
        if tools is not None and (type(tools) not in (list, tuple) or any(type(name) is not str for name in tools)):
            raise HandlerError("TL105", f"update(tools={tools!r}): it is no list of names", "pass a list of strings")
        if answers not in (None, *get_args(Answers)):
            raise HandlerError("TL105", f"update(answers={answers!r}) is no choice", 'pass "handler" or "model"')
        tools = None if tools is None else list(tools)
        command = c.Update(instructions=instructions, tools=tools, voice=voice, answers=answers)
        return self._journal.completion(self._journal.issue(command))

    # --- what would differ from run to run, made the same ---

    @property
    def random(self) -> Random:
        """A source of random numbers, the same in every replay."""
        self._journal.asking.check_inside("random")
        return self._random

    def now(self) -> datetime:
        """The time of the event that the handler is working on, in UTC."""
        return _EPOCH + timedelta(microseconds=self._journal.asking.loop.now_ns // 1000)

    def uuid(self) -> UUID:
        """A new UUID (version 4 in form), the same in every replay."""
        self._journal.asking.check_inside("uuid()")
        return UUID(int=self._ids.getrandbits(128), version=4)

    def patched(self, name: str) -> bool:
        """Whether this session runs with the change `name` of the code: true live, and in replays of sessions that did.

        So a handler can be changed while recorded sessions still replay: `if session.patched("greet-by-name"): …`.
        """
        self._journal.asking.check_inside("patched()")
        text(name, "patched")
        if name not in self._patched:
            patches = self._journal.asking.patches
            # After the end, live too: no mark could be made any more, so a replay would not know of it.
            self._patched[name] = not self._ended() if patches is None else name in patches
            if self._patched[name]:
                self._journal.issue(c.Patch(name=name))
        return self._patched[name]

    @property
    def conversation(self) -> list[Line]:
        """What was said so far, as heard: the last 200 contributions of both sides (`earlier` reads the others)."""
        return list(self._journal.record.conversation.lines)

    def earlier(self, *, before: int | None = None, limit: int = 200) -> Coroutine[Any, Any, list[Line]]:
        """The last `limit` (at most 1000) contributions before event `before`, oldest first, read from the log.

        Without `before`: those that `conversation` does not hold any more. Raises ValueError for no such numbers, and as `step`.
        """
        if type(limit) is not int or not 0 < limit <= MAX_LINES:
            raise ValueError(f"earlier(limit={limit!r}): a number from 1 to {MAX_LINES}")
        if before is not None and (type(before) is not int or before < 1):
            raise ValueError(f"earlier(before={before!r}): the seq of an event, 1 or more")
        lines = self._journal.record.conversation.lines
        place = before or (lines[0].seq if lines else 1)
        index = self._journal.issue(c.Step(name=EARLIER, args=[place, limit]))
        if self._journal.asking.host.earlier is not None:
            self._journal.asking.host.work[index] = self._journal.asking.host.earlier
        return self._journal.lend(self._lines(self._journal.completion(index)))

    async def _lines(self, completion: Coroutine[Any, Any, Any]) -> list[Line]:
        return [Line(*line) for line in await completion]

    @property
    def outbox(self) -> list[dict[str, Any]]:
        """The last 200 says, in AgentField's form: {"type": "speech", "text", "metadata"}."""
        return list(self._journal.record.outbox)

    def end(self, reason: str = "completed", *, drain: bool = True) -> Coroutine[Any, Any, None]:
        """End the session; says that are queued are spoken first unless drain=False."""
        if type(reason) is not str:
            raise HandlerError("TL105", f"end({reason!r}): the reason is no string", "pass a word, as in end('booked')")
        self._refuse_after_end()
        return self._journal.completion(self._journal.issue(c.End(reason=reason, drain=bool(drain))))

    def _ended(self) -> bool:
        return self._journal.record.ended or self._journal.asking.loop.closing

    def _refuse_after_end(self) -> None:
        if self._journal.record.over:
            raise self._journal.record.over


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
