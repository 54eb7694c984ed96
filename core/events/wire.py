"""What passed over the links, verbatim."""

from .base import Event

__all__ = [
    "MediaRecorded",
    "PeerFaulted",
    "TransportReceived",
    "TransportSent",
]


class TransportReceived(Event, frozen=True, kw_only=True):
    """A control message from a peer, verbatim. n: its ordinal among all messages of that link and direction."""

    link: str
    n: int
    data: bytes


class TransportSent(Event, frozen=True, kw_only=True):
    """A control message handed to a link, verbatim; committed before it is sent."""

    link: str
    n: int
    data: bytes


class MediaRecorded(Event, frozen=True, kw_only=True):
    """A media segment stands in the media table, appended together with this event."""

    track: str
    n: int
    duration_ms: int
    digest: bytes
    messages: int
    first: int  # ordinal of the first message in it
    peaks: bytes = b""  # one byte per 10 ms of audio: peak level / 128


class PeerFaulted(Event, frozen=True, kw_only=True):
    """A peer sent what cannot be used; the message itself stands in the event before."""

    link: str
    code: str
    message: str
