"""From the end of a question to the first sound of its answer, over WebRTC against WebSocket: caller's side and provider's side.

One process, one engine, one local provider (offline speech), the same recordings. Four ways to be connected take turns, and the
ratios are taken within a round: a caller by WebSocket or WebRTC while the provider is in the process, and a caller by WebSocket
while `turnlog provider` is reached by either. Measured at the caller: from sending the last 20 ms that are louder than
1 % of full scale to the moment at which the first such sample of the answer is played, if what comes is played at once and
without a gap. It holds the end of turn (500 ms), recognition and synthesis; a browser's own jitter buffer comes on top.

    python benchmarks/bench_webrtc_latency.py [--quick]
"""

import asyncio
import base64
import logging
import statistics
import sys
import tempfile
from array import array
from contextlib import AsyncExitStack
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from turnlog.core.definition import SessionDefinition
from turnlog.core.errors import LinkClosed, MissingExtra
from turnlog.core.ports import Link, Provider
from turnlog.engine.app import App
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.examples import hotel
from turnlog.server.serve import listen, serve_on, url_of
from turnlog.transports.providers.local import LocalProvider
from turnlog.transports.providers.openai import OpenAIProvider
from turnlog.transports.realtime.audio import read_wav
from turnlog.transports.webrtc.ice import IceSettings

__all__ = ["main"]

LOUD: Final = 328  # 1 % of full scale
FRAME: Final = 960  # bytes of 20 ms
LOOPBACK: Final = IceSettings(hosts=("127.0.0.1",))
CALLERS: Final = ("caller by WebSocket", "caller by WebRTC")
PROVIDERS: Final = ("provider by WebSocket", "provider by WebRTC")
CONTENDERS: Final = {  # the session, and how its caller comes
    CALLERS[0]: ("desk", "websocket"),
    CALLERS[1]: ("desk", "webrtc"),
    PROVIDERS[0]: ("by_socket", "websocket"),
    PROVIDERS[1]: ("by_call", "websocket"),
}

app = App("bench")


async def desk(session: RealtimeSession) -> None:
    """Answers each question at once."""
    async for _ in session.turns():
        await session.say("Of course.")


app.session("desk", provider="local", transport="in_process", echo="client_aec")(desk)
app.session("by_socket", provider="openai", transport="websocket", echo="client_aec")(desk)
app.session("by_call", provider="openai", transport="webrtc", echo="client_aec")(desk)


class Caller:
    """Says recordings in real time, and plays what comes as it comes."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._to_say: list[bytes] = []
        self._played_at = 0.0  # loop time at which all that came will have been played
        self.answered: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.done = asyncio.Event()

    async def speak(self) -> None:
        """20 ms every 20 ms, silence where there is nothing to say."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            frame = self._to_say.pop(0) if self._to_say else bytes(FRAME)
            audio = base64.b64encode(frame).decode()
            self._link.send(msgspec.json.encode({"type": "input_audio_buffer.append", "audio": audio}))
            if is_loud(frame):
                self.said_at = loop.time()
            due += 0.02
            await asyncio.sleep(due - loop.time())

    async def hear(self) -> None:
        """Until the link is closed."""
        loop = asyncio.get_running_loop()
        while True:
            event = msgspec.json.decode(await self._link.receive())
            if event["type"] == "response.output_audio.delta":
                pcm16 = base64.b64decode(event["delta"])
                begins = max(self._played_at, loop.time())
                self._played_at = begins + len(pcm16) / 48_000
                if not self.answered.done() and (place := first_loud(pcm16)) is not None:
                    self.answered.set_result(begins + place / 24_000)
            elif event["type"] == "response.done":
                self.done.set()

    async def asks(self, pcm16: bytes) -> float:
        """Ask, and wait for the whole answer: seconds from the question's end to the answer's beginning."""
        loop = asyncio.get_running_loop()
        self.answered = loop.create_future()
        self.done.clear()
        self._to_say = [pcm16[at : at + FRAME].ljust(FRAME, b"\0") for at in range(0, len(pcm16), FRAME)]
        began_at = await self.answered
        await self.done.wait()
        await asyncio.sleep(max(0.0, self._played_at - loop.time()) + 0.3)
        return began_at - self.said_at


