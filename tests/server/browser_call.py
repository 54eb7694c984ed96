"""A caller as a browser is one: a stock aiortc peer connection, a microphone, the data channel `oai-events`, and HTTP."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import av
import httpx
import numpy
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

RATE = 24_000
Json = dict[str, Any]


class Microphone(MediaStreamTrack):
    """What was put, 20 ms every 20 ms; silence else."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._frames: deque[bytes] = deque()
        self._n = 0
        self._began = 0.0

    def put(self, pcm16: bytes) -> None:
        """PCM16 mono at 24 kHz."""
        self._frames += (pcm16[at : at + 960].ljust(960, b"\0") for at in range(0, len(pcm16), 960))

    async def recv(self) -> av.AudioFrame:
        """The next frame, when it is time."""
        now = asyncio.get_running_loop().time()
        self._began = self._began or now
        await asyncio.sleep(max(0.0, self._began + self._n * 0.02 - now))
        pcm16 = self._frames.popleft() if self._frames else bytes(960)
        frame = av.AudioFrame.from_ndarray(numpy.frombuffer(pcm16, numpy.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._n * 480, Fraction(1, RATE)
        self._n += 1
        return frame


class BrowserCall:
    """One call: `events` has what came over the data channel, `heard` what sounded."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.microphone = Microphone()
        self.connection.addTrack(self.microphone)
        self.channel = self.connection.createDataChannel("oai-events")
        self.channel.on("message", self._told)
        self.connection.on("track", self._hear)
        self.connection.on("connectionstatechange", self._changed)
        self.events: list[Json] = []
        self.heard: list[numpy.ndarray[Any, Any]] = []  # at 24 kHz
        self.opened: httpx.Response
        self._news = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    async def call(
        self, target: str = "hotel.desk", session: Json | None = None, query: str = "", key: str = ""
    ) -> httpx.Response:
        """Offer and take the answer; the HTTP answer."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        form = {
            "sdp": (None, self.connection.localDescription.sdp, "application/sdp"),
            "session": (None, json.dumps({"type": "realtime", "model": target, **(session or {})}), "application/json"),
        }
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with httpx.AsyncClient() as http:
            self.opened = await http.post(f"{self.url}/v1/realtime/calls{query}", files=form, headers=headers)
        if self.opened.status_code == 201:
            await self.connection.setRemoteDescription(RTCSessionDescription(self.opened.text, "answer"))
        return self.opened

    def send(self, type_: str, **fields: Any) -> None:
        """A client event."""
        self.channel.send(json.dumps({"type": type_, **fields}))

    async def gets(self, type_: str, *, n: int = 1, within_s: float = 10.0, **fields: Any) -> Json:
        """Wait for the n-th event of a type with these fields."""
        async with asyncio.timeout(within_s):
            while True:
                found = [one for one in self.events if one["type"] == type_ and fields.items() <= one.items()]
                if len(found) >= n:
                    return found[n - 1]
                self._news.clear()
                await self._news.wait()

    async def hears(self, ms: int, *, above: float = 300.0, within_s: float = 10.0) -> None:
        """Wait until so much was heard that is no silence."""
        async with asyncio.timeout(within_s):
            while sum(len(one) for one in self.heard if numpy.std(one) > above) < ms * RATE // 1000:
                self._news.clear()
                await self._news.wait()

    async def closes(self, within_s: float = 10.0) -> None:
        """Wait until the other end has closed."""
        async with asyncio.timeout(within_s):
            while self.channel.readyState != "closed":
                self._news.clear()
                await self._news.wait()

    def types(self, *, of: str = "") -> list[str]:
        """The types of all events, or of those whose type begins so."""
        return [one["type"] for one in self.events if one["type"].startswith(of)]

    def pcm16(self) -> bytes:
        """All that was heard."""
        return numpy.concatenate(self.heard).astype(numpy.int16).tobytes() if self.heard else b""

    async def packets(self) -> int:
        """How many packets of audio have come."""
        stats = await self.connection.getStats()
        return sum(one.packetsReceived for one in stats.values() if one.type == "inbound-rtp")

    async def close(self) -> None:
        """Leave as a tab that is closed does."""
        await self.connection.close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait((self._listening,))

    def _told(self, raw: str) -> None:
        self.events.append(json.loads(raw))
        self._news.set()

    def _changed(self) -> None:
        self._news.set()

    def _hear(self, track: MediaStreamTrack) -> None:
        self.channel.on("close", self._changed)
        self._listening = asyncio.create_task(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame)
            self.heard.append(frame.to_ndarray().reshape(-1, len(frame.layout.channels))[::2, 0])  # 48 kHz to 24
            self._news.set()


@asynccontextmanager
async def browser(url: str) -> AsyncIterator[BrowserCall]:
    """A browser that leaves at the end."""
    call = BrowserCall(url)
    try:
        yield call
    finally:
        await call.close()


def likeness(heard: bytes, said: bytes) -> float:
    """The highest normalised cross-correlation of what was said with any part of what was heard: 1 is equal."""
    wide, narrow = (numpy.frombuffer(pcm16, numpy.int16).astype(float) for pcm16 in (heard, said))
    size = 1 << (len(wide) + len(narrow)).bit_length()
    product = numpy.fft.irfft(numpy.fft.rfft(wide, size) * numpy.conj(numpy.fft.rfft(narrow, size)), size)[: len(wide)]
    energy = numpy.concatenate(([0.0], numpy.cumsum(wide**2)))
    power = [energy[min(at + len(narrow), len(wide))] - energy[at] for at in range(len(wide))]
    return float(numpy.max(product / numpy.sqrt(numpy.maximum(power, 1.0) * numpy.sum(narrow**2))))
