"""What a handler is given to hold: a say under way, a stream of items, the utterances as they end.

They ask the journal, and are settled by what is delivered to it only.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Literal, Protocol

import msgspec

from ...core import commands as c
from ...core import events as e

__all__ = ["Holder", "ItemStream", "SayHandle", "SayOutcome", "Utterance", "Utterances", "utterance"]


class Holder(Protocol):
    """The journal, as these see it."""

    async def wait(self) -> None:
        """Until something was delivered."""

    def abandon(self, index: int) -> None:
        """Wait for a command no more."""

    def issue(self, command: c.Command) -> int:
        """Ask for something."""

    def completion(self, index: int) -> Coroutine[Any, Any, Any]:
        """Wait until it is durable, or done."""


class SayOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a say ended, and what the caller had of it.

    status: played, interrupted (by the user, or because something else cut it), cancelled (nothing of it was heard), or
    failed. code says why. heard_ms is a measurement by `source`, good to error_ms; heard_text is an estimate by whole words.
    """

    status: Literal["played", "interrupted", "cancelled", "failed"]
    heard_ms: int
    heard_text: str
    code: str
    generated_ms: int = 0
    source: e.PlayoutSource = "none"
    error_ms: int = 0


    @classmethod
    def of(cls, event: e.SaySettled) -> "SayOutcome":
        """The outcome that an event tells."""
        return cls(**{name: getattr(event, name) for name in cls.__struct_fields__})


class SayHandle:
    """A say that is durable and owed to the caller. Before it is settled `status` is "open", and nothing counts as heard."""

    def __init__(self, holder: Holder, say: str, command: c.Say) -> None:
        self._holder = holder
        self.id = say
        self.text = command.text
        self.key = command.key
        self._outcome: SayOutcome | None = None

    @property
    def outcome(self) -> SayOutcome | None:
        """How it ended, or None while it is owed or sounding."""
        return self._outcome

    def settle(self, outcome: SayOutcome) -> None:
        """It has ended: the engine's to say."""
        self._outcome = outcome

    async def settled(self) -> SayOutcome:
        """Wait until the caller has heard it, or will not."""
        while (outcome := self.outcome) is None:
            await self._holder.wait()
        return outcome

    def cancel(self) -> Coroutine[Any, Any, None]:
        """Take it back: what was not heard is not wanted any more. Returns when that is durable; settled() tells the rest.

        Nothing happens to a say that is settled.
        """
        return self._holder.completion(self._holder.issue(c.CancelSay(say=self.id)))

    @property
    def status(self) -> str:
        """The outcome's status; "open" before."""
        return self.outcome.status if self.outcome else "open"

    @property
    def heard_ms(self) -> int:
        """Milliseconds that were heard, once it is settled."""
        return self.outcome.heard_ms if self.outcome else 0

    @property
    def heard_text(self) -> str:
        """The words that were heard, once it is settled."""
        return self.outcome.heard_text if self.outcome else ""

    @property
    def code(self) -> str:
        """Why it ended as it did, once it is settled."""
        return self.outcome.code if self.outcome else ""


class ItemStream:
    """What a function of the handler yields, as it comes back from the log: an asynchronous iterator."""

    def __init__(self, holder: Holder, index: int) -> None:
        self._holder = holder
        self.index = index
        self.items: deque[Any] = deque()
        self.taken = 0
        self.came = 0  # the number of the last item that came
        self.spoken = False  # a say takes its items from the log
        self.say = ""  # that one, once it is durable
        self.end: BaseException | None = None  # StopAsyncIteration, StepError or SessionEnded

    def __aiter__(self) -> "ItemStream":
        return self

    async def __anext__(self) -> Any:
        while not self.items:
            if self.end is not None:
                raise self.end
            await self._holder.wait()
        self.taken += 1
        return self.items.popleft()

    def take(self, n: int, item: Any) -> None:
        """An item was delivered."""
        self.came = n
        if self.spoken:
            self.taken += 1
        else:
            self.items.append(item)

    def speak(self) -> list[Any]:
        """Give the items that have come and were not taken, and leave those that will come to a say."""
        items, self.spoken = list(self.items), True
        self.taken += len(items)
        self.items.clear()
        return items

    async def aclose(self) -> None:
        """Leave the stream: its function is stopped, what it has yielded since is ignored. Twice is as good as once."""
        if self.end is None:
            self.items.clear()
            self.end = StopAsyncIteration()
            self._holder.abandon(self.index)


class Utterance(msgspec.Struct, frozen=True, kw_only=True):
    """A response whose playout has ended: a say's, or the model's own (say None). heard_ms is good to error_ms, by `source`."""

    response: str
    say: str | None
    heard_text: str
    generated_ms: int
    delivered_ms: int
    heard_ms: int
    source: e.PlayoutSource
    error_ms: int
    interrupted: bool


def utterance(event: e.PlayoutEnded) -> Utterance:
    """The response whose playout this event ends."""
    return Utterance(
        response=event.response,
        say=event.say,
        heard_text=" ".join(part.heard_text for part in event.heard if part.heard_text),
        generated_ms=sum(part.generated_ms for part in event.heard),
        delivered_ms=sum(part.delivered_ms for part in event.heard),
        heard_ms=sum(part.heard_ms for part in event.heard),
        source=event.source,
        error_ms=event.error_ms,
        interrupted=event.interrupted,
    )


class Utterances(AsyncIterator[Utterance]):
    """The utterances that end from here on."""

    def __init__(self, holder: Holder, over: Callable[[], bool]) -> None:
        self._holder = holder
        self._over = over  # whether none can follow
        self.ended: deque[Utterance] = deque()

    async def __anext__(self) -> Utterance:
        while not self.ended:
            if self._over():
                raise StopAsyncIteration
            await self._holder.wait()
        return self.ended.popleft()
