"""Events to bytes and back. The type and version travel in columns of their own; stored bytes are never re-encoded.

Stored data = a 16-byte nonce + the msgpack map of the event's fields. The nonce is given by the caller (the core draws no
random numbers) and keeps an erased event's digest from being guessed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from .chain import NONCE_SIZE
from .errors import StoreError
from .events import EVENT_TYPES, Erased, Event, Unknown
from .ports import Recorded
from .upcast import Upcast, Upcasters

__all__ = ["UPCASTS", "VERSIONS", "Codec", "decode", "decode_value", "encode", "to_json"]

VERSIONS: dict[str, int] = {}  # type -> version, where it is not 1
UPCASTS: tuple[Upcast, ...] = ()  # from every older version of every type that was ever in a log

_encode = msgspec.msgpack.Encoder().encode
_decode_fields = msgspec.msgpack.Decoder(dict[str, Any]).decode


class Codec:
    """Reads and writes the events of `types`. Raises DefinitionError TL207 if the upcasters do not fit them."""

    def __init__(
        self, types: Mapping[str, type[Event]], versions: Mapping[str, int] | None = None, upcasts: Iterable[Upcast] = ()
    ) -> None:
        self._versions = {name: (versions or {}).get(name, 1) for name in types}
        self._decoders = {name: msgspec.msgpack.Decoder(cls).decode for name, cls in types.items()}
        self._upcasters = Upcasters(upcasts, self._versions)

    def encode(self, event: Event, nonce: bytes) -> tuple[str, int, bytes]:
        """(type, version, data) of an event. `nonce` is 16 random bytes."""
        name = type(event).__name__
        return name, self._versions[name], nonce + _encode(event)

    def decode(self, recorded: Recorded) -> Event | Unknown | Erased:
        """The event of a log entry in today's form, Erased where the data is gone.

        Unknown for types and versions of a newer turnlog. Raises StoreError TL407 if bytes of a known type do not decode,
        TL415 if an upcaster fails.
        """
        name, version = recorded.type, recorded.version
        if recorded.data is None:
            return Erased(type=name)
        if self._versions.get(name) == version:
            try:
                return self._decoders[name](memoryview(recorded.data)[NONCE_SIZE:])
            except (ValueError, RecursionError) as error:  # MsgspecError, UnicodeDecodeError: both are ValueErrors
                raise _damaged(recorded, error) from None
        if (name, version) in self._upcasters:
            return self._upcast(recorded)
        return Unknown(type=name, version=version)

    def _upcast(self, recorded: Recorded) -> Event:
        assert recorded.data is not None  # decode asked
        try:
            fields = _decode_fields(memoryview(recorded.data)[NONCE_SIZE:])
        except (ValueError, RecursionError) as error:
            raise _damaged(recorded, error) from None
        name, fields = self._upcasters.apply((recorded.type, recorded.version), fields)
        try:
            # Strategy: through bytes, so that the fields of an upcaster mean exactly what stored ones mean.
            return self._decoders[name](_encode(fields))
        except (ValueError, TypeError, RecursionError) as error:
            what = f"event {recorded.seq} ({recorded.type} v{recorded.version}), brought to {name}, does not decode: {error}"
            raise StoreError("TL415", what, "the log is as it was; correct the upcaster") from None


def _damaged(recorded: Recorded, error: Exception) -> StoreError:
    return StoreError(
        "TL407",
        f"event {recorded.seq} ({recorded.type}) does not decode: {error}",
        "the log is damaged; restore it from a copy, or export what is before this event",
    )


# Strategy: made when the module is imported, so that upcasters that do not fit stop a program at its start.
_ours = Codec(EVENT_TYPES, VERSIONS, UPCASTS)
encode = _ours.encode
decode = _ours.decode


def to_json(event: Event | Unknown | Erased) -> dict[str, Any]:
    """The event's fields as JSON-ready values; wire bytes as the text they were."""
    return {key: _readable(value) for key, value in msgspec.structs.asdict(event).items()}


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


def decode_value(data: bytes, where: str) -> Any:
    """A value that a tool, a step or a signal left in the log. Raises StoreError TL407, naming `where` it stands."""
    try:
        return msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        hint = "the log is damaged, or was not written by turnlog; restore it from a copy, or replay what stands before it"
        raise StoreError("TL407", f"{where} does not decode: {error}", hint) from None
