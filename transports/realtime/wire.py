"""Reading and writing Realtime messages: verbatim always, typed where used. Pure: bytes in, values out.

Unknown types and unknown keys are normal and never an error; a message that is not an event, or a known type with a
field of the wrong kind, is an InvalidMessage. Audio is handed on as the base64 text that stood on the wire, so that
forwarding decodes nothing.
"""

import re
from typing import Any

import msgspec

from ...core.errors import ProtocolError
from .client_messages import AudioAppend
from .messages import OutputAudioDelta, View

__all__ = [
    "MEDIA_TYPES",
    "InvalidMessage",
    "Message",
    "audio_text",
    "check_base64",
    "encode_event",
    "encode_value",
    "event_id_of",
    "parse",
]

MEDIA_TYPES = frozenset(
    {
        "input_audio_buffer.append",
        "conversation.item.input_audio_transcription.delta",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_text.delta",
        "response.function_call_arguments.delta",
        # the beta protocol's names, which some dialects still use
        "response.audio.delta",
        "response.audio_transcript.delta",
        "response.text.delta",
    }
)
"""High-rate types: they are logged in media segments, not as events."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One wire message: `raw` exactly as it came, and a view of it if its type is one that turnlog reads."""

    type: str
    raw: bytes
    view: View | None


class InvalidMessage(ProtocolError):
    """A message that cannot be read (TL304), or whose audio is not base64 (TL305).

    `param` names the field, `event_id` is the sender's if it could be read, `missing` tells an absent field from a wrong one.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)
        self.param: str | None = None
        self.event_id: str | None = None
        self.missing = False


class _Peek(msgspec.Struct, gc=False):
    type: str


class _PeekId(msgspec.Struct, gc=False):
    event_id: str


_peek = msgspec.json.Decoder(_Peek).decode
_peek_id = msgspec.json.Decoder(_PeekId).decode
_encode = msgspec.json.Encoder().encode


def _views(base: type[View]) -> dict[str, type[View]]:
    found: dict[str, type[View]] = {}
    for view in base.__subclasses__():
        found.update(_views(view))
        if not view.__name__.startswith("_"):
            found[str(view.__struct_config__.tag)] = view
    return found


_read = {type_: msgspec.json.Decoder(view).decode for type_, view in _views(View).items()}
_AT_FIELD = re.compile(r"at `\$\.(?P<path>[^`]+)`")
_MISSING_FIELD = re.compile(r"missing required field `(?P<name>[^`]+)`(?: - at `\$\.(?P<path>[^`]+)`)?")


# --- from bytes to messages ---


def parse(raw: bytes) -> Message:
    """Read one message. Raises InvalidMessage: TL304 (not JSON, not UTF-8, no `type`, a wrong field), TL305 (no base64 text)."""
    try:
        if not raw.isascii():
            raw.decode()  # the JSON decoder does not look into what it skips
        type_ = _peek(raw).type
        read = _read.get(type_)
        return Message(type=type_, raw=raw, view=None if read is None else read(raw))
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors, UnicodeDecodeError is one
        raise _invalid(raw, error) from None


def _invalid(raw: bytes, error: Exception) -> InvalidMessage:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    start = raw[:60].decode(errors="replace")
    invalid = InvalidMessage(
        "TL304",
        f"this is not a Realtime event: {reason} (it starts with {start!r})",
        "a message is one JSON object in UTF-8 with a string `type`; look at what the peer sent",
    )
    if absent := _MISSING_FIELD.search(reason):
        invalid.missing = True
        invalid.param = ".".join(filter(None, (absent["path"], absent["name"])))
    elif wrong := _AT_FIELD.search(reason):
        invalid.param = wrong["path"]
    invalid.event_id = _event_id(raw)
    return invalid


def event_id_of(message: Message) -> str | None:
    """The sender's event_id, to be echoed in an error; also of a type that has no view."""
    return _event_id(message.raw) if message.view is None else message.view.event_id


def _event_id(raw: bytes) -> str | None:
    try:
        return _peek_id(raw).event_id
    except (ValueError, RecursionError):
        return None  # none that can be echoed


# --- audio ---


def audio_text(message: Message) -> bytes:
    """The base64 text of an audio message, as the peer wrote it. Raises InvalidMessage TL305 if it is not base64."""
    match message.view:
        case OutputAudioDelta(delta=field, event_id=event_id):
            name = "delta"
        case AudioAppend(audio=field, event_id=event_id):
            name = "audio"
        case _:
            raise ProtocolError("TL307", f"a message of type {message.type!r} carries no audio")
    quoted = bytes(field)
    if quoted[:1] == b'"':
        text = quoted[1:-1]
        if b"\\" in text:  # an encoder may write \/ for /
            text = msgspec.json.decode(quoted, type=str).encode()
        if _is_base64(text):
            return text
    invalid = InvalidMessage(
        "TL305", f"the field {name!r} of {message.type} is not base64 text", "send the audio bytes in standard base64, padded"
    )
    invalid.param, invalid.event_id = name, event_id
    raise invalid


def check_base64(text: bytes) -> None:
    """Raise InvalidMessage TL305 unless `text` is standard, padded base64."""
    if not _is_base64(text):
        raise InvalidMessage("TL305", "the audio is not base64 text", "send the audio bytes in standard base64, padded")


_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def _is_base64(text: bytes) -> bool:
    # Strategy: deleting the alphabet costs a quarter of decoding, and decoding is storage's work.
    rest = text.translate(None, _DIGITS)
    return len(text) % 4 == 0 and rest in (b"", b"=", b"==") and text.endswith(rest)


# --- from values to bytes ---


def encode_event(type_: str, event_id: str | None, /, **fields: Any) -> bytes:
    """A compact event: type, event_id (left out if None), then the fields in the order given. Raises ProtocolError TL304."""
    head = {"type": type_} if event_id is None else {"type": type_, "event_id": event_id}
    return encode_value({**head, **fields}, type_)


def encode_value(value: object, where: str) -> bytes:
    """Compact JSON. Raises ProtocolError TL304, naming `where`, for what JSON in UTF-8 cannot hold."""
    try:
        return _encode(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ProtocolError(
            "TL304", f"{where} cannot be written as JSON: {error}", "pass plain JSON values; text must be valid Unicode"
        ) from None
