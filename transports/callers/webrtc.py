"""The server's end of a call over WebRTC as a link: what the peer says and hears, as the Realtime protocol's messages.

In: texts of the data channel as they are, `input_audio_buffer.append` for each 20 ms of its microphone, `turnlog.playout` of
what is played to it, by the clock of the RTP stream, and `turnlog.fault` for what came and is no message.
Out: `response.output_audio.delta` is played and is no message; all else goes over the data channel. Whoever serves the link is
a ServerProtocol(plays=True): PCM16 at 24 kHz, and its output_audio_buffer.cleared silences the peer from the next frame on.

A data channel has no close frame: what a WebSocket's would say is the last message to a peer that watches (turnlog.watch).

Invariant: each item of which audio was played is reported once more at its end, "stopped" or "cleared".
"""

import asyncio
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, Self

import msgspec

from ...core.errors import LinkClosed, ProtocolError, TurnlogError
from ..links.received import Received
from ..realtime.audio import PCM16, duration_ms
from ..realtime.audio_form import AudioReader
from ..realtime.client_messages import LineFault, PlayoutReport
from ..realtime.messages import OutputAudioDelta, OutputBufferCleared
from ..realtime.wire import InvalidMessage, audio_text, encode_event, parse
from ..webrtc.ice import IceSettings
from ..webrtc.peer import LIMIT_BYTES, Peer

__all__ = ["LIMIT_BYTES", "WebRtcCaller"]

_LOST: Final = 1006
_TOO_SLOW: Final = 1008
_LONGEST_MS: Final = 600_000  # of audio that waits to be played: a model may be done with minutes before one has sounded
_NO_SERVERS: Final = IceSettings()
_DONE: Final = "response.output_audio.done"
_WATCH: Final = "turnlog.watch"
_OURS: Final = ("turnlog.fault", "turnlog.playout")  # a peer that sends one would speak for us


class _Place(msgspec.Struct, frozen=True):
    """Whose audio it is: the mark of what waits in the speaker."""

    response_id: str
    item_id: str
    content_index: int = 0


_place = msgspec.json.Decoder(_Place).decode
_encode = msgspec.json.Encoder().encode


