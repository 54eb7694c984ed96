"""The server as a process: its address, its signals, its end."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import turnlog
from tests.server.hosting import encode, hosted, user_item
from turnlog.core.errors import TurnlogError
from turnlog.server.serve import ServerSettings, listen, serve, url_of
from turnlog.store.open import open_store

ROOT = Path(__file__).resolve().parents[2]
app = turnlog.App("hotel")


@app.session("mute", provider="local", transport="in_process", modalities=["text"])
async def mute(session: turnlog.RealtimeSession) -> None:
    """Only hears."""
    async for _ in session.turns():
        pass


async def test_an_address_in_use_is_tl503() -> None:
    """Named with host and port, before anything else is opened; the hint says what to do."""
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TurnlogError, match=f"TL503 cannot listen on 127.0.0.1:{port}: Address already in use") as caught:
            await serve(app, "127.0.0.1", port, "memory://")
        assert "--port" in caught.value.hint


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no..host", 0), ("127.0.0.1", 70000), ("127.0.0.1", -1)])
def test_an_address_that_cannot_be_had_is_tl503(host: str, port: int) -> None:
    """Not of this machine, not resolvable, no port."""
    with pytest.raises(TurnlogError, match="TL503"):
        listen(host, port)


def test_a_url_names_where_it_listens() -> None:
    """IPv6 in brackets; localhost is an address."""
    with listen("127.0.0.1", 0) as four:
        assert url_of(four) == f"http://127.0.0.1:{four.getsockname()[1]}"
    if socket.has_ipv6:
        with listen("::1", 0) as six:
            assert url_of(six) == f"http://[::1]:{six.getsockname()[1]}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_sessions_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """The caller gets a close frame, serve returns, the log has its end, and the signal's handler is as before."""
    before = signal.getsignal(number)
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    url = f"sqlite:///{tmp_path / 'calls.db'}"
    settings = ServerSettings(keys=("k",), drain_s=0)
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, url, settings=settings, on_listening=listening.set_result))
    base = await listening
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{base}/healthz")).status_code == 200
    caller_url = f"{base.replace('http', 'ws')}/v1/realtime?model=hotel.mute"
    async with connect(caller_url, additional_headers={"X-API-Key": "k"}) as caller:
        assert json.loads(await caller.recv())["type"] == "session.created"
        os.kill(os.getpid(), number)
        with pytest.raises(ConnectionClosed):
            while True:
                await caller.recv()
        assert caller.close_reason == "engine_stopped"
    await serving
    assert signal.getsignal(number) is before
    store = await asyncio.to_thread(open_store, url)
    (row,) = await store.sessions()
    assert row.status == "ended" and (await store.verify(row.session)).ok
    await store.close()


@pytest.mark.parametrize("second", ["the caller hangs up", "SIGINT", "SIGTERM"])
async def test_sigterm_drains(tmp_path: Path, caplog: pytest.LogCaptureFixture, second: str) -> None:
    """Not ready, no new sessions by any way in; the running one goes on until it ends, or a second signal comes. No fault."""
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    url = f"sqlite:///{tmp_path / 'calls.db'}"
    settings = ServerSettings(drain_s=60)
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, url, settings=settings, on_listening=listening.set_result))
    base = await listening
    caller_url = f"{base.replace('http', 'ws')}/v1/realtime?model=hotel.mute"
    async with httpx.AsyncClient() as http, connect(caller_url) as caller:
        assert json.loads(await caller.recv())["type"] == "session.created"
        assert (await http.get(f"{base}/readyz")).json() == {"status": "ready"}
        os.kill(os.getpid(), signal.SIGTERM)
        while (ready := await http.get(f"{base}/readyz")).status_code == 200:
            pass
        assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
        with pytest.raises(InvalidStatus) as refused:
            await connect(caller_url)
        assert refused.value.response.status_code == 503 and b"TL508" in (refused.value.response.body or b"")
        started = await http.post(f"{base}/api/v1/session-targets/hotel.mute/start")
        assert (started.status_code, started.headers["Retry-After"]) == (503, "1")
        await caller.send(encode({"type": "conversation.item.create", "item": user_item("still there?")}))
        while json.loads(await caller.recv())["type"] != "conversation.item.done":
            pass
        if second.startswith("SIG"):
            os.kill(os.getpid(), signal.Signals[second])
            with pytest.raises(ConnectionClosed):
                await caller.recv()
            assert caller.close_code == 1001
    await asyncio.wait_for(serving, 30)
    assert caplog.text == ""
    await only_session_is(url, "ended")


async def test_a_drain_may_leave_what_outlasts_it(tmp_path: Path) -> None:
    """on_drain="keep": the caller is told 1012, and the log verifies and has no end."""
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    url = f"sqlite:///{tmp_path / 'calls.db'}"
    settings = ServerSettings(drain_s=0, on_drain="keep")
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, url, settings=settings, on_listening=listening.set_result))
    async with connect(f"{(await listening).replace('http', 'ws')}/v1/realtime?model=hotel.mute") as caller:
        assert json.loads(await caller.recv())["type"] == "session.created"
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            await caller.recv()
        assert (caller.close_code, caller.close_reason) == (1012, "engine_restarts")
    await asyncio.wait_for(serving, 30)
    await only_session_is(url, "active")


async def only_session_is(url: str, status: str) -> None:
    """The one session of the store has this status, and verifies."""
    store = await asyncio.to_thread(open_store, url)
    (row,) = await store.sessions()
    assert row.status == status and (await store.verify(row.session)).ok
    await store.close()


async def test_a_store_that_does_not_answer_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """readyz is 503 and says what fails; healthz stays 200, since a new start would mend nothing."""
    async with hosted(app, tmp_path) as server, httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.get("/readyz")).status_code == 200
        gone = await asyncio.to_thread(open_store, f"sqlite:///{tmp_path / 'other.db'}")
        await gone.close()
        (tmp_path / "other.db").unlink()
        with monkeypatch.context() as swapped:
            swapped.setattr(server.engine._kept, "store", gone)
            answer = await http.get("/readyz")
            assert (answer.status_code, answer.json()) == (503, {"status": "store"})
            assert (await http.get("/healthz")).status_code == 200


SCRIPT = """
import asyncio, sys, turnlog
from turnlog.server.serve import serve
app = turnlog.App("hotel")
@app.session("mute", provider="local", transport="in_process", modalities=["text"])
async def mute(session):
    async for _ in session.turns():
        pass
asyncio.run(serve(app, "127.0.0.1", 0, sys.argv[1], on_listening=lambda url: print(url, flush=True)))
print("served", flush=True)
"""


@pytest.mark.realtime
async def test_ctrl_c_ends_the_process_without_a_traceback(tmp_path: Path) -> None:
    """A process that serves a live call, SIGINT: exit code 0, the call ended and in the log, nothing on stderr."""
    store_url = f"sqlite:///{tmp_path / 'calls.db'}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", SCRIPT, store_url), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    base = (await process.stdout.readline()).decode().strip()
    async with connect(f"{base.replace('http', 'ws')}/v1/realtime?model=hotel.mute") as caller:
        await caller.send(encode({"type": "conversation.item.create", "item": user_item("hello")}))
        await caller.send(encode({"type": "response.create"}))
        while json.loads(await caller.recv())["type"] != "conversation.item.done":
            pass
        process.send_signal(signal.SIGINT)
        with pytest.raises(ConnectionClosed):
            while True:
                await caller.recv()
    out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"served\n", b"")
    store = await asyncio.to_thread(open_store, store_url)
    (row,) = await store.sessions(status="ended")
    assert (await store.verify(row.session)).ok
    await store.close()