def is_loud(pcm16: bytes) -> bool:
    """Whether a sample is louder than 1 % of full scale."""
    return first_loud(pcm16) is not None


def first_loud(pcm16: bytes) -> int | None:
    """The place of the first such sample."""
    return next((n for n, sample in enumerate(array("h", pcm16)) if not -LOUD < sample < LOUD), None)


def questions(few: bool) -> list[bytes]:
    """The demo's recordings."""
    with resources.as_file(resources.files(hotel.__package__ or "") / "audio") as folder:
        found = [read_wav(path)[0] for path in sorted(folder.glob("*.wav"))]
    return found[1:3] if few else found[:3]


async def call(url: str, session: str, transport: str, asked: list[bytes]) -> list[float]:
    """One call: the wait for the answer to each question."""
    client = OpenAIProvider(base_url=f"{url}/v1", ice=LOOPBACK)
    target = SessionDefinition(name="c", provider="openai", transport=transport, model=f"bench.{session}")
    link = await client.connect(target, "c")
    caller = Caller(link)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(caller.hear()), tasks.create_task(caller.speak())]
            await asyncio.sleep(1)  # the session stands, and so does the call to its provider
            waits = [await caller.asks(pcm16) for pcm16 in asked]
            for task in running:
                task.cancel()
    except* LinkClosed as closed:
        raise SystemExit(f"{session} by {transport}: {closed.exceptions[0]}") from None
    finally:
        await link.close()
    return waits


async def measure(folder: Path, rounds: int, asked: list[bytes]) -> dict[str, list[list[float]]]:
    """The waits of each contender, by round."""
    local = LocalProvider()
    await local.warm()
    stop = asyncio.Event()
    measured: dict[str, list[list[float]]] = {name: [] for name in CONTENDERS}
    async with AsyncExitStack() as beside:
        listener = beside.enter_context(listen("127.0.0.1", 0))
        url = await beside.enter_async_context(local.server.serve(port=0, ice=LOOPBACK))
        remote = OpenAIProvider(base_url=url.removesuffix("/realtime"), ice=LOOPBACK)
        providers: dict[str, Provider] = {"local": local, "openai": remote}
        store = f"sqlite:///{folder / 'calls.db'}"
        async with Engine(app, store=store, providers=providers, ice=LOOPBACK) as engine:
            serving = asyncio.create_task(serve_on(listener, engine, stop))
            await call(url_of(listener), "desk", "webrtc", asked[:1])  # what is loaded first is loaded now
            for _ in range(rounds):
                for name, (session, transport) in CONTENDERS.items():
                    measured[name].append(await call(url_of(listener), session, transport, asked))
            stop.set()
            await serving
    return measured


def main() -> None:
    """Hold the calls, print."""
    logging.disable(logging.WARNING)
    rounds = 1 if "--quick" in sys.argv else 4
    asked = questions("--quick" in sys.argv)
    with tempfile.TemporaryDirectory() as folder:
        try:
            measured = asyncio.run(measure(Path(folder), rounds, asked))
        except MissingExtra as error:
            print(f"latency over WebRTC: not measured: {error}")
            return
    print(f"end of speech to first sound, {rounds} rounds of {len(asked)} questions each, one process, offline speech")
    for name, waits in measured.items():
        every = sorted(wait for one in waits for wait in one)
        each = " ".join(f"{wait:.2f}" for wait in every)
        print(f"  {name:22} p50 {statistics.median(every):.3f} s   worst {every[-1]:.3f} s   {each}")
    for (socket, rtc), most in ((CALLERS, 1.2), (PROVIDERS, 1.3)):
        pairs = zip(measured[socket], measured[rtc], strict=True)
        ratio = statistics.median(statistics.median(over) / statistics.median(by) for by, over in pairs)
        met = "met" if ratio <= most else "missed"
        print(f"goal {rtc} takes <= {most} of the time by WebSocket: measured {ratio:.2f}: {met}")


if __name__ == "__main__":
    main()
