"""What passed over the links, verbatim."""

from .base import Event

__all__ = [
    "BinaryReceived",
    "BinarySent",
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
    """A control message handed to a link, verbatim; committed before it is sent, in a proxied session behind it."""

    link: str
    n: int
    data: bytes


class BinaryReceived(Event, frozen=True, kw_only=True):
    """A binary message from a peer of a proxied session, verbatim; Realtime itself has none. n: as in TransportReceived."""

    link: str
    n: int
    data: bytes


class BinarySent(Event, frozen=True, kw_only=True):
    """A binary message that a proxied session handed on, verbatim."""

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
