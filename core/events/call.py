"""A call that the provider holds with the caller itself: its media goes past us, and we follow it by a sideband."""

from typing import Any

from .base import Event

__all__ = ["CallEnded", "CallOpened", "CallRefused", "ConfigurationOverridden", "OutputClearDispatched"]


class CallOpened(Event, frozen=True, kw_only=True):
    """The provider has taken a caller's offer. `call_id` is its name for the call, `link` the caller's line."""

    call_id: str
    link: str


class CallRefused(Event, frozen=True, kw_only=True):
    """The provider did not take a caller's offer; another may be made."""

    code: str
    message: str


class CallEnded(Event, frozen=True, kw_only=True):
    """The call is over at the provider: the caller has gone, or it was ended there."""

    call_id: str
    reason: str = ""


class ConfigurationOverridden(Event, frozen=True, kw_only=True):
    """Somebody else has changed the configuration of the provider's session. changed: which parts of it; effective: to what."""

    link: str
    changed: list[str] = []
    effective: dict[str, Any] = {}


class OutputClearDispatched(Event, frozen=True, kw_only=True):
    """output_audio_buffer.clear is on its way: the provider is to drop what it has and has not played."""

    link: str
