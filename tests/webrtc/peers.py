"""Ends for the tests of WebRTC: what a peer told, and two peers that call each other over loopback."""

import asyncio
import math
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from turnlog.core.errors import TurnlogError
from turnlog.transports.webrtc.ice import IceSettings
from turnlog.transports.webrtc.peer import Peer

LOOPBACK = IceSettings(hosts=("127.0.0.1",))


class Told:
    """Everything a peer told, and a way to wait for it."""

    def __init__(self) -> None:
        self.is_connected = asyncio.Event()
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.faults: asyncio.Queue[TurnlogError] = asyncio.Queue()
        self.heard = bytearray()
        self.pieces = 0
        self.reasons: list[str] = []
        self.has_gone = asyncio.Event()
        self._moved = asyncio.Event()

    def connected(self) -> None:
        """PeerEvents."""
        assert not self.is_connected.is_set()
        self.is_connected.set()

    def message(self, raw: bytes) -> None:
        """PeerEvents."""
        self.messages.put_nowait(raw)

    def faulted(self, error: TurnlogError) -> None:
        """PeerEvents."""
        self.faults.put_nowait(error)

    def audio(self, pcm16: bytes) -> None:
        """PeerEvents."""
        assert len(pcm16) == 960
        self.pieces += 1
        self.heard += pcm16
        self._moved.set()

    def gone(self, reason: str) -> None:
        """PeerEvents."""
        self.reasons.append(reason)
        self.has_gone.set()

    async def heard_ms(self, ms: int) -> None:
        """Wait until so much of the line has come."""
        while self.pieces * 20 < ms:
            self._moved.clear()
            await self._moved.wait()

    async def hears_sound(self, ms: int = 60) -> None:
        """Wait until so much of the line was no silence."""
        while sum(level(bytes(self.heard[at : at + 960])) > 300 for at in range(0, len(self.heard), 960)) * 20 < ms:
            self._moved.clear()
            await self._moved.wait()


class Played:
    """What a speaker told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object, int]] = []
        self._more = asyncio.Event()

    def started(self, mark: object, played_ms: int) -> None:
        """SpeakerEvents."""
        self.told.append(("started", mark, played_ms))
        self._more.set()

    def ended(self, mark: object, played_ms: int) -> None:
        """SpeakerEvents."""
        self.told.append(("ended", mark, played_ms))
        self._more.set()

    async def tells(self, count: int) -> None:
        """Wait for so many."""
        while len(self.told) < count:
            self._more.clear()
            await self._more.wait()


def tone(ms: int, hertz: int = 440, amplitude: int = 8000) -> bytes:
    """Mono PCM16 at 24 kHz."""
    samples = (round(amplitude * math.sin(2 * math.pi * hertz * n / 24_000)) for n in range(24 * ms))
    return b"".join(struct.pack("<h", sample) for sample in samples)


def level(pcm16: bytes) -> float:
    """Root mean square of PCM16."""
    samples = struct.unpack(f"<{len(pcm16) // 2}h", pcm16)
    return math.sqrt(sum(sample * sample for sample in samples) / max(1, len(samples)))


@asynccontextmanager
async def call() -> AsyncIterator[tuple[Peer, Told, Peer, Told]]:
    """One of our peers calls another: caller and what it was told, callee and what it was told; both are connected."""
    near, far = Told(), Told()
    caller, callee = Peer(near, LOOPBACK), Peer(far, LOOPBACK)
    try:
        await caller.accept(await callee.answer(await caller.offer()))
        async with asyncio.timeout(10):
            await asyncio.gather(near.is_connected.wait(), far.is_connected.wait())
        yield caller, near, callee, far
    finally:
        await caller.close()
        await callee.close()
