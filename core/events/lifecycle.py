"""A session from its beginning to its end, and the links it has."""

from typing import Any, Literal

import msgspec

from ..definition import SessionDefinition
from .base import Event

__all__ = [
    "NODE_LOST",
    "CallerAwaited",
    "CallersGone",
    "LinkClosed",
    "LinkFailed",
    "LinkOpened",
    "LinkReady",
    "SessionEnded",
    "SessionEnding",
    "SessionStarted",
    "ToolRules",
]

NODE_LOST = "node_lost"
"""The reason of an end that the handler had no part in: what it asked for at last may be missing in the log."""


class ToolRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool was declared to want while it runs.

    filler: words that the engine has spoken once it has run for `after_ms` in silence. cancel_on_interruption: speech of
    the user stops it.
    """

    name: str
    filler: str = ""
    after_ms: int = 0
    cancel_on_interruption: bool = False


class SessionStarted(Event, frozen=True, kw_only=True):
    """The first event of every log."""

    session: str
    target: str
    definition: SessionDefinition
    metadata: dict[str, Any] = {}
    python: str = ""  # major.minor the handler ran on; replay promises identity on the same minor
    code_version: str = ""  # digest of the handler's source
    handler: str = ""  # module:function; a proxied session has none
    engine_flags: int = 0  # choices of scheduling that are part of the log's contract
    replayable: bool = True
    forked_from: str = ""  # the session whose first `forked_at` events this log begins with
    forked_at: int = 0
    seed: str = ""  # of session.random and session.uuid(), where it is not the session's name
    tools: list[ToolRules] = []  # of the declared tools, those with rules of their own

    @property
    def is_proxied(self) -> bool:
        """Whether nobody answers here: what a caller and a provider said to each other passed, and was recorded."""
        return not self.handler and not self.replayable


class SessionEnding(Event, frozen=True, kw_only=True):
    """Asked to end, or must: no new say is accepted; queued ones are spoken first if `drain`."""

    reason: str
    code: str = ""
    detail: str = ""
    drain: bool = False


class SessionEnded(Event, frozen=True, kw_only=True):
    """The last event. reason: completed, caller_gone, caller_lost (its connection dropped, and it did not come back in time),
    no_caller (none came in time), provider_lost, handler_failed, engine_stopped, client_update (the client of a direct call
    has changed its configuration), node_lost (nobody runs the handler any more), engine_lost (its process died while it was
    proxied), or the user's own.
    """

    reason: str
    code: str = ""
    detail: str = ""


class LinkOpened(Event, frozen=True, kw_only=True):
    """A connection stands. side: provider, caller, or voice: what speaks with this machine's own voice."""

    link: str
    side: Literal["provider", "caller", "voice"]
    transport: str
    peer: str = ""


class LinkReady(Event, frozen=True, kw_only=True):
    """The provider has confirmed our configuration; `session` is the effective one."""

    link: str
    session: dict[str, Any] = {}


class LinkClosed(Event, frozen=True, kw_only=True):
    """A connection is gone."""

    link: str
    code: int = 1000
    reason: str = ""


class LinkFailed(Event, frozen=True, kw_only=True):
    """A connection could not be opened."""

    side: Literal["provider", "caller", "voice"]
    code: str
    message: str


class CallerAwaited(Event, frozen=True, kw_only=True):
    """Nobody is there, and within `grace_ms` somebody is to come; else CallersGone follows.

    link, code, reason: of the last caller's connection, which dropped; link "": the session was started for a caller to come.
    """

    grace_ms: int
    link: str = ""
    code: int = 0
    reason: str = ""


class CallersGone(Event, frozen=True, kw_only=True):
    """Nobody hears or speaks any more: the last caller hung up, or did not come (back) in time."""

    reason: str = ""
