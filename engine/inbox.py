"""What happened to a session and is not decided yet, in the order it happened."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from ..core import events as e
from ..core.errors import TurnlogError
from ..transports.realtime.wire import MEDIA_TYPES, Message
from .line import Line

__all__ = [
    "Arrived",
    "Attempted",
    "CallDone",
    "Down",
    "Ending",
    "Failed",
    "Faulted",
    "FirstAudio",
    "Inbox",
    "Input",
    "OfCall",
    "Overheard",
    "Signalled",
    "Told",
    "ToolDone",
    "Unreadable",
    "Up",
    "is_media",
    "rounds",
]


class Arrived(NamedTuple):
    """A message on a line."""

    line: Line
    message: Message
    at_ns: int


class Unreadable(NamedTuple):
    """Bytes on a line that are no message."""

    line: Line
    raw: bytes
    error: TurnlogError
    at_ns: int


class Faulted(NamedTuple):
    """Media that could not be used, and what the protocol makes us answer to it."""

    line: Line
    error: TurnlogError
    owed: list[bytes]


class Up(NamedTuple):
    """A line stands."""

    line: Line
    peer: str


class Down(NamedTuple):
    """A line is gone."""

    line: Line
    code: int
    reason: str


class Failed(NamedTuple):
    """The provider's line could not be opened."""

    error: TurnlogError


class OfCall(NamedTuple):
    """What became of a direct call; settings: what its caller asked of the session with the offer."""

    event: e.CallOpened | e.CallRefused | e.CallEnded
    settings: dict[str, Any] | None = None


class FirstAudio(NamedTuple):
    """A response's first audio went to the callers."""

    response: str
    at_ns: int


class Overheard(NamedTuple):
    """The engine's own ears: a caller has spoken for `ms` over what is played."""

    link: str
    ms: int


class CallDone(msgspec.Struct, frozen=True):
    """A tool the handler called has returned (msgpack) or raised."""

    index: int
    seq: int
    result: bytes | None
    error: BaseException | None


class ToolDone(NamedTuple):
    """A tool the model called has returned or raised; output is JSON text."""

    call_id: str
    seq: int
    output: str
    ok: bool


class Attempted(NamedTuple):
    """Something came that decides nothing: a failed attempt, an item or a stream's end, or what a client has run by HTTP."""

    event: e.AttemptFailed | e.StreamItem | e.StreamEnded | e.OutsideCallRequested | e.OutsideCallEnded
    seq: int  # of the cause, or a Root


class Signalled(NamedTuple):
    """The embedding program sent a signal."""

    event: e.SignalReceived


class Told(NamedTuple):
    """The embedding program has something said."""

    event: e.SayRequested


class Ending(NamedTuple):
    """The embedding program ends the session."""

    event: e.SessionEnding


Input = (
    Arrived | Unreadable | Faulted | Overheard | Up | Down | Failed | OfCall
    | CallDone | ToolDone | Ending | Attempted | Signalled | Told
)


class Inbox:
    """A queue with one taker that takes everything there is, or wakes at a deadline."""

    def __init__(self) -> None:
        self.idle = False
        """True while the taker waits and nothing lies here. An attribute, as it is looked at for every message."""
        self._items: list[Input] = []
        self._waiter: asyncio.Future[None] | None = None
        self._awake = False
        self._asked = False  # to look at what may have come due
        self.meanwhile: Callable[[], None] | None = None
        """Called when something has come, while the taker is busy with what decides nothing: it may take_round()."""

    def put(self, item: Input) -> None:
        """Add what happened."""
        self._items.append(item)
        self.go_on()
        if self.meanwhile is not None and len(self._items) == 1:
            asyncio.get_running_loop().call_soon(self._tell)

    def wake(self) -> None:
        """Let the taker go on and look at what is due, with or without an item."""
        self._asked = True
        self.go_on()

    def go_on(self) -> None:
        """Let the taker go on: a moment has come, of which it knows what is due then."""
        self._awake, self.idle = True, False
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def awake(self) -> bool:
        """True while the taker would go on at once."""
        return self._awake

    @property
    def empty(self) -> bool:
        """True while nothing lies here."""
        return not self._items

    def was_asked(self) -> bool:
        """Whether the taker was woken to look, and not only a moment came, since this was asked last."""
        asked, self._asked = self._asked, False
        return asked

    def clear(self) -> None:
        """Nobody takes any more: what lies here is let go of."""
        self._items.clear()

    def take_round(self) -> list[Input]:
        """What lies here, up to where a round ends; the rest stays."""
        inputs = list(next(rounds(self._items)))
        del self._items[: len(inputs)]
        return inputs

    def _tell(self) -> None:
        if self.meanwhile is not None:
            self.meanwhile()

    async def take(self, delay_s: float | None) -> list[Input]:
        """Everything that lies here; waits for something at most `delay_s` seconds."""
        if not self._awake and (delay_s is None or delay_s > 0):
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            self.idle = True
            timer = loop.call_later(delay_s, self.go_on) if delay_s is not None else None
            try:
                await self._waiter
            finally:
                self._waiter, self.idle = None, False
                if timer:
                    timer.cancel()
        elif not self._awake:
            await asyncio.sleep(0)  # a deadline that is due: the other sessions get their turn all the same
        self._awake = False
        items, self._items = self._items, []
        return items


def rounds(inputs: list[Input]) -> Iterator[list[Input]]:
    """Cut what happened where a control message follows media: media leaves after the commit of what came before it,
    and before anything that came later is decided."""
    return _cut(inputs) if len(inputs) > 1 else iter((inputs,))


def _cut(inputs: list[Input]) -> Iterator[list[Input]]:
    at = 0
    for n, item in enumerate(inputs):
        if n > at and is_media(inputs[n - 1]) and not is_media(item):
            yield inputs[at:n]
            at = n
    yield inputs[at:]


def is_media(item: Input) -> bool:
    """Whether it is a message of the high-rate kind."""
    return isinstance(item, Arrived) and item.message.type in MEDIA_TYPES