class WebRtcCaller:
    """One call; see core.ports.DirectLink. Made by answer(); belongs to whoever serves it, who closes it."""

    def __init__(self, ice: IceSettings = _NO_SERVERS, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._received = Received()
        self._limit_bytes = limit_bytes
        self._peer = Peer(_FromPeer(self._take, self._told, self._end, self._faulted), ice, limit_bytes=limit_bytes)
        self._player = _Player(self._peer, self._take)
        self._closing: asyncio.Task[None] | None = None
        self._watched = False  # the peer asked for turnlog's own messages

    @classmethod
    async def answer(cls, offer: str, ice: IceSettings = _NO_SERVERS, *, limit_bytes: int = LIMIT_BYTES) -> tuple[Self, str]:
        """Take a call: the link, and the SDP answer for the peer.

        Raises ProtocolError TL310 for an offer that cannot be used, LinkError TL301 without an address of this machine; nothing
        is left of the call then.
        """
        link = cls(ice, limit_bytes=limit_bytes)
        try:
            return link, await link._peer.answer(offer)
        except BaseException:
            await link.close()
            raise

    # --- the session's side: core.ports.DirectLink ---

    async def receive(self) -> bytes:
        """The next message. Raises LinkClosed: 1006 for a peer that has gone, 1008 for a session that leaves too much unread, or
        what close() or hang_up() were told."""
        return await self._received.get()

    def listen(self, take: Callable[[bytes], None] | None) -> None:
        """Hand messages on as they come; see core.ports.DirectLink."""
        self._received.listen(take)

    def send(self, message: bytes) -> None:
        """Play a piece of audio, or queue a message for the data channel. Raises LinkClosed."""
        if self._received.closed is not None:
            raise self._received.over(self._received.closed)
        if self._player.plays(message):
            if self._player.waiting_ms > _LONGEST_MS:
                self._end(_TOO_SLOW, f"more than {_LONGEST_MS // 60_000} minutes of audio wait to be played")
            return
        self._peer.send(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send what waits for the data channel, then close; nothing of the connection is left then. Twice does nothing."""
        self._end(code, reason)
        if self._closing is not None:
            await asyncio.shield(self._closing)

    # --- the server's side ---

    @property
    def is_over(self) -> bool:
        """Whether either side has ended it."""
        return self._received.closed is not None

    @property
    def is_closed(self) -> bool:
        """Whether nothing of the connection is left."""
        return self._closing is not None and self._closing.done()

    def push(self, message: bytes) -> None:
        """A message as if the peer had sent it: what it asked for in its request."""
        self._take(message)

    async def hang_up(self, reason: str = "hung up") -> None:
        """End the call in order, as its peer asked for."""
        await self.close(1000, reason)

    # --- from the peer ---

    def _told(self, message: bytes) -> None:
        """A text of the data channel. Invariant: what is told of our own player is told by it alone."""
        ours = _own_type(message)
        if ours in _OURS:
            self._faulted(ProtocolError("TL305", f"{ours}: what our end of this line tells, nobody else does"))
            return
        self._watched = self._watched or ours == _WATCH
        self._take(message)

    def _take(self, message: bytes) -> None:
        self._received.put(message)
        if (unread := self._received.waiting_bytes) > self._limit_bytes:
            self._end(_TOO_SLOW, f"the session left {unread} bytes unread; the limit is {self._limit_bytes}")

    def _faulted(self, error: TurnlogError) -> None:
        """What came over the data channel is no message for the session, which answers it with an error; the peer stays."""
        self._take(_encode(LineFault(code=error.code, message=error.message)))

    def _end(self, code: int, reason: str) -> None:
        """End it, for the reason that came first, and let go of the connection: receive() gives what had come before."""
        if self._received.closed is None:
            self._player.stop()
        self._received.end(LinkClosed(code, reason))
        if self._closing is None:
            if self._watched and code != _LOST:
                with suppress(LinkClosed):  # else it learns no more
                    self._peer.send(encode_event("turnlog.closed", "event_closed", code=code, reason=reason))
            self._closing = asyncio.get_running_loop().create_task(self._peer.close(), name="turnlog closing call")


def _own_type(message: bytes) -> str:
    """The type of a message that may be one of turnlog's own; "" for what is none."""
    if b"turnlog." not in message and b"\\u" not in message:
        return ""
    try:
        return parse(message).type
    except InvalidMessage:  # its session answers it
        return ""


class _FromPeer:
    """What the peer does; see transports.webrtc.peer.PeerEvents."""

    def __init__(
        self,
        take: Callable[[bytes], None],
        told: Callable[[bytes], None],
        end: Callable[[int, str], None],
        faulted: Callable[[TurnlogError], None],
    ) -> None:
        self._take = take
        self.message = told
        self.faulted = faulted
        self._end = end

    def connected(self) -> None:
        """What is played waits for this by itself."""

    def audio(self, pcm16: bytes) -> None:
        """20 ms of the microphone."""
        self._take(b'{"type":"input_audio_buffer.append","audio":"%b"}' % b2a_base64(pcm16, newline=False))

    def gone(self, reason: str) -> None:
        """It closed, vanished, or never came."""
        self._end(_LOST, reason)


class _Player:
    """What is played to the peer: knows whose audio waits in the speaker, and reports of it."""

    def __init__(self, peer: Peer, report: Callable[[bytes], None]) -> None:
        self._peer = peer
        self._speaker = peer.speaker
        self._speaker.listener = self
        self._report = report
        self._audio: AudioReader[OutputAudioDelta] = AudioReader()
        self._open: dict[_Place, float] = {}  # ms that were queued of what has not ended

    def plays(self, message: bytes) -> bool:
        """Play a message that is audio; False for one that is for the data channel, though it may say something of the audio."""
        if (heard := self._audio.read(message)) is not None:
            self._put(heard[0], heard[2])
            return True
        parsed = parse(message)
        match parsed.view:
            case OutputAudioDelta() as view:
                text = audio_text(parsed)
                self._audio.learn(message, view, bytes(view.delta))
                self._put(view, a2b_base64(text))
                return True
            case OutputBufferCleared():
                self._clear(message)
                return True
        if parsed.type == _DONE:
            self._peer.send(message)
            self._speaker.finish(_place(message))
            return True
        return False

    @property
    def waiting_ms(self) -> float:
        """How much waits to be played."""
        return sum(ms - self._speaker.played_ms(place) for place, ms in self._open.items())

    def _put(self, view: OutputAudioDelta, pcm16: bytes) -> None:
        place = _Place(view.response_id, view.item_id, view.content_index)
        self._open[place] = self._open.get(place, 0.0) + duration_ms(len(pcm16), PCM16)
        self._speaker.put(pcm16, place)

    def _clear(self, message: bytes) -> None:
        """Nothing of what waits is played any more; then the peer is told, and it is said how much of each had been."""
        self._speaker.clear()
        self._peer.send(message)
        self._tell_cleared()

    def stop(self) -> None:
        """Nothing is played any more: it is said how much of each had been, which is nothing where no peer ever came."""
        self._speaker.clear()
        self._tell_cleared()

    def _tell_cleared(self) -> None:
        cut, self._open = self._open, {}
        for place in cut:
            self._tell(place, self._speaker.played_ms(place), "cleared")

    # transports.webrtc.outgoing.SpeakerEvents

    def started(self, mark: object, played_ms: int) -> None:
        """The first of it is being sent."""
        assert isinstance(mark, _Place), "the marks are ours"
        self._tell(mark, played_ms, "started")

    def ended(self, mark: object, played_ms: int) -> None:
        """All of it was sent."""
        assert isinstance(mark, _Place), "the marks are ours"
        if self._open.pop(mark, None) is not None:
            self._tell(mark, played_ms, "stopped")

    def _tell(self, place: _Place, played_ms: int, state: Literal["started", "stopped", "cleared"]) -> None:
        report = PlayoutReport(
            item_id=place.item_id, content_index=place.content_index, played_ms=played_ms, source="rtp", state=state
        )
        self._report(_encode(report))
