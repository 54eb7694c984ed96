"""What a handler asks for: imperative structs. Their msgpack bytes are what replay compares.

A command is issued with an index (1, 2, 3… in the order of the calls) and a Site; neither is part of the compared bytes.
Plain values only (`plain`): what cannot be stored faithfully is refused before it is issued.
"""

from typing import Any, Literal

import msgspec

from .errors import HandlerError

__all__ = [
    "MAX_DEPTH",
    "Abandon",
    "AwaitSignal",
    "Call",
    "CancelSay",
    "Clip",
    "Command",
    "End",
    "Fail",
    "Input",
    "Options",
    "Patch",
    "Return",
    "Say",
    "Site",
    "Step",
    "Stream",
    "Update",
    "compared",
    "encode_command",
    "plain",
]

MAX_DEPTH = 100  # lists and dicts within each other; what is deeper, or holds itself, is refused


class Site(msgspec.Struct, frozen=True, array_like=True):
    """Where in the handler's code a command was issued."""

    file: str
    line: int


class Input(msgspec.Struct, frozen=True, kw_only=True, tag="input"):
    """Wait for the user's next turn."""

    timeout_s: float | None = None


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """A recording to be played: its file's name, the SHA-256 of its samples (PCM16 mono), their rate and duration."""

    name: str
    digest: str
    rate: int
    ms: int


class Say(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="say"):
    """Speak these words to the caller. `turn` is the last turn the handler had taken when it asked."""

    text: str
    metadata: dict[str, Any] = {}
    when: Literal["queue", "interrupt", "drop"] = "queue"
    interruptible: bool = True
    key: str = ""
    mode: Literal["", "out_of_band", "in_band", "tts"] = ""  # "": as the session is declared
    on_mismatch: Literal["log", "retry", "fail"] = "log"
    on_stale: Literal["hold", "drop", "speak"] = "hold"
    turn: int = 0
    stream: int = 0  # the index of a stream command whose items are the words, behind `text`
    after: int = 0  # the number of the last item of it that the handler had been given
    clip: Clip | None = None


class CancelSay(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """Take a say back: what was not heard of it is not wanted any more."""

    say: str


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a tool or step is tried: each attempt at most `timeout_s`, `retries` more after a failure, doubling pauses."""

    timeout_s: float | None = None
    retries: int = 0
    backoff_s: float = 0.5


class Call(msgspec.Struct, frozen=True, kw_only=True, tag="call"):
    """Invoke a tool and wait for its result."""

    target: str
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    options: Options | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True, tag="step"):
    """Run a function of the handler's own outside of its loop, once in the session's life."""

    name: str  # module:function
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    options: Options | None = None


class Stream(msgspec.Struct, frozen=True, kw_only=True, tag="stream"):
    """Run a function that yields, and take what it yields item by item."""

    name: str
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class AwaitSignal(msgspec.Struct, frozen=True, kw_only=True, tag="signal"):
    """Wait for a signal from outside."""

    name: str


class Update(msgspec.Struct, frozen=True, kw_only=True, tag="update"):
    """Change the session; None leaves a part as it is."""

    instructions: str | None = None
    tools: list[str] | None = None
    voice: str | None = None
    answers: Literal["handler", "model"] | None = None


class Patch(msgspec.Struct, frozen=True, kw_only=True, tag="patch"):
    """Mark that this session runs with a change of the code."""

    name: str


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """End the session, after the queued says if `drain`."""

    reason: str
    drain: bool = True


class Abandon(msgspec.Struct, frozen=True, kw_only=True, tag="abandon"):
    """The await of an earlier command was cancelled; its completion will be recorded and ignored."""

    command: int


class Return(msgspec.Struct, frozen=True, kw_only=True, tag="return"):
    """The handler returned."""


class Fail(msgspec.Struct, frozen=True, kw_only=True, tag="raise"):
    """The handler raised. frames: those of its own files, outermost first, each as "file:line function"."""

    type_name: str
    message: str
    frames: list[str] = []


Command = Input | Say | CancelSay | Call | Step | Stream | AwaitSignal | Update | Patch | End | Abandon | Return | Fail

_AS_IT_IS = frozenset({type(None), bool, float, bytes})

encode_command = msgspec.msgpack.Encoder(order="sorted").encode


def compared(command: Command) -> bytes:
    """The bytes by which two commands are the same. What follows from the log is no choice of the handler's.

    Such are the turn that a say answers, the items of its stream that had come, and the samples of a recording: its file may
    have gone since, its name tells which one is meant. Nor is it where in its files a handler raised: they may have changed.
    """
    if isinstance(command, Say):
        clip = command.clip and msgspec.structs.replace(command.clip, digest="", rate=0, ms=0)
        command = msgspec.structs.replace(command, turn=0, after=0, clip=clip)
    elif isinstance(command, Fail):
        command = msgspec.structs.replace(command, frames=[])
    return encode_command(command)


def plain(value: object, where: str) -> Any:
    """`value` as it will come back from the log: tuples become lists, everything else stays.

    Raises HandlerError TL105 with the path of the part that cannot be stored faithfully (sets, objects, subclasses of str
    or int such as enums, keys that are no strings, text with lone surrogates, integers beyond 64 bit, more than MAX_DEPTH
    levels).
    """
    return _plain(value, where, 0)


def _plain(value: object, where: str, depth: int) -> Any:
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    match value:
        case str() if kind is str:
            return _text(value, where)
        case int() if kind is int:
            if not -(2**63) <= value < 2**64:
                raise _unfaithful(f"{where} is an integer beyond 64 bit")
            return value
        case list() | tuple() | dict() if depth >= MAX_DEPTH:
            raise _unfaithful(f"{where[:60]}… is more than {MAX_DEPTH} levels deep")
        case list() | tuple():
            return [_plain(item, f"{where}[{n}]", depth + 1) for n, item in enumerate(value)]
        case dict():
            return {_key(key, where): _plain(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    raise _unfaithful(f"{where} is {kind.__name__}")


def _key(key: object, where: str) -> str:
    if type(key) is not str:
        raise _unfaithful(f"{where} has the key {key!r}, which is no string")
    return _text(key, where)


def _text(text: str, where: str) -> str:
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        raise _unfaithful(f"{where} holds a lone surrogate, which is no character") from None
    return text


def _unfaithful(what: str) -> HandlerError:
    return HandlerError(
        "TL105",
        f"{what}: it cannot be stored in the log and come back the same",
        "pass None, bool, int, float, str, bytes, lists and dicts with string keys",
    )
