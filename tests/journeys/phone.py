"""A caller with a real microphone's and loudspeaker's time: 20 ms go out and 20 ms are played every 20 ms.

It does what standard clients do: plays what comes in order, and throws away what it has not played at speech_started. All it
hears and sends stands on one timeline, so that what was audible after an instant is counted in samples, not believed.
"""

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import ConnectionClosed

from tests.server.hosting import Hosted, client_of
from turnlog.core.errors import LinkClosed
from turnlog.transports.links.in_process import pair
from turnlog.transports.realtime.audio import read_wav

__all__ = ["AUDIO", "RATE", "Flush", "Phone", "calling", "calmly", "loudness", "recording"]

AUDIO = Path(__file__).resolve().parents[2] / "examples" / "audio"
RATE = 24_000
FRAME_MS = 20
ECHO_MS = 120
FRAME = RATE * 2 * FRAME_MS // 1000
PER_MS = RATE * 2 // 1000
T = TypeVar("T")
_DELTA = "response.output_audio.delta"
_SPEECH = "input_audio_buffer.speech_started"


class Flush(NamedTuple):
    """The caller stopped playing: at which place of its timeline, of what, and how much of that it had played and thrown away."""

    at_ms: float
    response: str
    played_ms: float
    dropped_ms: float


class Phone:
    """The caller's end. `echo_db`: how loud its microphone hears its loudspeaker, 120 ms late; None: not at all.

    `muted`: nothing is sent while nothing is said.
    """

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]], *, echo_db: float | None, muted: bool) -> None:
        self._send = send
        self._gain = 0.0 if echo_db is None else 10 ** (echo_db / 20)
        self._muted = muted
        self._to_say = bytearray()
        self._to_play: deque[tuple[str, bytes]] = deque()
        self._changed = asyncio.Event()
        self.speaker = bytearray()  # all that was played, silence included
        self.got: dict[str, bytearray] = {}  # by response: the audio that came
        self.played: dict[str, int] = {}  # by response: bytes of it that were played
        self.late: dict[str, int] = {}  # by response: bytes that came after its flush
        self.events: list[dict[str, Any]] = []
        self.flushes: list[Flush] = []
        self.connected = True
        self.late_ms = 0.0  # by how much a tick was late at worst

    # --- in ---

    def take(self, event: dict[str, Any]) -> None:
        """An event came."""
        self.events.append(event)
        if event["type"] == _DELTA:
            audio = base64.b64decode(event["delta"])
            response = event["response_id"]
            self.got.setdefault(response, bytearray()).extend(audio)
            if any(flush.response == response for flush in self.flushes):
                self.late[response] = self.late.get(response, 0) + len(audio)
            self._to_play.append((response, audio))
        elif event["type"] == _SPEECH:
            self.flush()
        self._changed.set()

    def flush(self) -> None:
        """Play nothing of what has come."""
        dropped = sum(len(audio) for _, audio in self._to_play)
        response = self._to_play[-1][0] if self._to_play else next(reversed(self.got), "")
        self._to_play.clear()
        self.flushes.append(Flush(self.now_ms, response, self.played.get(response, 0) / PER_MS, dropped / PER_MS))

    @property
    def now_ms(self) -> float:
        """The place on the timeline."""
        return len(self.speaker) / PER_MS

    # --- out ---

    def says(self, pcm16: bytes) -> None:
        """Begin to say this."""
        self._to_say += pcm16 + bytes(-len(pcm16) % FRAME)

    async def sends(self, event: dict[str, Any]) -> None:
        """Any event of the protocol."""
        await self._send(event)

    async def runs(self) -> None:
        """Tick by the clock, until cancelled: a late tick is followed by the next at once."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += FRAME_MS / 1000
            await asyncio.sleep(due - loop.time())
            self.late_ms = max(self.late_ms, (loop.time() - due) * 1000)
            self.speaker += self._play()
            if self.connected and (self._to_say or not self._muted):
                audio = base64.b64encode(self._microphone()).decode()
                try:
                    await self._send({"type": "input_audio_buffer.append", "audio": audio})
                except (LinkClosed, ConnectionClosed):
                    self.connected = False
            self._changed.set()

    def _play(self) -> bytes:
        frame = b""
        while self._to_play and len(frame) < FRAME:
            response, audio = self._to_play.popleft()
            taken = audio[: FRAME - len(frame)]
            if len(taken) < len(audio):
                self._to_play.appendleft((response, audio[len(taken) :]))
            self.played[response] = self.played.get(response, 0) + len(taken)
            frame += taken
        return frame.ljust(FRAME, b"\0")

    def _microphone(self) -> bytes:
        mine = bytes(self._to_say[:FRAME]).ljust(FRAME, b"\0")
        del self._to_say[:FRAME]
        end = len(self.speaker) - ECHO_MS * PER_MS
        if not self._gain or end < FRAME:
            return mine
        echo = np.frombuffer(bytes(self.speaker[end - FRAME : end]), "<i2") * self._gain
        mixed = np.frombuffer(mine, "<i2") + echo
        return np.clip(np.rint(mixed), -32768, 32767).astype("<i2").tobytes()

    # --- waiting ---

    async def until(self, happened: Callable[[], object], within_s: float = 20) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(within_s):
            while not happened():
                self._changed.clear()
                await self._changed.wait()

    async def until_played(self, ms: float, response: int = 0) -> None:
        """Wait until so much of the response of this number was played."""
        await self.until(lambda: len(self.got) > response and self.played.get([*self.got][response], 0) >= ms * PER_MS)

    async def until_said(self) -> None:
        """Wait until all was said."""
        await self.until(lambda: not self._to_say)

    async def until_heard_out(self) -> None:
        """Wait until all that came was played."""
        await self.until(lambda: not self._to_play)

    async def until_hung_up(self) -> None:
        """Wait until the other end has closed the link."""
        await self.until(lambda: not self.connected, within_s=60)

    async def until_done(self, n: int = 1) -> dict[str, Any]:
        """Wait for the n-th response.done; it."""
        await self.until(lambda: len(self.of("response.done")) >= n)
        return self.of("response.done")[n - 1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of a type."""
        return [event for event in self.events if event["type"] == kind]


