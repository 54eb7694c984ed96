"""The texts of the protocol's errors, one function a case: what clients react to stands in one place. Pure.

Codes and wording follow the live service where it is known; what a refusal's keys mean is said in checks.Refusal.
"""

from .checks import Refusal
from .wire import InvalidMessage

__all__ = [
    "SUPPORTED_TYPES",
    "active_response",
    "audio_is_shorter",
    "commit_empty",
    "duplicate_item",
    "invalid_message",
    "no_active_response",
    "no_item",
    "no_player",
    "no_previous_item",
    "not_truncatable",
    "session_expired",
    "unsupported_type",
    "wrong_playout",
]

SUPPORTED_TYPES = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "output_audio_buffer.clear",
    "response.create",
    "response.cancel",
    "turnlog.playout",
    "turnlog.watch",
)
"""What a client may send."""


def unsupported_type(type_: str) -> Refusal:
    """No type that a client may send."""
    supported = ", ".join(f"'{one}'" for one in SUPPORTED_TYPES)
    return Refusal(
        code="invalid_value", param="type", message=f"Invalid value: '{type_[:100]}'. Supported values are: {supported}."
    )


def invalid_message(error: InvalidMessage) -> Refusal:
    """A message that parse() refused."""
    code = "invalid_json" if error.param is None else "invalid_type"
    if error.param == "type":
        code = "invalid_event"
    elif error.missing:
        code = "missing_required_parameter"
    elif error.code == "TL305":
        code = "invalid_value"
    return Refusal(code=code, param=error.param, message=error.message)


def commit_empty(buffered_ms: float) -> Refusal:
    """A commit without audio enough."""
    return Refusal(
        code="input_audio_buffer_commit_empty",
        message="Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
        f"but buffer only has {buffered_ms:.2f}ms of audio.",
    )


def active_response(holder: str) -> Refusal:
    """A second in-band response."""
    return Refusal(
        code="conversation_already_has_active_response",
        message=f"Conversation already has an active response in progress: {holder}. "
        "Wait until the response is finished before creating a new one.",
    )


def duplicate_item(item_id: str | None) -> Refusal:
    """An id that stands for another item."""
    return Refusal(
        code="item_create_duplicate_item_id",
        param="item.id",
        message=f"Error adding item: the conversation already has an item with the id '{item_id}'.",
    )


def no_previous_item(item_id: str) -> Refusal:
    """A place behind an item that is not there."""
    return Refusal(
        code="invalid_value",
        param="previous_item_id",
        message=f"Error adding item: the previous item with the id '{item_id}' does not exist.",
    )


def no_item(verb: str, item_id: str) -> Refusal:
    """An item to "delete", "retrieve" or "truncate", or whose "playout" is told, that is not there."""
    return Refusal(
        code=f"item_{verb}_invalid_item_id",
        param="item_id",
        message=f"{verb.capitalize()} of the item failed: there is none with the id '{item_id}'.",
    )


def no_active_response() -> Refusal:
    """A cancel where there is nothing to cancel."""
    return Refusal(code="response_cancel_not_active", message="Cancellation failed: no active response found")


def not_truncatable(param: str) -> Refusal:
    """A truncation of what holds no audio of the model."""
    return Refusal(code="invalid_value", param=param, message="Only audio that the model has spoken can be truncated.")


def wrong_playout(param: str, ms: int) -> Refusal:
    """A time before the start."""
    return Refusal(code="invalid_value", param=param, message=f"Invalid value for '{param}': expected 0 or more, but got {ms}.")


def audio_is_shorter(ms: int, asked_ms: int, param: str = "audio_end_ms") -> Refusal:
    """A time beyond the end."""
    return Refusal(code="invalid_value", param=param, message=f"Audio content of {ms}ms is already shorter than {asked_ms}ms")


def no_player(state: str) -> Refusal:
    """A report of our own player by a client that plays itself."""
    message = f"Unknown parameter: 'state' ('{state}'): this connection's client plays what it is sent, and tells only played_ms."
    return Refusal(code="unknown_parameter", param="state", message=message)


def session_expired() -> Refusal:
    """The end of the longest session."""
    return Refusal(code="session_expired", message="Your session hit the maximum duration of 60 minutes.")
