"""What clients have run by HTTP beside the session's handler and model: its own facts, of which neither learns."""

from .base import Event

__all__ = ["OutsideCallEnded", "OutsideCallRequested"]


class OutsideCallRequested(Event, frozen=True, kw_only=True):
    """A client has asked for a tool, which runs once this is durable. `execution` is its name here.

    caller: by what it was let in: "token" (this session's), "key" or "key ID"; peer: its address, host:port; agent: the node that
    it says it is. arguments: JSON.
    """

    execution: str
    target: str
    arguments: str = "{}"
    caller: str = ""
    peer: str = ""
    agent: str = ""


class OutsideCallEnded(Event, frozen=True, kw_only=True):
    """It has ended here. output: JSON, of one that succeeded; error: why not, of another.

    status: "succeeded", "failed", "timeout"; "passed_on": another control plane has taken it, which calls it `elsewhere`.
    """

    execution: str
    status: str
    output: str = ""
    error: str = ""
    elsewhere: str = ""
