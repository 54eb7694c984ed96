"""One contender of bench_webrtc.py: answers SESSIONS calls in a process of its own, on a core of its own, and measures itself.

    python benchmarks/webrtc_contender.py NAME SHARE SESSIONS SECONDS

NAME is `turnlog` (transports/webrtc) or `stock` (aiortc's own media path, as its documentation has it). Each call's far end
talks all the time and we hear it as mono PCM16 at 24 kHz; we talk for SHARE (0 to 1) of every six seconds, from PCM16 at
24 kHz. The far ends are light (packets encoded once, nothing decoded) and live in a second process on another core. Prints one
line of JSON. CPU is user and system time of this process, threads included, for SECONDS from when all calls stand.
"""

import asyncio
import json
import multiprocessing
import os
import resource
import sys
import time
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiortc.rtcrtpreceiver as stock_receiver
import av
import numpy
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs.opus import OpusDecoder, OpusEncoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.mediastreams import MediaStreamError

from turnlog.core.errors import TurnlogError
from turnlog.transports.webrtc.ice import IceSettings
from turnlog.transports.webrtc.peer import Peer

__all__ = ["heard_as"]

CYCLE_S = 6
FRAME = 480  # samples of 20 ms at 24 kHz
STEP = 10  # frames that our words come in, as a provider sends them
Array = numpy.ndarray[Any, Any]


