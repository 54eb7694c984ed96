"""What turnlog reads of the objects inside a server's messages: items and their parts, responses, errors.

The rules are those of messages: a field without a default is one that no machine can go on without.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

__all__ = ["ErrorBody", "Item", "Part", "ResponseView", "StatusDetails"]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A content part of an item. `type` as on the wire: input_text, input_audio, output_text, output_audio, text, audio…"""

    type: str = ""
    text: str | None = None
    transcript: str | None = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation item: message, function_call, function_call_output, or a kind not known here."""

    id: str | None = None
    type: str = ""
    role: str | None = None
    status: str | None = None
    content: list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The inside of an error, wherever one stands."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    event_id: str | None = None


class StatusDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Why a response did not complete."""

    reason: str | None = None
    error: ErrorBody | None = None


class ResponseView(msgspec.Struct, frozen=True, kw_only=True):
    """A response object. `conversation_id` is null for an out-of-band response and absent in some dialects."""

    id: str
    status: str | None = None
    status_details: StatusDetails | str | None = None  # xAI writes a word there
    output: list[Item] | None = None
    conversation_id: str | UnsetType | None = UNSET
    metadata: dict[str, Any] | None = None
    audio: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