@asynccontextmanager
async def calling(
    server: Hosted, target: str, wire: str, *, echo_db: float | None = None, muted: bool = False
) -> AsyncIterator[Phone]:
    """A caller of `target` on "sockets" (the openai SDK) or "in_process", who hangs up at the end. `muted`: see Phone."""
    async with asyncio.TaskGroup() as tasks:
        if wire == "sockets":
            async with client_of(server).realtime.connect(model=target) as connection:
                phone = Phone(_sender(connection), echo_db=echo_db, muted=muted)
                running = [tasks.create_task(_hear(connection, phone)), tasks.create_task(phone.runs())]
                yield phone
                for task in running:
                    task.cancel()
            return
        mine, theirs = pair()
        session = await server.engine.start(target)
        await server.engine.attach(session.id, theirs)

        async def send(event: dict[str, Any]) -> None:
            mine.send(json.dumps(event).encode())

        async def hear() -> None:
            try:
                while True:
                    phone.take(json.loads(await mine.receive()))
            except LinkClosed:
                phone.connected = False

        phone = Phone(send, echo_db=echo_db, muted=muted)
        running = [tasks.create_task(hear()), tasks.create_task(phone.runs())]
        yield phone
        for task in running:
            task.cancel()
        await mine.close()


async def calmly(hold: Callable[[Path], Awaitable[tuple[T, float]]], folder: Path, calm_ms: float) -> tuple[T, bool]:
    """What `hold` gives, held again up to twice while the machine stood still; and whether the last was in real time.

    hold: gives what is wanted, and by how many ms a caller's clock was late at worst. It has a folder of its own each time.
    """
    for attempt in range(3):
        (place := folder / str(attempt)).mkdir()
        held, late_ms = await hold(place)
        if late_ms <= calm_ms:
            return held, True
    return held, False


def _sender(connection: AsyncRealtimeConnection) -> Callable[[dict[str, Any]], Awaitable[None]]:
    async def send(event: dict[str, Any]) -> None:
        if event["type"] == "input_audio_buffer.append":
            await connection.input_audio_buffer.append(audio=event["audio"])
        else:
            await connection.send(event)  # type: ignore[arg-type] # a dict of the same form

    return send


async def _hear(connection: AsyncRealtimeConnection, phone: Phone) -> None:
    async for event in connection:
        phone.take(event.to_dict())
    phone.connected = False


def recording(name: str) -> bytes:
    """One of examples/audio, without the silence around its words."""
    pcm16, rate = read_wav(AUDIO / f"{name}.wav")
    assert rate == RATE
    levels = loudness(pcm16)
    loud = [n for n, level in enumerate(levels) if level > max(levels) / 10]
    return pcm16[loud[0] * FRAME : (loud[-1] + 1) * FRAME]


def loudness(pcm16: bytes) -> list[float]:
    """The mean level of each 20 ms."""
    samples = np.abs(np.frombuffer(pcm16[: len(pcm16) // FRAME * FRAME], "<i2").astype(np.float64))
    return [float(level) for level in samples.reshape(-1, FRAME // 2).mean(axis=1)]
