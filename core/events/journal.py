"""The handler's journal: what it asked for, and what came of it."""

from typing import Final

from ..commands import AwaitSignal, Call, CancelSay, End, Input, Patch, Say, Site, Step, Stream, Update
from .base import Event

__all__ = [
    "FILLER",
    "AttemptFailed",
    "CallCompleted",
    "CallFailed",
    "CallRequested",
    "CommandAbandoned",
    "EndRequested",
    "HandlerFailed",
    "HandlerReturned",
    "InputRequested",
    "PatchMarked",
    "SayCancelRequested",
    "SayRepeated",
    "SayRequested",
    "SignalAwaited",
    "SignalReceived",
    "StepRequested",
    "StreamEnded",
    "StreamItem",
    "StreamRequested",
    "TimerFired",
    "UpdateApplied",
    "UpdateRefused",
    "UpdateRequested",
]

FILLER: Final = "filler_"
"""How the names of those says begin that the engine speaks while a tool is slow."""


class InputRequested(Event, frozen=True, kw_only=True):
    """session.input()."""

    index: int
    command: Input
    site: Site


class SayRequested(Event, frozen=True, kw_only=True):
    """session.say(): from here the words are owed to the caller until SaySettled.

    index 0: no handler asked for it. It is a filler of the engine's (its say begins with FILLER), or comes from outside.
    """

    index: int
    say: str
    command: Say
    site: Site


class SayRepeated(Event, frozen=True, kw_only=True):
    """session.say() with the key of an earlier say and the same words: no new say."""

    index: int
    say: str
    command: Say
    site: Site


class SayCancelRequested(Event, frozen=True, kw_only=True):
    """handle.cancel()."""

    index: int
    command: CancelSay
    site: Site


class CallRequested(Event, frozen=True, kw_only=True):
    """session.call(): the tool runs once this is durable. `call` is the same on every attempt."""

    index: int
    call: str
    command: Call
    site: Site


class StepRequested(Event, frozen=True, kw_only=True):
    """session.step(): the function runs once this is durable. `step` is the same on every attempt."""

    index: int
    step: str
    command: Step
    site: Site


class StreamRequested(Event, frozen=True, kw_only=True):
    """session.stream()."""

    index: int
    stream: str
    command: Stream
    site: Site


class StreamItem(Event, frozen=True, kw_only=True):
    """The n-th item (1, 2, …) of a stream; `item` is msgpack."""

    index: int
    n: int
    item: bytes


class StreamEnded(Event, frozen=True, kw_only=True):
    """A stream has no more items: it ended, or its function raised (type_name). data: as in CallFailed."""

    index: int
    type_name: str = ""
    message: str = ""
    data: bytes = b""


class AttemptFailed(Event, frozen=True, kw_only=True):
    """An attempt at a call or step failed and another one follows."""

    index: int
    attempt: int
    type_name: str
    message: str


class SignalAwaited(Event, frozen=True, kw_only=True):
    """session.signal()."""

    index: int
    command: AwaitSignal
    site: Site


class SignalReceived(Event, frozen=True, kw_only=True):
    """The embedding program sent a signal; one key is received once."""

    name: str
    data: bytes  # msgpack
    key: str = ""


class UpdateRequested(Event, frozen=True, kw_only=True):
    """session.update()."""

    index: int
    command: Update
    site: Site


class UpdateApplied(Event, frozen=True, kw_only=True):
    """The provider has confirmed an update."""

    index: int


class UpdateRefused(Event, frozen=True, kw_only=True):
    """An update cannot be: the voice is locked once it was heard, or the provider says no."""

    index: int
    code: str
    message: str


class PatchMarked(Event, frozen=True, kw_only=True):
    """session.patched(): this session runs with the change `command.name`."""

    index: int
    command: Patch
    site: Site


class CallCompleted(Event, frozen=True, kw_only=True):
    """A tool or step returned; `result` is msgpack."""

    index: int
    result: bytes


class CallFailed(Event, frozen=True, kw_only=True):
    """A tool or step raised at its last attempt, was stopped (Cancelled), or the tool is not there. data: msgpack of what
    the exception carried along; empty for nothing."""

    index: int
    type_name: str
    message: str
    data: bytes = b""


class EndRequested(Event, frozen=True, kw_only=True):
    """session.end()."""

    index: int
    command: End
    site: Site


class CommandAbandoned(Event, frozen=True, kw_only=True):
    """The await of command `command` was cancelled."""

    index: int
    command: int


class TimerFired(Event, frozen=True, kw_only=True):
    """A timer of the handler's loop, numbered by creation."""

    timer: int
    deadline_ns: int


class HandlerReturned(Event, frozen=True, kw_only=True):
    """The handler's coroutine returned."""

    index: int


class HandlerFailed(Event, frozen=True, kw_only=True):
    """The handler's coroutine raised. traceback: the frames of its own files, outermost first, at most twenty; no values."""

    index: int
    type_name: str
    message: str
    traceback: list[str] = []
