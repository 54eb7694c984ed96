"""A caller whose sound the embedding program itself carries: PCM in, PCM out, by calls, without a protocol and without a wire.

For bridges to media of one's own (a telephone gateway, a room, a sound card). It is a link (core.ports.PlayingLink): attach it to
a session. What the person says goes into the log as it comes. What the person hears stands there as the provider's audio, with
how much of it was delivered, played and thrown away.

For one event loop; not thread-safe. All audio is PCM16, 24 kHz, mono, little-endian.
"""

import asyncio
import logging
from binascii import b2a_base64
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple, Protocol, TypeAlias

import msgspec

from ...core.errors import LinkClosed, MediaError, ProtocolError
from ...core.ports import AudioPart
from ..links.received import Received
from ..realtime.audio_leg import APPENDS, CLEARED, END, Played

__all__ = ["AudioCaller", "AudioCleared", "AudioFinished", "AudioPlayer", "Heard", "PlayAudio", "ShowText"]

_log: Final = logging.getLogger("turnlog.links")

LIMIT_BYTES: Final = 16 * 1024 * 1024
"""What may wait unread in each direction: more than four minutes of audio."""
_TOO_SLOW: Final = 1008
_FAILED: Final = 1011
_CLEAR: Final = b'{"type":"output_audio_buffer.clear"}'


class AudioPlayer(Protocol):
    """What a program does with what the person is to hear. Called in the event loop, as it comes: none of these may wait.

    An exception that escapes one of them ends this caller's line (1011), never the session.
    """

    def audio(self, pcm16: bytes, part: AudioPart) -> None:
        """Play this behind what was given before. It is ahead of its time by at most the session's lead."""

    def text(self, text: str, part: AudioPart) -> None:
        """Words of it, for whoever shows them."""

    def cleared(self, response: str) -> None:
        """Throw away what of this response has not sounded; AudioCaller.played can say then how much did."""

    def finished(self, response: str) -> None:
        """No more audio of this response comes; what was given goes on sounding."""


class PlayAudio(NamedTuple):
    """Play this behind what came before: PCM16, 24 kHz, mono."""

    pcm16: bytes
    part: AudioPart


class ShowText(NamedTuple):
    """Words of what sounds, or of an answer in text."""

    text: str
    part: AudioPart


class AudioCleared(NamedTuple):
    """Throw away what of this response has not sounded."""

    response: str


class AudioFinished(NamedTuple):
    """No more audio of this response comes."""

    response: str


Heard: TypeAlias = PlayAudio | ShowText | AudioCleared | AudioFinished


class _Told(msgspec.Struct):
    """A message to this caller: see transports.realtime.audio_leg."""

    type: str
    response_id: str


_told: Final = msgspec.json.Decoder(_Told).decode
_encode: Final = msgspec.json.Encoder().encode


