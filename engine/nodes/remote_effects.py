"""The tools, steps and streams of a handler at a node: they run there, and which of them are open is known here."""

from collections.abc import Callable
from typing import Any, Final

from ...core import events as e
from ...core.codec import decode
from ...core.core import Staged
from ...core.tool_errors import told
from ..earlier import EARLIER
from ..effects import Effects
from ..handlers.asking import HostSide
from ..inbox import Attempted, CallDone, Input, ToolDone
from ..toolbox import Toolbox
from ..tools import ArgumentError, JsonError
from . import wire

__all__ = ["NodeLost", "RemoteEffects"]

_OF_NODE: Final = frozenset(
    {e.CallRequested, e.StepRequested, e.StreamRequested, e.ToolRequested, e.CommandAbandoned, e.ToolAnswered}
)
_OF_ENGINE: Final = frozenset({e.SayRequested, e.SayRepeated, e.SaySettled})
_WORDS: Final = "the node was lost while this ran"


class NodeLost(Exception):
    """The node of a session went away while a tool, step or stream ran there."""


class RemoteEffects(Effects):
    """What a session's loop takes of Effects. declared: the node's tools. tell: how the node learns of a request."""

    def __init__(self, host: HostSide, tell: Callable[[Staged], None]) -> None:
        super().__init__(Toolbox("", {}))
        self.declared: list[wire.OfferedTool] = []
        self._host = host
        self._tell = tell
        self._open: dict[tuple[str, int | str], tuple[Staged, Callable[[Any], None]]] = {}

    def definitions(self) -> list[dict[str, Any]]:
        """Every tool of the node as the protocol declares it."""
        return [tool.definition for tool in self.declared]

    def unknown(self, names: list[str]) -> list[str]:
        """Those of `names` that no tool of the node has."""
        there = {tool.rules.name for tool in self.declared}
        return [name for name in names if name not in there]

    def start(self, staged: Staged, done: Callable[[Any], None]) -> None:
        """Pass on what is to be started or stopped; what the engine does itself it does."""
        event = staged.event
        if isinstance(event, e.StepRequested) and event.command.name == EARLIER:
            self.work[event.index] = self._host.earlier or _nothing
            super().start(staged, done)
        elif type(event) in _OF_ENGINE:
            super().start(staged, done)
        elif type(event) in _OF_NODE:
            if (key := _key(event)) is not None:
                self._open[key] = (staged, done)
            self._tell(staged)
        if (over := _stopped_by(event)) is not None:
            self._open.pop(over, None)

    def took(self, message: wire.Completed | wire.Answered | wire.Attempt) -> Input | None:
        """What came of one, for the inbox; None for what is not open here. Raises ProtocolError TL321."""
        match message:
            case wire.Completed():
                error = None
                if message.result is None:
                    error = _raised(message.type_name, message.message, message.data)
                else:
                    wire.value_in(message.result)  # who reads the log relies on it
                known = self._open.pop(("call", message.index), None)
                return known and CallDone(message.index, known[0].seq, message.result, error)
            case wire.Answered():
                known = self._open.pop(("tool", message.call_id), None)
                return known and ToolDone(message.call_id, known[0].seq, message.output, message.ok)
        event = decode(wire.recorded_in(message.entry))
        if not isinstance(event, e.AttemptFailed | e.StreamItem | e.StreamEnded):
            raise wire.broken(f"{message.entry.type} is nothing that comes of a stream")
        if isinstance(event, e.StreamItem):
            wire.value_in(event.item)
        key = ("call" if isinstance(event, e.AttemptFailed) else "stream", event.index)
        known = self._open.pop(key, None) if isinstance(event, e.StreamEnded) else self._open.get(key)
        return known and Attempted(event, known[0].seq)

    def lost(self) -> None:
        """What ran at the node has failed, but for what may be tried again: that waits for the node."""
        for key, (staged, done) in list(self._open.items()):
            if not _may_repeat(staged.event):
                del self._open[key]
                done(_lost(staged))

    def again(self) -> None:
        """The node is back: start what waited for it."""
        for staged, _ in self._open.values():
            self._tell(staged)


def _nothing(before: int, limit: int) -> list[list[Any]]:
    """What was said earlier where there is no log."""
    return []


def _key(event: e.Event) -> tuple[str, int | str] | None:
    """What an answer will name."""
    match event:
        case e.CallRequested() | e.StepRequested():
            return "call", event.index
        case e.StreamRequested():
            return "stream", event.index
        case e.ToolRequested(allowed=True):
            return "tool", event.call_id
    return None


def _stopped_by(event: e.Event) -> tuple[str, int | str] | None:
    """What nobody waits for any more."""
    match event:
        case e.CallFailed():
            return "call", event.index
        case e.ToolAnswered():
            return "tool", event.call_id
        case e.CommandAbandoned():
            return "stream", event.command
    return None


def _may_repeat(event: e.Event) -> bool:
    options = event.command.options if isinstance(event, e.CallRequested | e.StepRequested) else None
    return options is not None and options.retries > 0


def _lost(staged: Staged) -> Input:
    event = staged.event
    match event:
        case e.ToolRequested():
            return ToolDone(event.call_id, staged.seq, told("NodeLost", _WORDS), ok=False)
        case e.StreamRequested():
            return Attempted(e.StreamEnded(index=event.index, type_name="NodeLost", message=_WORDS), staged.seq)
    assert isinstance(event, e.CallRequested | e.StepRequested)  # nothing else is open
    return CallDone(event.index, staged.seq, None, NodeLost(_WORDS))


def _raised(type_name: str, message: str, data: bytes) -> BaseException:
    """An exception of the name and words that one had at the node. Raises ProtocolError TL321 for data that is none."""
    match type_name:
        case "ArgumentError" if ": " in message:
            return ArgumentError(*message.split(": ", 1))
        case "JsonError":
            return JsonError(message)
    name = type_name if type_name.isidentifier() else "Exception"  # others can be no class's name
    error: BaseException = type(name, (Exception,), {})(message)
    if data:
        error.data = wire.value_in(data)  # type: ignore[attr-defined] # what carried_by looks for
    return error
