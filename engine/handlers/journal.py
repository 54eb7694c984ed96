"""The handler's side of the log: commands out, completions in.

Everything a handler can wait for is settled by `deliver` only. What it asks for is in asking.py, what it waits for in
waits.py, what the log has told it in record.py, queues.py and says.py.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar

from ...core import commands as c
from ...core import events as e
from ...core.codec import decode_value
from ...core.errors import StepError, VoiceLocked
from .asking import Asking
from .handles import ItemStream
from .queues import Queues
from .record import Record
from .says import Says
from .waits import Waits

__all__ = ["Journal"]

T = TypeVar("T")


class Journal:
    """What RealtimeSession and the handles that it gives ask of the log, and what they learn from it."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.waits = Waits(asking.loop, self.abandon)
        self.record = Record()
        self.says = Says(self, self.record)
        self.queues = Queues(self, self.record)
        self._streams: dict[int, ItemStream] = {}

    # --- commands out ---

    def issue(self, command: c.Command, site: c.Site | None = None) -> int:
        """See Asking."""
        return self.asking.issue(command, site)

    def completion(self, index: int) -> Coroutine[Any, Any, Any]:
        """See Waits."""
        return self.waits.completion(index)

    def lend(self, coro: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """See Waits."""
        return self.waits.lend(coro)

    async def wait(self) -> None:
        """See Waits."""
        await self.waits.wait()

    def abandon(self, index: int) -> None:
        """Wait for a command's completion no more."""
        self._streams.pop(index, None)
        self.asking.issue(c.Abandon(command=index), c.Site("", 0))

    def stream(self, index: int) -> ItemStream:
        """The items of a stream command."""
        stream = self._streams[index] = ItemStream(self, index)
        return stream

    def taken(self, index: int) -> int:
        """How many items of an open stream the handler has taken."""
        stream = self._streams.get(index)
        return stream.taken if stream else 0

    # --- completions in ---

    def deliver(self, seq: int, event: e.Event) -> None:
        """Settle what an event settles. The caller drains the loop afterwards."""
        settle = self.waits.settle
        match event:
            case e.TurnEnded():
                self.queues.turn_came(seq, event)
                self.waits.wake()
            case e.SayRequested() | e.SayRepeated():  # index 0, the engine's own, is nobody's
                settle(event.index, self.says.requested(event))
                self._say_stream(event)
            case e.CallCompleted():
                self.asking.host.work.pop(event.index, None)
                settle(event.index, decode_value(event.result, f"the result in event {seq}"))
            case e.CallFailed():
                self.asking.host.work.pop(event.index, None)
                settle(event.index, error=_failure(seq, event))
            case e.StreamItem() | e.StreamEnded():
                self._deliver_to_stream(seq, event)
            case e.SignalReceived():
                self.queues.signal_came(seq, event)
                self.waits.wake()
            case e.UpdateRefused(code="voice_locked"):
                hint = "choose the voice before the first say, or declare it"
                settle(event.index, error=VoiceLocked("TL110", event.message, hint))
            case e.UpdateRefused():
                settle(event.index, error=StepError(event.code, event.message))
            case e.EndRequested() | e.UpdateApplied() | e.SayCancelRequested():
                settle(event.index, None)
            case e.SaySettled():
                self._say_settled(event)
            case e.PlayoutEnded():
                if self.says.playout_ended(event):
                    self.waits.wake()
            case e.CallersGone():
                self._hang_up("the caller has gone")
            case e.SessionEnding():
                self._hang_up(f"the session is ending ({event.reason})")
            case e.SessionEnded():
                self._hang_up(f"the session has ended ({event.reason})")
                self._end()

    def _say_settled(self, event: e.SaySettled) -> None:
        self.asking.host.clips.pop(event.say, None)
        self.says.settled(event)
        for index in [index for index, stream in self._streams.items() if stream.say == event.say]:
            self._leave_stream(index)
        self.waits.wake()

    def _say_stream(self, event: e.SayRequested | e.SayRepeated) -> None:
        if stream := self._streams.get(event.command.stream):
            stream.say = event.say
        if isinstance(event, e.SayRepeated):  # what the first one speaks is said: this one's stream is nobody's
            self._leave_stream(event.command.stream)

    def _deliver_to_stream(self, seq: int, event: e.StreamItem | e.StreamEnded) -> None:
        stream = self._streams.get(event.index)
        if stream is not None and isinstance(event, e.StreamItem):
            stream.take(event.n, decode_value(event.item, f"the stream's item {event.n}"))
        elif isinstance(event, e.StreamEnded):
            self.asking.host.work.pop(event.index, None)
            self._streams.pop(event.index, None)
            if stream is not None:
                failed = _failure(seq, event) if event.type_name else None
                stream.end = failed or StopAsyncIteration()
        self.waits.wake()

    def _leave_stream(self, index: int) -> None:
        """Nothing more of a stream is spoken, and nobody else reads it: its function is stopped."""
        if stream := self._streams.pop(index, None):
            stream.end = StopAsyncIteration()
            self.waits.wake()

    def _hang_up(self, why: str) -> None:
        self.record.hang_up(why)
        self.waits.wake()

    def _end(self) -> None:
        self.record.ended = True
        self.waits.settle_all(self.record.over)
        for stream in self._streams.values():
            stream.end = stream.end or self.record.over


def _failure(seq: int, event: e.CallFailed | e.StreamEnded) -> StepError:
    data = decode_value(event.data, f"the error's data in event {seq}") if event.data else None
    return StepError(event.type_name, event.message, data)
