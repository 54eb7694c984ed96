"""turnlog in bench_live_loop: its log is on, and verified after the run, outside the measured time."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from live_meter import Contender, Meter, take_delta

__all__ = ["TURNLOG"]


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


TURNLOG: dict[str, Contender] = {
    "turnlog": turnlog,
    "turnlog-iterated": turnlog_iterated,
    "turnlog-wire": turnlog_wire,
    "turnlog-wire-direct": turnlog_wire_direct,
    "turnlog-alone": turnlog_alone,
}
