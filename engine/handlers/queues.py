"""What comes to a handler without being asked for one by one: turns and signals, each kept until it is taken."""

import asyncio
from collections import deque
from typing import Any

from ...core import events as e
from ...core.codec import decode_value
from ...core.turn import SessionTurn
from .handles import Holder
from .record import Record

__all__ = ["Queues"]


class Queues:
    """Turns and signals that came and were not taken. `turn_taken` is the number of the last turn that the handler was given."""

    def __init__(self, holder: Holder, record: Record) -> None:
        self.turn_taken = 0
        self._holder = holder
        self._record = record
        self._turns: deque[SessionTurn] = deque()
        self._signals: dict[str, deque[Any]] = {}

    async def turn(self, index: int) -> SessionTurn:
        """Take the next turn off the queue; it leaves the queue only when this task resumes."""
        turn: SessionTurn = await self._next(index, self._turns)
        self.turn_taken = turn.metadata["turn"]
        return turn

    async def signal(self, index: int, name: str) -> Any:
        """Take the next signal of this name off its queue; one that came before it was awaited is there."""
        return await self._next(index, self._signals.setdefault(name, deque()))

    async def _next(self, index: int, queue: deque[Any]) -> Any:
        try:
            while not queue:
                if self._record.over:
                    raise self._record.over
                await self._holder.wait()
        except asyncio.CancelledError:
            self._holder.abandon(index)
            raise
        return queue.popleft()

    def turn_came(self, seq: int, event: e.TurnEnded) -> None:
        """A turn was delivered."""
        metadata: dict[str, Any] = {"item": event.item, "turn": event.turn, "seq": seq, "interrupted": list(event.interrupted)}
        if event.channel == "audio":
            metadata |= {"start_ms": event.start_ms, "end_ms": event.end_ms, "transcript_status": event.transcript_status}
        turn = SessionTurn(text=event.text, transcript=event.transcript, channel=event.channel, metadata=metadata)
        self._turns.append(turn)

    def signal_came(self, seq: int, event: e.SignalReceived) -> None:
        """A signal was delivered."""
        data = decode_value(event.data, f"the signal in event {seq}")
        self._signals.setdefault(event.name, deque()).append(data)
