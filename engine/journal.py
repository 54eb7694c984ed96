"""The handler's side of the log: commands out, completions in.

No host code runs here: commands gather in `issued`, and whoever drives the handler (live or replay) takes them. Everything
a handler can wait for is settled by `deliver` only.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakSet

from ..core import commands as c
from ..core import events as e
from ..core.codec import decode_value
from ..core.errors import HandlerError, SessionEnded, StepError, VoiceLocked
from ..core.folds.conversation import Conversation
from ..core.turn import SessionTurn
from .clip import AudioClip
from .escapes import escape
from .handles import ItemStream, SayHandle, SayOutcome, Utterances, utterance
from .issued import Issued, call_site
from .settling import SettlingLoop

__all__ = ["OBSERVED", "Journal"]

T = TypeVar("T")
OBSERVED = frozenset(
    {
        e.SessionStarted,
        e.TurnEnded,
        e.ItemSeeded,
        e.SayRequested,
        e.SaySettled,
        e.ResponseStarted,
        e.PlayoutEnded,
        e.AnswersSwitched,
    }
)
"""What `observe` looks at: the conversation's events, and those of the outbox."""

OUTBOX = 200  # says that `outbox` keeps; older ones are in the log


class Journal:
    """The handler's side of the log: commands out, completions in.

    `patches` are the changes that a recorded session was marked with; None where the session runs live.
    """

    def __init__(self, loop: SettlingLoop, patches: frozenset[str] | None = None) -> None:
        self.loop = loop
        self.patches = patches
        self.issued: list[Issued] = []
        self.work: dict[int, Callable[..., Any]] = {}  # the functions of steps and streams that the host has not finished
        self.earlier: Callable[..., Any] | None = None  # reads the log; a replay needs none
        self.plays = False  # whether what is said is heard by anyone: offline no recording's file is needed
        self.clips: dict[str, AudioClip] = {}  # the recordings of says that are not settled
        self.conversation = Conversation()
        self.outbox: deque[dict[str, Any]] = deque(maxlen=OUTBOX)
        self.says: dict[str, SayHandle] = {}  # that are not settled, or have a key, by which they may be asked for again
        self.keys: dict[str, c.Say] = {}  # what each key of a say was used for
        self.turns: deque[SessionTurn] = deque()
        self.turn_taken = 0  # the number of the last turn that the handler was given
        self.signals: dict[str, deque[Any]] = {}
        self.over: SessionEnded | None = None  # set when nobody can be heard or spoken to any more
        self.ended = False  # what is asked for now is in no log
        self._count = 0
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._streams: dict[int, ItemStream] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._watching: WeakSet[Utterances] = WeakSet()
        self._lent: WeakSet[Coroutine[Any, Any, Any]] = WeakSet()

    # --- commands out ---

    def issue(self, command: c.Command, site: c.Site | None = None) -> int:
        """Take the next index for a command. During teardown nothing is issued any more.

        Raises HandlerError TL104 outside of the handler, TL105 for what cannot be stored.
        """
        if asyncio._get_running_loop() is not self.loop:  # type: ignore[comparison-overlap] # a HandlerLoop is one
            self.check_inside(f"{type(command).__name__.lower()}()")
        return self.enter(command, site)

    def check_inside(self, call: str) -> None:
        """Refuse a call from a step, a thread or another session's handler: it would be in the log, and in no replay."""
        running: object = asyncio._get_running_loop()
        if running is not self.loop and not self.loop.closing:
            why = "only the handler itself may drive its session: what another moment or thread asks for cannot be replayed"
            raise escape(f"session.{call}", why, "let the step or tool return its result, and go on with it in the handler")

    def enter(self, command: c.Command, site: c.Site | None = None) -> int:
        """The same for whoever drives the handler, at any moment."""
        try:
            c.encode_command(command)
        except (TypeError, ValueError, OverflowError) as error:  # e.g. half of a surrogate pair, a subclass of str
            raise HandlerError("TL105", f"{type(command).__name__.lower()}(): {error}", "pass plain values") from None
        if self.loop.closing:
            return 0
        self._count += 1
        self.issued.append(Issued(self._count, command, site or call_site()))
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
                self.abandon(index)
            raise

    def stream(self, index: int) -> ItemStream:
        """The items of a stream command."""
        stream = self._streams[index] = ItemStream(self, index)
        return stream

    def abandon(self, index: int) -> None:
        """Wait for a command's completion no more."""
        self._streams.pop(index, None)
        self.issue(c.Abandon(command=index), c.Site("", 0))

    def taken(self, index: int) -> int:
        """How many items of an open stream the handler has taken."""
        stream = self._streams.get(index)
        return stream.taken if stream else 0

    async def turn(self, index: int) -> SessionTurn:
        """Take the next turn off the queue; it leaves the queue only when this task resumes."""
        turn: SessionTurn = await self._next(index, self.turns)
        self.turn_taken = turn.metadata["turn"]
        return turn

    def utterances(self) -> Utterances:
        """What ends to be heard from here on."""
        watching = Utterances(self, self._is_heard_out)
        self._watching.add(watching)
        return watching

    def _is_heard_out(self) -> bool:
        """Whether nobody is heard any more, and what was to be heard has ended: how, is told to those who watch."""
        waits = self.conversation.model_speaks or any(handle.outcome is None for handle in self.says.values())
        return self.ended or (self.over is not None and not waits)

    async def signal(self, index: int, name: str) -> Any:
        """Take the next signal of this name off its queue; one that came before it was awaited is there."""
        return await self._next(index, self.signals.setdefault(name, deque()))

    async def _next(self, index: int, queue: deque[Any]) -> Any:
        try:
            while not queue:
                if self.over:
                    raise self.over
                await self.wait()
        except asyncio.CancelledError:
            self.abandon(index)
            raise
        return queue.popleft()

    async def wait(self) -> None:
        """Wait until something was delivered that a waiter may look at."""
        future: asyncio.Future[None] = self.loop.create_future()
        self._waiting.append(future)
        await future

    # --- completions in ---

    def observe(self, seq: int, at_ns: int, event: e.Event) -> None:
        """See an event that settles nothing by itself, in log order, before it is delivered if it is."""
        self.conversation.apply(seq, at_ns, event)
        if isinstance(event, e.SayRequested) and event.index:
            command = event.command
            kept = c.plain(command.metadata, "metadata")  # a copy: the handler may change what it is given
            self.outbox.append({"type": "speech", "text": command.text, "metadata": kept})

    def deliver(self, seq: int, event: e.Event) -> None:
        """Settle what an event settles. The caller drains the loop afterwards."""
        match event:
            case e.TurnEnded():
                self.turns.append(_turn(seq, event))
                self._wake()
            case e.SayRequested() | e.SayRepeated():  # index 0, the engine's own, is nobody's
                handle = self.says.setdefault(event.say, SayHandle(self, event.say, event.command))
                self._settle(event.index, handle)
                if stream := self._streams.get(event.command.stream):
                    stream.say = event.say
                if isinstance(event, e.SayRepeated):  # what the first one speaks is said: this one's stream is nobody's
                    self._leave_stream(event.command.stream)
            case e.CallCompleted():
                self.work.pop(event.index, None)
                self._settle(event.index, decode_value(event.result, f"the result in event {seq}"))
            case e.CallFailed():
                self.work.pop(event.index, None)
                self._settle(event.index, error=_failure(seq, event))
            case e.StreamItem() | e.StreamEnded():
                self._deliver_to_stream(seq, event)
            case e.SignalReceived():
                self.signals.setdefault(event.name, deque()).append(decode_value(event.data, f"the signal in event {seq}"))
                self._wake()
            case e.UpdateRefused(code="voice_locked"):
                hint = "choose the voice before the first say, or declare it"
                self._settle(event.index, error=VoiceLocked("TL110", event.message, hint))
            case e.UpdateRefused():
                self._settle(event.index, error=StepError(event.code, event.message))
            case e.EndRequested() | e.UpdateApplied() | e.SayCancelRequested():
                self._settle(event.index, None)
            case e.SaySettled():
                self.clips.pop(event.say, None)
                if said := self.says.get(event.say):
                    said.settle(SayOutcome.of(event))
                    if not said.key:
                        del self.says[event.say]
                for index in [index for index, stream in self._streams.items() if stream.say == event.say]:
                    self._leave_stream(index)
                self._wake()
            case e.PlayoutEnded():
                self._utterance(event)
            case e.CallersGone():
                self._hang_up("the caller has gone")
            case e.SessionEnding():
                self._hang_up(f"the session is ending ({event.reason})")
            case e.SessionEnded():
                self._hang_up(f"the session has ended ({event.reason})")
                self.ended = True
                for index in sorted(self._open):
                    self._settle(index, error=self.over)
                for stream in self._streams.values():
                    stream.end = stream.end or self.over

    def _utterance(self, event: e.PlayoutEnded) -> None:
        if not (self._watching and event.heard):
            return  # nobody asks, or it had no words: the model called a tool
        one = utterance(event)
        for watching in list(self._watching):
            watching.ended.append(one)
        self._wake()

    def _deliver_to_stream(self, seq: int, event: e.StreamItem | e.StreamEnded) -> None:
        stream = self._streams.get(event.index)
        if stream is not None and isinstance(event, e.StreamItem):
            stream.take(event.n, decode_value(event.item, f"the stream's item {event.n}"))
        elif isinstance(event, e.StreamEnded):
            self.work.pop(event.index, None)
            self._streams.pop(event.index, None)
            if stream is not None:
                failed = _failure(seq, event) if event.type_name else None
                stream.end = failed or StopAsyncIteration()
        self._wake()

    def _leave_stream(self, index: int) -> None:
        """Nothing more of a stream is spoken, and nobody else reads it: its function is stopped."""
        if stream := self._streams.pop(index, None):
            stream.end = StopAsyncIteration()
            self._wake()

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


def _failure(seq: int, event: e.CallFailed | e.StreamEnded) -> StepError:
    data = decode_value(event.data, f"the error's data in event {seq}") if event.data else None
    return StepError(event.type_name, event.message, data)


def _turn(seq: int, event: e.TurnEnded) -> SessionTurn:
    metadata: dict[str, Any] = {"item": event.item, "turn": event.turn, "seq": seq, "interrupted": list(event.interrupted)}
    if event.channel == "audio":
        metadata |= {"start_ms": event.start_ms, "end_ms": event.end_ms, "transcript_status": event.transcript_status}
    return SessionTurn(text=event.text, transcript=event.transcript, channel=event.channel, metadata=metadata)