class _Queue:
    """A player whose program iterates."""

    def __init__(self, limit_bytes: int, end: Callable[[LinkClosed], None]) -> None:
        self._limit_bytes = limit_bytes
        self._end_line = end
        self._waiting: deque[Heard] = deque()
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._over = False

    def audio(self, pcm16: bytes, part: AudioPart) -> None:
        """See AudioPlayer."""
        self._bytes += len(pcm16)
        if self._bytes > self._limit_bytes:
            problem = f"the program left {self._bytes} bytes of audio unread; the limit is {self._limit_bytes}"
            self._end_line(LinkClosed(_TOO_SLOW, problem))
            return
        self._put(PlayAudio(pcm16, part))

    def text(self, text: str, part: AudioPart) -> None:
        """See AudioPlayer."""
        self._put(ShowText(text, part))

    def cleared(self, response: str) -> None:
        """See AudioPlayer. What is still unread of the response is not given any more."""
        kept = [one for one in self._waiting if not (isinstance(one, PlayAudio) and one.part.response == response)]
        self._waiting = deque(kept)
        self._bytes = sum(len(one.pcm16) for one in kept if isinstance(one, PlayAudio))
        self._put(AudioCleared(response))

    def finished(self, response: str) -> None:
        """See AudioPlayer."""
        self._put(AudioFinished(response))

    def end(self) -> None:
        """Nothing more comes."""
        self._over = True
        self._wake()

    async def each(self) -> AsyncIterator[Heard]:
        """All there is, until the end."""
        while True:
            while self._waiting:
                heard = self._waiting.popleft()
                if isinstance(heard, PlayAudio):
                    self._bytes -= len(heard.pcm16)
                yield heard
            if self._over:
                return
            if self._waiter is not None:
                raise ProtocolError("TL307", "two tasks iterate over one caller", "let one task iterate and hand on")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _put(self, heard: Heard) -> None:
        self._waiting.append(heard)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class AudioCaller:
    """One person. With a `player` all is handed to it at once; without one, iterate: `async for heard in caller`.

    Iterating ends with the line; `closed` says why. Who leaves more than `limit_bytes` unread is cut off (1008).
    """

    def __init__(self, player: AudioPlayer | None = None, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._said = Received()
        self._limit_bytes = limit_bytes
        self._queue = _Queue(limit_bytes, self._end) if player is None else None
        self._player: AudioPlayer = player or self._queue  # type: ignore[assignment] # one of the two is there
        self._take = self._player.audio
        self._half: tuple[bytes, AudioPart] | None = None  # of a sample that was cut between two pieces

    # --- the program's side ---

    @property
    def closed(self) -> LinkClosed | None:
        """Why the line has ended: 1000 for a session that has, 1008 for a reader that is too slow; None while it stands."""
        return self._said.closed

    def speak(self, pcm16: bytes) -> None:
        """What the person says next; 20 ms at a time is usual. Raises LinkClosed, MediaError TL602 for half a sample."""
        if len(pcm16) % 2:
            raise MediaError("TL602", f"{len(pcm16)} bytes are no whole samples", "pass PCM16: two bytes a sample")
        if pcm16:
            self._say(b"%b%b%b" % (APPENDS, b2a_base64(pcm16, newline=False), END))

    def played(self, part: AudioPart, played_ms: int, *, final: bool = False) -> None:
        """How much of a part the person has heard by now, in ms of its audio, where the program knows better than the clock.

        final: that is all there will be of it: said after `cleared`. Raises LinkClosed, ProtocolError TL307 below 0.
        """
        if played_ms < 0:
            problem = f"played({played_ms}): nobody has heard less than nothing"
            raise ProtocolError("TL307", problem, "pass ms of the part's audio")
        response, item, index = part
        self._say(_encode(Played(response_id=response, item_id=item, content_index=index, played_ms=played_ms, final=final)))

    def interrupt(self) -> None:
        """The person wants to hear no more of what sounds (a key, a button). Raises LinkClosed."""
        self._say(_CLEAR)

    def __aiter__(self) -> AsyncIterator[Heard]:
        """What the person is to hear, in order. Raises ProtocolError TL307 where a player is told; anext() to a second task."""
        if self._queue is None:
            raise ProtocolError("TL307", "this caller has a player, which is told", "make it without one to iterate")
        return self._queue.each()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """The person hangs up, or the session does. Twice does nothing."""
        self._end(LinkClosed(code, reason))

    # --- the session's side: core.ports.PlayingLink and DirectLink ---

    async def receive(self) -> bytes:
        """The next message of the person's. Raises LinkClosed."""
        return await self._said.get()

    def listen(self, take: Callable[[bytes], None] | None) -> None:
        """Hand messages on as they come; see core.ports.DirectLink."""
        self._said.listen(take)

    def play(self, pcm16: bytes, part: AudioPart) -> None:
        """Hand audio to the program. Raises LinkClosed."""
        if self._said.closed is not None:
            raise Received.over(self._said.closed)
        if self._half is not None or len(pcm16) % 2:
            pcm16 = self._whole(pcm16, part)
        if not pcm16:
            return
        try:
            self._take(pcm16, part)
        except Exception as error:
            raise self._failed(error) from error

    def show(self, text: str, part: AudioPart) -> None:
        """Hand words to the program. Raises LinkClosed."""
        self._call(lambda player: player.text(text, part))

    def send(self, message: bytes) -> None:
        """Tell the program that a response is over or cut. Raises LinkClosed."""
        told = _told(message)
        cleared = told.type == CLEARED
        self._call(lambda player: (player.cleared if cleared else player.finished)(told.response_id))

    def _whole(self, pcm16: bytes, part: AudioPart) -> bytes:
        """The piece in whole samples: half of one waits for the rest of it."""
        if self._half is not None and self._half[1] == part:
            pcm16 = self._half[0] + pcm16
        end = len(pcm16) & ~1
        self._half = (pcm16[end:], part) if end < len(pcm16) else None
        return pcm16[:end]

    def _call(self, tell: Callable[[AudioPlayer], None]) -> None:
        if self._said.closed is not None:
            raise Received.over(self._said.closed)
        try:
            tell(self._player)
        except Exception as error:
            raise self._failed(error) from error

    def _say(self, message: bytes) -> None:
        if self._said.closed is not None:
            raise Received.over(self._said.closed)
        self._said.put(message)
        if (unread := self._said.waiting_bytes) > self._limit_bytes:
            self._end(LinkClosed(_TOO_SLOW, f"the session left {unread} bytes unread; the limit is {self._limit_bytes}"))

    def _failed(self, error: Exception) -> LinkClosed:
        if isinstance(error, LinkClosed):
            return error
        _log.error("the player of a caller failed; its line is closed", exc_info=error)
        closed = LinkClosed(_FAILED, f"its player failed: {type(error).__name__}: {error}")
        self._end(closed)
        return Received.over(closed)

    def _end(self, closed: LinkClosed) -> None:
        self._said.end(closed)
        if self._queue is not None:
            self._queue.end()