def speech() -> Array:
    """The questions of the demo, one after the other: 24 kHz, whole frames."""
    sounds = []
    for path in sorted((Path(__file__).resolve().parent.parent / "examples" / "audio").glob("*.wav")):
        with wave.open(str(path)) as file:
            sounds.append(numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16))
    whole = numpy.concatenate(sounds)
    return whole[: len(whole) // (FRAME * STEP) * FRAME * STEP]


def heard_as(source: Array, heard: Array) -> float:
    """The highest correlation of what was heard with the source, over a whole turn of it, wherever it began; 1 is the same."""
    taken = heard[-2 * len(source) :].astype(float)
    if len(taken) < 2 * len(source) or not taken.any():
        return 0.0
    size = 1 << (len(taken) + len(source)).bit_length()
    spectrum = numpy.fft.rfft(taken, size) * numpy.conj(numpy.fft.rfft(source.astype(float), size))
    products = numpy.fft.irfft(spectrum, size)[: len(source)]
    sums = numpy.concatenate([[0.0], numpy.cumsum(taken**2)])
    energies = sums[len(source) : 2 * len(source)] - sums[: len(source)]
    best = products / numpy.sqrt(numpy.maximum(energies, 1) * (source.astype(float) ** 2).sum())
    return float(best.max())


class Paced(MediaStreamTrack):
    """20 ms each 20 ms, by the clock."""

    kind = "audio"

    def __init__(self, make: Callable[[int], Any]) -> None:
        super().__init__()
        self._make, self._n, self._began = make, 0, time.monotonic()

    async def recv(self) -> Any:
        """The next."""
        wait = self._began + self._n * 0.02 - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        self._n += 1
        return self._make(self._n - 1)


def framed(source: Array, share: float) -> Callable[[int], av.AudioFrame]:
    """Frames of 24 kHz mono: the source for `share` of each cycle, silence else."""
    count, cycle = len(source) // FRAME, CYCLE_S * 50
    silence = numpy.zeros(FRAME, numpy.int16)

    def make(n: int) -> av.AudioFrame:
        at = n % count * FRAME
        frame = av.AudioFrame.from_ndarray(
            (source[at : at + FRAME] if n % cycle < share * cycle else silence)[None], "s16", "mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = 24_000, n * FRAME, Fraction(1, 24_000)
        return frame

    return make


def packets(source: Array) -> list[bytes]:
    """The source as Opus packets of 48 kHz stereo at 96 kbit/s."""
    encoder, make = OpusEncoder(), framed(source, 1)
    return [payload for n in range(len(source) // FRAME) for payload in encoder.encode(make(n))[0]]


class Stock:
    """A call as aiortc's documentation has it: frames in, frames out; what is heard is made mono and 24 kHz."""

    def __init__(self, source: Array, share: float) -> None:
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._source, self._share = source, share
        self._tasks: list[asyncio.Task[None]] = []
        self.heard = bytearray()
        self.is_connected = asyncio.Event()
        self._connection.on("track", lambda track: self._tasks.append(asyncio.ensure_future(self._listen(track))))
        self._connection.on("connectionstatechange", self._changed)

    async def answer(self, offer: str) -> str:
        """The answer."""
        await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        self._connection.addTrack(Paced(framed(self._source, self._share)))
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        return self._connection.localDescription.sdp

    def _changed(self) -> None:
        if self._connection.connectionState == "connected":
            self.is_connected.set()

    async def _listen(self, track: MediaStreamTrack) -> None:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=24_000)
        try:
            while True:
                frame: Any = await track.recv()
                frame.pts = None
                for part in resampler.resample(frame):
                    self.heard += bytes(part.planes[0])[: part.samples * 2]
        except MediaStreamError:
            return


class Ours:
    """A call of turnlog's: PCM16 in, PCM16 out."""

    def __init__(self, source: Array, share: float) -> None:
        self._peer = Peer(self, IceSettings())
        self._source, self._share = source, share
        self._talking: asyncio.Task[None] | None = None
        self.heard = bytearray()
        self.is_connected = asyncio.Event()

    async def answer(self, offer: str) -> str:
        """The answer."""
        return await self._peer.answer(offer)

    def connected(self) -> None:
        """PeerEvents."""
        self.is_connected.set()
        self._talking = asyncio.ensure_future(self._talk())

    def message(self, raw: bytes) -> None:
        """PeerEvents."""

    def faulted(self, error: TurnlogError) -> None:
        """PeerEvents."""
        raise error

    def audio(self, pcm16: bytes) -> None:
        """PeerEvents."""
        self.heard += pcm16

    def gone(self, reason: str) -> None:
        """PeerEvents."""
        raise SystemExit(f"a call ended: {reason}")

    async def _talk(self) -> None:
        """Words in pieces of 200 ms, a piece ahead."""
        began, cycle, piece = time.monotonic(), CYCLE_S * 50 // STEP, FRAME * STEP
        for n in range(1_000_000):
            if n % cycle < self._share * cycle:
                at = n * piece % len(self._source)
                self._peer.speaker.put(self._source[at : at + piece].tobytes(), 1)
            await asyncio.sleep(max(0.0, began + n * 0.2 - time.monotonic()))


class Nothing:
    """In the far ends: keeps the packets of one call, decodes none."""

    kept: list[tuple[int, bytes]] | None = None

    def decode(self, frame: Any) -> list[Any]:
        """Nothing."""
        if self.kept is not None:
            self.kept.append((frame.timestamp, frame.data))
        return []


def callers(pipe: Any, sessions: int) -> None:
    """The far ends, in a process of their own."""
    pin(1)
    listeners: list[Nothing] = []

    def listener(_: Any) -> Nothing:
        listeners.append(Nothing())
        if len(listeners) == 1:
            listeners[0].kept = []
        return listeners[-1]

    stock_receiver.get_decoder = listener  # type: ignore[assignment]  # a test tool, in a process of its own

    async def run() -> None:
        source = speech()
        encoded = packets(source)

        def make(n: int) -> Any:
            packet = av.Packet(encoded[n % len(encoded)])
            packet.pts, packet.time_base = n * 960, Fraction(1, 48_000)
            return packet

        connections = []
        for _ in range(sessions):
            connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
            connections.append(connection)
            connection.addTrack(Paced(make))
            connection.createDataChannel("oai-events")
            await connection.setLocalDescription(await connection.createOffer())
            pipe.send(connection.localDescription.sdp)
            answer = await asyncio.to_thread(pipe.recv)
            await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await asyncio.to_thread(pipe.recv)
        pipe.send(heard_as(source, played(listeners[0].kept or [] if listeners else [])))
        os._exit(0)

    asyncio.run(run())


def played(kept: list[tuple[int, bytes]]) -> Array:
    """What the packets of one call sound like, as 24 kHz."""
    if not kept:
        return numpy.zeros(0, numpy.int16)
    decoder = OpusDecoder()
    line = numpy.zeros(kept[-1][0] + 960, numpy.int16)
    for timestamp, data in kept:
        for frame in decoder.decode(JitterFrame(data, timestamp)):
            line[timestamp : timestamp + 960] = frame.to_ndarray().reshape(-1, 2)[:960, 0]
    return line[::2]


def pin(core: int) -> None:
    """Keep this process on one core, where there is more than one."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core % len(cores)]})


async def serve(pipe: Any, name: str, share: float, sessions: int, seconds: float) -> None:
    """Answer all calls, wait until they stand, measure, print."""
    source = speech()
    calls: list[Any] = []
    for _ in range(sessions):
        call = (Ours if name == "turnlog" else Stock)(source, share)
        calls.append(call)
        pipe.send(await call.answer(await asyncio.to_thread(pipe.recv)))
    for call in calls:
        await asyncio.wait_for(call.is_connected.wait(), 30)
    await asyncio.sleep(2)
    before, began, used = [len(call.heard) for call in calls], time.monotonic(), time.process_time()
    used_before, lags = resource.getrusage(resource.RUSAGE_SELF), []
    while time.monotonic() - began < seconds:
        at = time.monotonic()
        await asyncio.sleep(0.01)
        lags.append(time.monotonic() - at - 0.01)
    elapsed, cpu = time.monotonic() - began, time.process_time() - used
    usage = resource.getrusage(resource.RUSAGE_SELF)
    switches = usage.ru_nvcsw + usage.ru_nivcsw - used_before.ru_nvcsw - used_before.ru_nivcsw
    heard_ms = sum(len(call.heard) - count for call, count in zip(calls, before, strict=True)) / 48
    pipe.send("stop")
    result = {
        "cpu": cpu / elapsed / sessions,
        "heard_share": heard_ms / 1000 / elapsed / sessions,
        "lag_p99_ms": float(numpy.percentile(lags, 99)) * 1000,
        "switches_s": switches / elapsed,
        "rss_mb": usage.ru_maxrss / 1024,
        "we_heard": heard_as(source, numpy.frombuffer(bytes(calls[0].heard), numpy.int16)),
        "they_heard": await asyncio.to_thread(pipe.recv),
    }
    print(json.dumps(result), flush=True)
    os._exit(0)  # closing calls is not what is measured


def main() -> None:
    """Measure and print."""
    name, share, sessions, seconds = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    ours, theirs = multiprocessing.Pipe()
    far = multiprocessing.get_context("spawn").Process(target=callers, args=(theirs, sessions), daemon=True)
    far.start()
    theirs.close()  # so that a far end that failed is the end of this
    pin(0)
    asyncio.run(serve(ours, name, share, sessions, seconds))


if __name__ == "__main__":
    main()
