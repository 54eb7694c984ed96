"""Tests for proxied sessions whose process was killed: the next engine on the file gives their logs an end, and nobody else's."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

import turnlog
from tests.server.proxied_talk import spoken_call
from tests.server.proxying import proxying
from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.core.errors import StoreError
from turnlog.core.ports import Head, Recorded
from turnlog.engine.engine import Engine
from turnlog.engine.nonces import Nonces
from turnlog.engine.relay.orphans import end_orphans
from turnlog.store.follow import follow
from turnlog.store.memory import MemoryStore
from turnlog.store.open import open_store
from turnlog.store.port import Store

__all__: list[str] = []

SERVER = """
import asyncio, sys
import turnlog
from turnlog.server.serve import serve
from turnlog.transports.providers.openai import OpenAIProvider

app = turnlog.App("calls")
app.proxy("line", provider="openai", transport="websocket", model="gpt-realtime-test")

@app.session("desk", provider="local", transport="in_process")
async def desk(session):
    await session.input()

provider = OpenAIProvider(base_url=sys.argv[2], api_key="sk-test")
tell = lambda url: print(url, flush=True)
asyncio.run(serve(app, port=0, store=sys.argv[1], providers={"openai": provider}, on_listening=tell))
"""


async def log_of(store: Store, session: str) -> list[Any]:
    """What it holds, as recorded."""
    report = await store.verify(session)
    assert report.ok, report.problems
    return list(store.scan(session))


async def test_a_killed_proxied_session_is_ended_by_the_next_engine(tmp_path: Path) -> None:
    """At its last known time, in a new epoch, verified; a session with a handler stays as it is.

    An engine that is given an open store leaves all alone. The process takes a second to import what it needs.
    """
    url = f"sqlite:///{tmp_path / 'calls.db'}"

    async def stand(connection: ServerConnection) -> None:
        await connection.send('{"type":"session.created","event_id":"event_1","session":{"type":"realtime"}}')
        await connection.wait_closed()

    async with serve(stand, "127.0.0.1", 0) as far, asyncio.timeout(60):
        provider = f"http://127.0.0.1:{far.sockets[0].getsockname()[1]}/v1"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = (sys.executable, "-c", SERVER, url, provider)
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
        assert child.stdout is not None
        address = (await child.stdout.readline()).decode().strip().replace("http", "ws", 1) + "/v1/realtime?model=calls."
        call = partial(connect, close_timeout=0.1)
        async with call(address + "line") as passed, call(address + "desk") as answered:
            assert "session.created" in str(await passed.recv()) and "session.created" in str(await answered.recv())
            await passed_in(url)
            child.send_signal(signal.SIGKILL)
            assert await child.wait() == -signal.SIGKILL

    before = await asyncio.to_thread(open_store, url)
    async with Engine(turnlog.App("calls"), store=before):
        pass
    killed = {row.target: row for row in await before.sessions()}
    assert [row.status for row in killed.values()] == ["active", "active"]
    recorded = await log_of(before, killed["calls.line"].session)
    desk = await log_of(before, killed["calls.desk"].session)
    await before.close()

    for _ in range(2):  # the second finds nothing to do
        async with Engine(turnlog.App("calls"), store=url) as engine:
            rows = {row.target: row for row in await engine.store.sessions()}
            ended = await log_of(engine.store, rows["calls.line"].session)
            assert await log_of(engine.store, rows["calls.desk"].session) == desk
    assert rows["calls.desk"].status == "active" and rows["calls.line"].status == "ended"
    assert ended[: len(recorded)] == recorded
    behind = ended[len(recorded) :]
    assert rows["calls.line"].ended_ns == recorded[-1].at_ns and {one.at_ns for one in behind} == {recorded[-1].at_ns}
    assert {one.epoch for one in behind} == {recorded[-1].epoch + 1}
    kinds = [type(decode(one)) for one in behind]
    assert kinds[0] is e.SessionEnding and kinds.count(e.LinkClosed) == 2 and kinds[-1] is e.SessionEnded
    assert behind[0].cause == e.Root.HOST and all(one.cause == behind[0].seq for one in behind[1:])
    last = decode(behind[-1])
    assert isinstance(last, e.SessionEnded) and (last.reason, last.code) == ("engine_lost", "TL323")


async def test_wherever_it_was_killed_its_log_gets_an_end() -> None:
    """After each event of a spoken call, its end included: what sounded is settled, what stood is closed, and all verifies."""
    async with proxying() as running:
        await spoken_call(running)
    (row,) = await running.store.sessions()
    recorded = list(running.store.scan(row.session))
    tracks = await running.store.tracks(row.session)
    segments = [(track, one) for track in tracks for one in running.store.scan_segments(row.session, track)]
    settled = 0
    for n in range(1, len(recorded)):
        told = {(event.track, event.n) for one in recorded[:n] if isinstance(event := decode(one), e.MediaRecorded)}
        last, store = recorded[n - 1], MemoryStore()
        media = [one for track, one in segments if (track, one.n) in told]
        await store.restore(
            row._replace(status="active", head_seq=n, ended_ns=None), Head(row.session, 0, 1, n, last.hash), recorded[:n], media
        )
        assert await end_orphans(store, Nonces()) == 1 and await end_orphans(store, Nonces()) == 0
        end = decode((await log_of(store, row.session))[-1])
        (after,) = await store.sessions(status="ended")
        assert isinstance(end, e.SessionEnded) and after.ended_ns == last.at_ns
        was_ending = any(one.type == "SessionEnding" for one in recorded[:n])
        assert end.reason == ("caller_gone" if was_ending else "engine_lost")
        settled += any(one.type == "PlayoutEnded" for one in list(store.scan(row.session))[n:])
    assert settled


async def test_a_log_that_cannot_be_read_keeps_no_engine_from_starting(caplog: pytest.LogCaptureFixture) -> None:
    """It is left as it is, with a warning, and the next one gets its end."""
    async with proxying() as running:
        for _ in range(2):
            async with running.through():
                pass
            await running.log()
    rows = await running.store.sessions()
    store = _Torn()
    for row in rows:
        first = next(iter(running.store.scan(row.session)))
        began = row._replace(status="active", head_seq=1, ended_ns=None)
        await store.restore(began, Head(row.session, 0, 1, 1, first.hash), [first], [])
    store.torn = rows[0].session
    assert await end_orphans(store, Nonces()) == 1
    assert [row.session for row in await store.sessions(status="active")] == [store.torn]
    assert caplog.messages == [f"session {store.torn} has no end, and cannot be given one"]


class _Torn(MemoryStore):
    """A store of which one log cannot be read."""

    torn = ""

    def scan(self, session: str, *, after: int = 0, until: int | None = None, semantic: bool = False) -> Iterator[Recorded]:
        """See port.Store."""
        if session == self.torn:
            raise StoreError("TL407", "the log does not verify", "none")
        return super().scan(session, after=after, until=until, semantic=semantic)


async def passed_in(url: str) -> None:
    """Return when what passed stands in the file, which another process owns."""
    store = await asyncio.to_thread(open_store, url, read_only=True)
    (row,) = await store.sessions(target="calls.line")
    log = follow(store, row.session)
    await anext(one async for one in log if one is not None and one.type == "TransportSent")
    await log.aclose()
    await store.close()
