"""Events to bytes and back. The type and version travel in columns of their own; stored bytes are never re-encoded.

Stored data = a 16-byte nonce + the msgpack map of the event's fields. The nonce is given by the caller (the core draws no
random numbers) and keeps an erased event's digest from being guessed.
"""

import msgspec

from .chain import NONCE_SIZE
from .errors import StoreError
from .events import EVENT_TYPES, Erased, Event, Unknown
from .ports import Recorded

__all__ = ["VERSIONS", "decode", "encode", "to_json"]

VERSIONS: dict[str, int] = {}  # type -> version, where it is not 1

_encode = msgspec.msgpack.Encoder().encode
_decoders = {name: msgspec.msgpack.Decoder(cls).decode for name, cls in EVENT_TYPES.items()}


def encode(event: Event, nonce: bytes) -> tuple[str, int, bytes]:
    """(type, version, data) of an event. `nonce` is 16 random bytes."""
    name = type(event).__name__
    return name, VERSIONS.get(name, 1), nonce + _encode(event)


def decode(recorded: Recorded) -> Event | Unknown | Erased:
    """The event of a log entry; Unknown for types and versions of a newer turnlog, Erased where the data is gone.

    Raises StoreError TL407 if bytes of a known type do not decode.
    """
    name = recorded.type
    if recorded.data is None:
        return Erased(type=name)
    decoder = _decoders.get(name)
    if decoder is None or recorded.version > VERSIONS.get(name, 1):
        return Unknown(type=name, version=recorded.version)
    try:
        return decoder(memoryview(recorded.data)[NONCE_SIZE:])
    except (ValueError, RecursionError) as error:  # MsgspecError, UnicodeDecodeError: both are ValueErrors
        raise StoreError(
            "TL407",
            f"event {recorded.seq} ({name}) does not decode: {error}",
            "the log is damaged; restore it from a copy, or export what is before this event",
        ) from None


def to_json(event: Event | Unknown | Erased) -> object:
    """The event's fields as JSON-ready values; wire bytes as the text they were."""
    return _readable(msgspec.structs.asdict(event))


def _readable(value: object) -> object:
    match value:
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value.hex()
        case dict():
            return {key: _readable(item) for key, item in value.items()}
        case list():
            return [_readable(item) for item in value]
        case msgspec.Struct():
            return _readable(msgspec.structs.asdict(value))
    return value
