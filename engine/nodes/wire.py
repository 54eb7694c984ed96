"""What an engine and a node say to each other: JSON messages of one link, told apart by `type`. docs/reference/node.md.

Commands and events travel as the bytes that a log holds (msgpack, in base64): a value arrives as what it was.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from ...core import commands as c
from ...core import events as e
from ...core.codec import encode
from ...core.definition import SessionDefinition
from ...core.errors import ProtocolError
from ...core.ports import Recorded

__all__ = [
    "MAX_BYTES",
    "PROTOCOL",
    "Answered",
    "AskedFor",
    "Attempt",
    "Completed",
    "Count",
    "Diverged",
    "Down",
    "Entry",
    "Forget",
    "Happened",
    "Hello",
    "OfSession",
    "OfferedSession",
    "OfferedTool",
    "Past",
    "Present",
    "Seen",
    "Up",
    "Welcome",
    "Work",
    "broken",
    "command_in",
    "definition_in",
    "entry_of",
    "pack",
    "packed",
    "read_down",
    "read_up",
    "recorded_in",
    "value_in",
]

PROTOCOL = 1
MAX_BYTES = 32 * 1024 * 1024
"""The largest message of a node where the engine names no other."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number of a node: what a log's columns can hold."""
_NO_NONCE = bytes(16)  # nothing is hashed here


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """An event of a log, in the form that it is stored in."""

    seq: int
    at_ns: int
    cause: int
    type: str
    version: int
    data: bytes | None


class OfferedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that a node declares. definition: msgpack of a SessionDefinition."""

    name: str
    definition: bytes
    handler: str
    code_version: str
    strict: bool | None = None
    replay: bool = True


class OfferedTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that a node runs. definition: as the Realtime protocol declares it."""

    definition: dict[str, Any]
    rules: e.ToolRules


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    """Node: who it is. The first message of a link. flags: the rules by which it runs handlers.

    kept: the sessions that its process holds still from an earlier link, with the last event that each has seen and the
    number of its commands.
    """

    node: str
    protocol: int
    flags: int
    python: str
    sessions: list[OfferedSession]
    tools: list[OfferedTool] = []
    kept: dict[str, tuple[Count, Count]] = {}


class AskedFor(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="asked"):
    """Node: a command of a handler, with its place, its line, and the event that woke it. clip: of a say, PCM16."""

    session: str
    index: Count
    command: bytes
    site: c.Site
    cause: Count
    clip: bytes = b""


class Seen(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="seen"):
    """Node: the handler has seen all up to `seq` and rests. timer: its earliest, number and deadline in ns."""

    session: str
    seq: Count
    timer: tuple[Count, Count] | None = None


class Completed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="completed"):
    """Node: a call or step has returned (result, msgpack) or failed. seq: of its request. data: what the error carries."""

    session: str
    index: Count
    seq: Count
    result: bytes | None = None
    type_name: str = ""
    message: str = ""
    data: bytes = b""


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="answered"):
    """Node: a tool that the model called has an answer, JSON text."""

    session: str
    call_id: str
    seq: Count
    output: str
    ok: bool


class Attempt(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="attempt"):
    """Node: an AttemptFailed, StreamItem or StreamEnded. entry.seq: of the request."""

    session: str
    entry: Entry


class Diverged(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="diverged"):
    """Node: it cannot take a session up again. code and message say why."""

    session: str
    code: str
    message: str


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="welcome"):
    """Engine: the node is known. grace_s: how long its sessions wait for it when it is lost. max_bytes: of its messages."""

    grace_s: float
    max_bytes: int = MAX_BYTES


class Happened(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="event"):
    """Engine: an event that the handler is to see. SessionStarted begins a session."""

    session: str
    entry: Entry


class Work(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="work"):
    """Engine: the request for a tool, step or stream, now durable; or that one is not wanted any more."""

    session: str
    entry: Entry


class Past(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="past"):
    """Engine: an event of a session that is taken up again. `Present` follows the last one."""

    session: str
    entry: Entry


class Present(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="present"):
    """Engine: that was the past, or what a handler that is `kept` has missed. seq: the last event that it was to see."""

    session: str
    seq: int
    kept: bool = False


class Forget(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="forget"):
    """Engine: the session runs no more. left: it has no end, and is to go on elsewhere."""

    session: str
    left: bool = False


OfSession = AskedFor | Seen | Completed | Answered | Attempt | Diverged
Up = Hello | OfSession
Down = Welcome | Happened | Work | Past | Present | Forget

_encode = msgspec.json.Encoder().encode
_up: Callable[[bytes], Up] = msgspec.json.Decoder(Up).decode
_down: Callable[[bytes], Down] = msgspec.json.Decoder(Down).decode
_command: Callable[[bytes], c.Command] = msgspec.msgpack.Decoder(c.Command).decode
_definition = msgspec.msgpack.Decoder(SessionDefinition).decode


def packed(message: Up | Down) -> bytes:
    """A message as it is sent."""
    return _encode(message)


def read_up(raw: bytes) -> Up:
    """A message of a node. Raises ProtocolError TL321."""
    try:
        return _up(raw)
    except (ValueError, RecursionError) as error:  # MsgspecError is one
        raise broken(f"a message of the node cannot be read: {error}") from None


def read_down(raw: bytes) -> Down:
    """A message of an engine. Raises ProtocolError TL321."""
    try:
        return _down(raw)
    except (ValueError, RecursionError) as error:
        raise broken(f"a message of the engine cannot be read: {error}") from None


def command_in(data: bytes) -> c.Command:
    """The command that AskedFor holds. Raises ProtocolError TL321."""
    try:
        return _command(data)
    except (ValueError, RecursionError) as error:
        raise broken(f"a command of the node cannot be read: {error}") from None


def value_in(data: bytes) -> Any:
    """The plain value that msgpack of the node holds. Raises ProtocolError TL321."""
    try:
        return msgspec.msgpack.decode(data)
    except (ValueError, RecursionError) as error:
        raise broken(f"a value of the node cannot be read: {error}") from None


def definition_in(data: bytes) -> SessionDefinition:
    """The definition that OfferedSession holds. Raises ProtocolError TL321."""
    try:
        return _definition(data)
    except (ValueError, RecursionError) as error:
        raise broken(f"a definition of the node cannot be read: {error}") from None


def pack(value: object) -> bytes:
    """A struct as a log holds it."""
    return msgspec.msgpack.encode(value)


def entry_of(seq: int, at_ns: int, cause: int, event: e.Event) -> Entry:
    """An event as it travels."""
    type_, version, data = encode(event, _NO_NONCE)
    return Entry(seq, at_ns, cause, type_, version, data)


def recorded_in(entry: Entry) -> Recorded:
    """An entry as the codec and a replay take it; it has no hash."""
    return Recorded(entry.seq, entry.type, entry.version, entry.at_ns, 0, entry.cause, b"", b"", entry.data)


def broken(what: str) -> ProtocolError:
    """The answer to what is not said in this protocol."""
    return ProtocolError("TL321", what, "run the same turnlog at the node and at the engine")
