"""A UDP relay between two ends on loopback that loses, doubles, delays and reorders packets by a seed."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

PORT = re.compile(r"(a=candidate:\S+ \d+ udp \d+ 127\.0\.0\.1 )(\d+)( typ host)")


class Lossy:
    """What arrives at `near` goes on to the far end from `far`, and the other way round."""

    def __init__(self, seed: int, loss: float, disorder: float) -> None:
        self.lost = self.passed = 0
        self.cut = False
        self._chance = random.Random(seed)
        self._loss, self._disorder = loss, disorder

    def carry(self, data: bytes, out: asyncio.DatagramTransport, port: int) -> None:
        """Lose a packet or send it on: at once, late, or twice."""
        if self.cut or self._chance.random() < self._loss:
            self.lost += 1
            return
        self.passed += 1
        delay = self._chance.random() * 0.05 if self._chance.random() < self._disorder else 0.002
        loop = asyncio.get_running_loop()
        for _ in range(1 + (self._chance.random() < 0.02)):
            loop.call_later(delay, _send, out, data, port)


class _Side(asyncio.DatagramProtocol):
    """One socket of the relay; `port` is the end behind it, `other` the socket that leads to the other end."""

    def __init__(self, relay: Lossy) -> None:
        self.relay = relay
        self.port = 0
        self.transport: asyncio.DatagramTransport | None = None
        self.other: _Side | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        assert self.other is not None
        assert self.other.transport is not None
        self.relay.carry(data, self.other.transport, self.other.port)


def _send(out: asyncio.DatagramTransport, data: bytes, port: int) -> None:
    if not out.is_closing():
        out.sendto(data, ("127.0.0.1", port))


class Path:
    """The two sockets: what is sent to the port in a description passes the relay."""

    def __init__(self, near: _Side, far: _Side) -> None:
        self._near, self._far = near, far

    def offered(self, offer: str) -> str:
        """The caller's offer, to be given to the callee: it shows the relay's address."""
        return _through(offer, self._far, self._near)

    def answered(self, answer: str) -> str:
        """The callee's answer, to be given to the caller."""
        return _through(answer, self._near, self._far)


def _through(sdp: str, leads_back: _Side, shown: _Side) -> str:
    found = PORT.search(sdp)
    assert found is not None
    leads_back.port = int(found[2])
    assert shown.transport is not None
    port = shown.transport.get_extra_info("sockname")[1]
    return PORT.sub(rf"\g<1>{port}\g<3>", sdp)


@asynccontextmanager
async def lossy_path(seed: int, *, loss: float, disorder: float) -> AsyncIterator[tuple[Path, Lossy]]:
    """A path for one call."""
    relay = Lossy(seed, loss, disorder)
    loop = asyncio.get_running_loop()
    near, far = _Side(relay), _Side(relay)
    near.other, far.other = far, near
    await loop.create_datagram_endpoint(lambda: near, local_addr=("127.0.0.1", 0))
    await loop.create_datagram_endpoint(lambda: far, local_addr=("127.0.0.1", 0))
    try:
        yield Path(near, far), relay
    finally:
        for side in (near, far):
            assert side.transport is not None
            side.transport.close()
        await asyncio.sleep(0)
