"""One contender of bench_live_loop in a process of its own: holds SESSIONS sessions and measures itself.

    python benchmarks/live_contender.py NAME PORT SESSIONS SECONDS FOLDER

NAME is one of CONTENDERS, with "+uvloop" to run on uvloop. Prints one line of JSON. CPU is user and system time of the whole
process (the log's writer thread included) for SECONDS, from when all sessions have been under way for a second.
"""

import asyncio
import contextlib
import gc
import json
import os
import resource
import sys
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from paced_server import AUDIO_SHARE, STAMP_BYTES

__all__ = ["CONTENDERS", "Meter"]

WARM_UP_S = 5.0  # after the first audio: sessions start spread over the four seconds of a turn
SAMPLED = 3  # every third audio delta's latency is taken


class Meter:
    """Counts the audio that reached the application, and how long it took from the server's hand to here."""

    def __init__(self) -> None:
        self.audio = 0
        self.latencies: list[int] = []
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def base64(self, message: bytes, start: int) -> None:
        """An audio delta whose base64 text begins at `start`."""
        self._count()
        if self.audio % SAMPLED == 0:
            self._arrived(b64decode(message[start : start + STAMP_BYTES // 3 * 4]))

    def pcm(self, audio: bytes, part: Any = None) -> None:
        """An audio delta, decoded."""
        self._count()
        if self.audio % SAMPLED == 0:
            self._arrived(audio)

    def _count(self) -> None:
        self.audio += 1
        if self.audio == 1:
            self._first.set_result(None)

    def _arrived(self, audio: bytes) -> None:
        self.latencies.append(time.perf_counter_ns() - int.from_bytes(audio[:STAMP_BYTES], "little"))

    async def warm(self) -> None:
        """Until all sessions are under way."""
        await asyncio.shield(self._first)
        await asyncio.sleep(WARM_UP_S)

    async def window(self, seconds: float) -> dict[str, Any]:
        """Measure for `seconds`, after the warm-up."""
        await self.warm()
        gc.collect()
        self.latencies.clear()
        audio, cpu, began = self.audio, cpu_s(), time.perf_counter()
        await asyncio.sleep(seconds)
        events = (self.audio - audio) / AUDIO_SHARE
        used, took = cpu_s() - cpu, time.perf_counter() - began
        ordered = sorted(self.latencies)
        return {
            "events_s": events / took,
            "cpu_us": used / events * 1e6,
            "core": used / took,
            "p50_ms": ordered[len(ordered) // 2] / 1e6,
            "p99_ms": ordered[len(ordered) * 99 // 100] / 1e6,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def cpu_s() -> float:
    """User and system seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


Contender = Callable[[Meter, int, int, float, Path], Awaitable[dict[str, Any]]]


async def watched(tasks: list[asyncio.Task[None]], window: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """The window's result, while the sessions run; a session that ends meanwhile is a failed measurement."""
    measuring = asyncio.create_task(window)
    await asyncio.wait([measuring, *tasks], return_when=asyncio.FIRST_COMPLETED)
    if not measuring.done():
        raise SystemExit(f"a session ended early: {[task for task in tasks if task.done()]}")
    return measuring.result()


async def floor(meter: Meter, port: int, sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """No session at all: receive from the socket with `websockets` and look for the audio. What nobody can be cheaper than."""
    from websockets.asyncio.client import connect

    async def one() -> None:
        async with connect(f"ws://127.0.0.1:{port}/v1/realtime", max_size=None, compression=None) as connection:
            await connection.send('{"type":"session.update","session":{"type":"realtime"}}')
            while True:
                message = await connection.recv(decode=False)
                if message.startswith(b'{"type":"response.output_audio.delta"'):
                    meter.base64(message, message.find(b'"delta":"') + 9)

    tasks = [asyncio.create_task(one()) for _ in range(sessions)]
    return await watched(tasks, meter.window(seconds))


async def openai_agents(meter: Meter, port: int, sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """openai-agents: RealtimeRunner over OpenAIRealtimeWebSocketModel, events read with `async for`. Keeps no log."""
    from agents.realtime import RealtimeAgent, RealtimeRunner
    from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel

    async def one() -> None:
        runner = RealtimeRunner(RealtimeAgent(name="desk", instructions="You are helpful."), model=OpenAIRealtimeWebSocketModel())
        url = f"ws://127.0.0.1:{port}/v1/realtime?model=gpt-realtime"
        session = await runner.run(model_config={"url": url, "api_key": "none"})
        async with session:
            async for event in session:
                if event.type == "audio":
                    meter.pcm(event.audio.data)

    tasks = [asyncio.create_task(one()) for _ in range(sessions)]
    return await watched(tasks, meter.window(seconds))


async def pipecat(meter: Meter, port: int, sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """pipecat-ai: a pipeline of OpenAIRealtimeLLMService and a processor that takes the audio. Keeps no log."""
    from loguru import logger

    logger.remove()
    from pipecat.frames.frames import TTSAudioRawFrame
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.runner import PipelineRunner
    from pipecat.pipeline.task import PipelineParams, PipelineTask
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

    class Sink(FrameProcessor):  # type: ignore[misc] # untyped in an environment without pipecat
        async def process_frame(self, frame: Any, direction: Any) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, TTSAudioRawFrame):
                meter.pcm(frame.audio)
            await self.push_frame(frame, direction)

    async def one() -> None:
        service = OpenAIRealtimeLLMService(api_key="none", base_url=f"ws://127.0.0.1:{port}/v1/realtime")
        task = PipelineTask(Pipeline([service, Sink()]), params=PipelineParams(), idle_timeout_secs=None)
        await PipelineRunner(handle_sigint=False).run(task)

    tasks = [asyncio.create_task(one()) for _ in range(sessions)]
    return await watched(tasks, meter.window(seconds))


async def turnlog(meter: Meter, port: int, sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """turnlog with its log on; each session's AudioCaller hands decoded audio to the application, as the peers do."""
    from turnlog import AudioCaller

    return await run_turnlog(meter, port, sessions, seconds, folder, lambda: AudioCaller(MeterPlayer(meter)))


async def turnlog_iterated(meter: Meter, port: int, sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """The same, and a task of each session reads it with `async for`."""
    from turnlog import AudioCaller, PlayAudio

    async def read(caller: AudioCaller) -> None:
        async for heard in caller:
            if isinstance(heard, PlayAudio):
                meter.pcm(heard.pcm16)

    tasks = []

    def caller() -> AudioCaller:
        made = AudioCaller()
        tasks.append(asyncio.create_task(read(made)))
        return made

    return await run_turnlog(meter, port, sessions, seconds, folder, caller)


async def turnlog_wire(meter: Meter, port: int, sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """turnlog as a gateway: speaks the whole protocol again to a caller, and logs that leg. Its other end is read by a task."""
    from turnlog.core.errors import LinkClosed
    from turnlog.transports.links.in_process import InProcessLink, pair

    async def read(end: InProcessLink) -> None:
        with contextlib.suppress(LinkClosed):
            while True:
                take_delta(meter, await end.receive())

    tasks = []

    def caller() -> InProcessLink:
        near, far = pair()
        tasks.append(asyncio.create_task(read(far)))
        return near

    return await run_turnlog(meter, port, sessions, seconds, folder, caller)


async def turnlog_wire_direct(meter: Meter, port: int, sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """The same, and the caller's link takes each message in send(), as a socket's does: no task reads it."""
    return await run_turnlog(meter, port, sessions, seconds, folder, lambda: TakingLink(meter))


async def turnlog_alone(meter: Meter, port: int, sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """turnlog with its log on and nobody attached: the provider's side only."""
    from turnlog.transports.links.websocket import WebSocketLink

    listen = WebSocketLink.listen

    def counted(self: WebSocketLink, take: Callable[[bytes], None] | None) -> None:
        def both(message: bytes) -> None:
            assert take is not None
            take(message)
            take_delta(meter, message)

        listen(self, take and both)

    WebSocketLink.listen = counted  # type: ignore[method-assign] # nothing else of it shows when audio arrived
    return await run_turnlog(meter, port, sessions, seconds, folder, None)


class MeterPlayer:
    """A caller's player that counts; see turnlog.AudioPlayer."""

    def __init__(self, meter: Meter) -> None:
        self.audio = meter.pcm

    def text(self, text: str, part: Any) -> None:
        """Words are not measured."""

    def cleared(self, response: str) -> None:
        """Nobody speaks over an answer here."""

    def finished(self, response: str) -> None:
        """What is measured comes before."""


class TakingLink:
    """A caller's link whose other side is the meter."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def receive(self) -> bytes:
        """Nothing comes from this caller."""
        from turnlog.core.errors import LinkClosed

        await self._closed
        raise LinkClosed()

    def send(self, message: bytes) -> None:
        """Take the message."""
        take_delta(self._meter, message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the reading."""
        if not self._closed.done():
            self._closed.set_result(None)


def take_delta(meter: Meter, message: bytes) -> None:
    """What a caller's application does with a message here: see whether it is audio."""
    if message.startswith(b'{"type":"response.output_audio.delta"'):
        meter.base64(message, message.find(b'"delta":"') + 9)


async def run_turnlog(
    meter: Meter, port: int, sessions: int, seconds: float, folder: Path, caller: Callable[[], Any] | None
) -> dict[str, Any]:
    """Run the sessions on one engine, measure, then end them and check every log."""
    import turnlog as t

    app = t.App("bench")

    @app.session("desk", provider="openai", transport="websocket", answers="model", instructions="You are helpful.")
    async def desk(session: t.RealtimeSession) -> None:
        async for _ in session.turns():
            pass

    os.environ["OPENAI_BASE_URL"] = f"http://127.0.0.1:{port}/v1"
    async with t.Engine(app, store=f"sqlite:///{folder}/live.db") as engine:
        commits = count_commits(engine.store)
        live = [await engine.start("bench.desk") for _ in range(sessions)]
        for session in live:
            if caller is not None:
                await engine.attach(session.id, caller())
        counting = asyncio.create_task(commits_in_window(meter, commits, seconds))
        measured = await meter.window(seconds)
        measured |= {"commits_s": await counting}
        for session in live:
            session.end(drain=False)
        for session in live:
            await session.ended()
        measured["verified"] = [await checked(engine.store, session.id) for session in live]
    measured["messages"] = sum(measured.pop("verified"))
    return measured


def count_commits(store: Any) -> list[int]:
    """Count the transactions of the store's writer from here on."""
    commit, count = store._writer._commit, [0]

    def counted(raw: Any, group: Any) -> Any:
        count[0] += 1
        return commit(raw, group)

    store._writer._commit = counted
    return count


async def commits_in_window(meter: Meter, commits: list[int], seconds: float) -> float:
    """Transactions a second while the window is open."""
    await meter.warm()
    before = commits[0]
    await asyncio.sleep(seconds)
    return (commits[0] - before) / seconds


async def checked(store: Any, session: str) -> int:
    """Verify a session's log, and that it holds every message of every line. Returns how many came from the provider."""
    from turnlog.core.codec import decode
    from turnlog.core.events import TransportReceived, TransportSent
    from turnlog.store.messages import scan_messages

    report = await store.verify(session)
    if not report.ok:
        raise SystemExit(f"{session}: the log does not verify: {report.problems[:3]}")
    ordinals: dict[str, list[int]] = {track: [] for track in await store.tracks(session)}
    async for recorded in store.read(session):
        match decode(recorded):
            case TransportReceived(link=link, n=n):
                ordinals.setdefault(f"{link}.in", []).append(n)
            case TransportSent(link=link, n=n):
                ordinals.setdefault(f"{link}.out", []).append(n)
    for track, numbers in ordinals.items():
        numbers += [message.ordinal for message in scan_messages(store, session, track)]
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            raise SystemExit(f"{session}: messages of {track} are missing in the log")
    return len(ordinals["p1.in"])


CONTENDERS: dict[str, Contender] = {
    "floor": floor,
    "turnlog": turnlog,
    "turnlog-iterated": turnlog_iterated,
    "turnlog-wire": turnlog_wire,
    "turnlog-wire-direct": turnlog_wire_direct,
    "turnlog-alone": turnlog_alone,
    "openai-agents": openai_agents,
    "pipecat": pipecat,
}


def main() -> None:
    """Run the contender that the command line names."""
    name, port, sessions, seconds, folder = sys.argv[1:6]
    os.environ.setdefault("OPENAI_API_KEY", "none")
    os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"
    contender, _, loop = name.partition("+")
    work = report(CONTENDERS[contender], int(port), int(sessions), float(seconds), Path(folder))
    if loop == "uvloop":
        import uvloop

        uvloop.run(work)
    else:
        asyncio.run(work)


async def report(contender: Contender, port: int, sessions: int, seconds: float, folder: Path) -> None:
    """Print what was measured and go: not every peer's tasks can be cancelled."""
    print(json.dumps(await contender(Meter(), port, sessions, seconds, folder)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
