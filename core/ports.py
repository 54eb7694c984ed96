"""What the core needs of the world, in domain words: protocols and the plain values that cross them.

Nothing here does anything. store/ implements Log, transports/ implements Link; engine/ plugs them together.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from .definition import SessionDefinition
from .events.playout import PlayoutSource

__all__ = [
    "AudioPart",
    "Calls",
    "DirectLink",
    "Draft",
    "Head",
    "Link",
    "Log",
    "PartHead",
    "Playhead",
    "Playheads",
    "PlayingLink",
    "Provider",
    "Recorded",
    "Segment",
    "SessionRow",
    "TakenCall",
]


class Draft(NamedTuple):
    """An event on its way into the log. `data` is what codec.encode returned: nonce + msgpack payload."""

    type: str
    version: int
    at_ns: int  # nanoseconds since the Unix epoch, as the engine's clock read when the event was decided
    cause: int  # the seq of the causing event, or a named root (negative; core.events.Root)
    data: bytes


class Recorded(NamedTuple):
    """An event as the log holds it. `data` is None once erased; digest and hash stay."""

    seq: int
    type: str
    version: int
    at_ns: int
    epoch: int
    cause: int
    digest: bytes
    hash: bytes
    data: bytes | None


class Segment(NamedTuple):
    """At most 200 ms of one track's high-rate messages, exact enough to rebuild every message byte for byte."""

    track: str  # "<link>.in" (received by the engine) or "<link>.out" (sent by it), e.g. "p1.in"
    n: int  # 1, 2, 3… within the track
    first_seq: int  # seq of the MediaRecorded event that is appended with this segment
    t0_ns: int  # arrival of the first message, ns since the Unix epoch
    dur_ns: int  # from the first message's arrival to the last one's
    codec: str  # how `data` is laid out, e.g. "tlm1"
    digest: bytes
    data: bytes


class Head(NamedTuple):
    """Where a session's stream ends: the token of the next append (compare-and-swap on seq and epoch)."""

    session: str
    sid: int  # the store's own row id; never hashed, never exported
    epoch: int
    seq: int
    hash: bytes


class SessionRow(NamedTuple):
    """A session's row in the catalogue."""

    session: str
    tenant: str
    target: str  # node.session
    provider: str
    transport: str
    status: str  # "active" or "ended"
    python: str  # e.g. "3.11"
    code_version: str
    engine_flags: int
    head_seq: int
    created_ns: int
    ended_ns: int | None


class Log(Protocol):
    """The log of sessions. Results are per session: one session's failure never fails its neighbours in a group commit."""

    async def create(self, row: SessionRow) -> Head:
        """Enter a new session (head_seq 0). Raises StoreError TL409 if the name is taken."""

    async def append(
        self, head: Head, events: Sequence[Draft], segments: Sequence[Segment] = (), *, status: str | None = None
    ) -> Head:
        """Append in one transaction with CAS on (seq, epoch); returns the new head once it is committed.

        `status="ended"` also closes the catalogue row. Raises WrongExpectedSeq, Fenced, StoreError (TL406).
        """

    def scan(self, session: str, *, after: int = 0, until: int | None = None) -> Iterator[Recorded]:
        """Read synchronously in seq order (for replay, off the event loop). Raises StoreError TL408."""

    def read(self, session: str, *, after: int = 0, until: int | None = None) -> AsyncIterator[Recorded]:
        """The same, asynchronously."""


class Link(Protocol):
    """One connection that carries Realtime messages: a WebSocket, or a pair of queues in one process."""

    async def receive(self) -> bytes:
        """The next text message, as UTF-8 bytes exactly as it came. Raises LinkClosed when there is no more."""

    def send(self, message: bytes) -> None:
        """Queue a text message; never blocks. Raises LinkClosed. A peer too slow to drain its queue is closed."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in order (what was queued is flushed first). Closing twice does nothing."""


@runtime_checkable
class DirectLink(Link, Protocol):
    """A link that can hand messages on as they arrive, in the event loop's callback: no task wakes for each."""

    def listen(self, take: Callable[[bytes], None] | None) -> None:
        """From now on `take` gets each message, unless one before it still waits for receive(); None ends that.

        receive() goes on giving what `take` did not get, in order, and tells the end. It raises what `take` raised.
        """


@runtime_checkable
class OpenedLink(Link, Protocol):
    """A link whose peer has asked for something before it could say anything: by its credential, or by how it called."""

    @property
    def opening(self) -> bytes:
        """That, as its first message, which receive() does not give; b"" for nothing."""


class AudioPart(NamedTuple):
    """Whose audio or words something is: one part of one response, in the provider's ids."""

    response: str
    item: str
    content_index: int


@runtime_checkable
class PlayingLink(Link, Protocol):
    """A link without a wire to its other end, which is this program itself: audio and words are handed over as they are.

    send() gets only what stops or ends a response. Neither of these two waits; both raise LinkClosed.
    """

    def play(self, pcm16: bytes, part: AudioPart) -> None:
        """Take audio of a response: PCM16, 24 kHz, mono, little-endian; a sample may be cut between two pieces."""

    def show(self, text: str, part: AudioPart) -> None:
        """Take words of a response, as its audio or its text has them."""


class Provider(Protocol):
    """Opens links to a model service that speaks Realtime."""

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """A new link for this session. Raises LinkError TL301 (unreachable) or TL303 (credentials refused)."""


class TakenCall(NamedTuple):
    """A call that a provider has taken: its SDP answer to the caller's offer, and its name for the call."""

    sdp: str
    call_id: str


@runtime_checkable
class Calls(Protocol):
    """A provider that holds a caller's own WebRTC call: the media goes past us, and a sideband follows it."""

    async def take_call(self, offer: str, session: str, configuration: dict[str, Any]) -> TakenCall:
        """Pass the caller's offer on, with the session object that configures the call. Raises as Provider.connect does."""

    async def join_call(self, call_id: str) -> Link:
        """A sideband of the call. Raises LinkError TL312 where there is no such call (yet, or any more); else as connect."""

    async def hang_up(self, call_id: str) -> None:
        """End the call; one that has ended is no error. Raises as connect does."""


class PartHead(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a response at a moment: milliseconds of audio received, delivered and played; the words received so far."""

    item: str
    content_index: int = 0
    received_ms: int = 0
    delivered_ms: int = 0
    played_ms: int = 0
    words: str = ""


class Playhead(msgspec.Struct, frozen=True, kw_only=True):
    """Where the playout of one response stands, sampled. Parts stand in the order in which their first audio came."""

    parts: list[PartHead] = []
    source: PlayoutSource = "none"
    error_ms: int = 0
    ends_ns: int = 0  # when all that was delivered will have been played, by the clock; 0: nothing was delivered
    waiting: bool = False  # whether something of it is still to be delivered
    arrived_ns: int = 0  # when the provider last sent media of it; 0: never


class Playheads(Protocol):
    """Who delivers audio to the callers knows where it stands."""

    def sample(self, response: str, now_ns: int) -> Playhead:
        """Where the playout of `response` stands now; an empty Playhead if nothing of it has come."""
