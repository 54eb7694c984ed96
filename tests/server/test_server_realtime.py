"""Callers on live sessions: the official SDK by text, and every way in which a call can end.

`hosted` checks after each test that all sessions have ended, verify and replay, and that no task is left.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

import turnlog
from tests.server.hosting import Hosted, client_of, encode, hosted, receive, user_item
from turnlog.core import events as e

app = turnlog.App("hotel")


@app.tool
async def find_guest(name: str) -> dict[str, Any]:
    """A guest by name."""
    return {"name": name.title(), "room": len(name)}


@app.session("desk", provider="local", transport="in_process", tools=["find_guest"], instructions="You are a front desk.")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets, and answers every turn with two says around a call."""
    await session.say("Front desk.")
    async for turn in session.turns():
        if turn.text == "bye":
            await session.say("Goodbye.")
            return
        guest = await session.call("find_guest", name=turn.text)
        await session.say(f"Welcome, {guest['name']}.")
        await session.say(f"Your room is {guest['room']}.")


@app.session("mute", provider="local", transport="in_process")
async def mute(session: turnlog.RealtimeSession) -> None:
    """Hears and says nothing."""
    async for _ in session.turns():
        pass


@app.session("impatient", provider="local", transport="in_process", reattach_grace_s=0)
async def impatient(session: turnlog.RealtimeSession) -> None:
    """Waits for nobody who has dropped."""
    await session.say("Yes?")
    async for _ in session.turns():
        pass


@app.session("broken", provider="local", transport="in_process")
async def broken(session: turnlog.RealtimeSession) -> None:
    """Raises at the first turn."""
    async for turn in session.turns():
        raise ValueError(f"no such room: {turn.text}")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Hosted]:
    """The hotel."""
    async with hosted(app, tmp_path) as running:
        yield running


async def until(connection: AsyncRealtimeConnection, kind: str) -> Any:
    """The next event of a type; an error on the way fails the test."""
    async for event in connection:
        if event.type == kind:
            return event
        assert event.type != "error", event
    raise AssertionError(f"the connection ended before {kind}")


async def answers(connection: AsyncRealtimeConnection, count: int) -> list[Any]:
    """The next responses that are done."""
    return [(await until(connection, "response.done")).response for _ in range(count)]


def words(response: Any) -> str:
    """The text of a response's one message."""
    (item,) = response.output
    (part,) = item.content
    text: str = part.text
    return text


# --- the official SDK, by text ---


async def test_the_greeting_comes_before_any_input(server: Hosted) -> None:
    """session.created first; then the handler's own say as a response nobody asked for: metadata null."""
    async with client_of(server).realtime.connect(model="hotel.desk") as connection:
        created = await connection.recv()
        assert created.type == "session.created"
        (greeting,) = await answers(connection, 1)
    assert (words(greeting), greeting.metadata, greeting.status) == ("Front desk.", None, "completed")


async def test_a_typed_turn_is_answered_by_the_handler(server: Hosted) -> None:
    """item.create and response.create make a turn; its first say answers with their metadata, the second comes unasked."""
    async with client_of(server).realtime.connect(model="hotel.desk") as connection:
        await answers(connection, 1)
        await connection.conversation.item.create(item=user_item("ann"))
        await connection.response.create(response={"metadata": {"form": "7"}})
        first, second = await answers(connection, 2)
        assert (words(first), first.metadata) == ("Welcome, Ann.", {"form": "7"})
        assert (words(second), second.metadata) == ("Your room is 3.", None)
    log = await server.events(await server.only_session())
    assert [one.text for one in log if isinstance(one, e.TurnEnded)] == ["ann"]


async def test_items_since_the_last_answer_are_one_turn(server: Hosted) -> None:
    """Seeding makes no turn by itself; what was typed before one response.create is one."""
    async with client_of(server).realtime.connect(model="hotel.desk") as connection:
        await answers(connection, 1)
        for text in ("ann", "lee"):
            await connection.conversation.item.create(item=user_item(text))
            await until(connection, "conversation.item.done")
        await connection.response.create()
        assert words((await answers(connection, 2))[0]) == "Welcome, Ann\nLee."


async def test_a_session_update_is_answered_with_the_merged_session(server: Hosted) -> None:
    """The whole session comes back: what was declared, under what the caller set."""
    async with client_of(server).realtime.connect(model="hotel.desk") as connection:
        created: Any = await until(connection, "session.created")
        await answers(connection, 1)
        assert created.session.audio.input.turn_detection.silence_duration_ms == 500
        turn_detection: Any = {"type": "server_vad", "silence_duration_ms": 800}
        await connection.session.update(
            session={"type": "realtime", "output_modalities": ["text"], "audio": {"input": {"turn_detection": turn_detection}}}
        )
        updated = (await until(connection, "session.updated")).session
        assert updated.output_modalities == ["text"]
        assert updated.audio.input.turn_detection.silence_duration_ms == 800
        assert updated.audio.input.turn_detection.threshold == 0.5
        assert updated.audio.input.format.rate == 24000


async def test_the_handlers_end_closes_the_socket_with_1000_and_the_reason(server: Hosted) -> None:
    """What was said is heard first."""
    async with connect(server.socket_url()) as caller:
        await caller.send(encode({"type": "conversation.item.create", "item": user_item("bye")}))
        await caller.send(encode({"type": "response.create"}))
        said = [json.loads(raw) async for raw in caller]
        assert [one["text"] for one in said if one["type"] == "response.output_text.done"] == ["Front desk.", "Goodbye."]
        assert (caller.close_code, caller.close_reason) == (1000, "completed")
    assert (await server.ended(await server.only_session())).reason == "completed"


async def test_two_callers_have_two_sessions(server: Hosted) -> None:
    """Each hears the answers to its own words."""

    async def call(name: str) -> list[str]:
        async with client_of(server).realtime.connect(model="hotel.desk") as connection:
            heard = await answers(connection, 1)
            for _ in range(3):
                await connection.conversation.item.create(item=user_item(name))
                await connection.response.create()
                heard += await answers(connection, 2)
            return [words(response) for response in heard]

    ann, bob = await asyncio.gather(call("ann"), call("bobby"))
    assert ann == ["Front desk.", *["Welcome, Ann.", "Your room is 3."] * 3]
    assert bob == ["Front desk.", *["Welcome, Bobby.", "Your room is 5."] * 3]
    assert len(await server.store.sessions()) == 2


# --- ends ---


LOST = "the connection was lost"
HOW = [(1000, "thank you", "caller_gone"), (1001, "leaving the page", "caller_lost"), (1006, LOST, "caller_lost")]


@pytest.mark.parametrize(("code", "reason", "end"), HOW)
async def test_a_caller_that_goes_ends_the_session(server: Hosted, code: int, reason: str, end: str) -> None:
    """In order as caller_gone; who drops, by its close code or as its connection is cut, is lost when its grace is over."""
    async with connect(server.socket_url("hotel.impatient")) as caller:
        await receive(caller, "response.done")
        if code == 1006:
            caller.transport.abort()
        else:
            await caller.close(code, reason)
    session = await server.only_session()
    assert (await server.ended(session)).reason == end
    (closed,) = [one for one in await server.events(session) if isinstance(one, e.LinkClosed) and one.link == "c1"]
    assert (closed.code, closed.reason) == (code, reason)


async def test_a_caller_that_goes_before_the_upgrade_leaves_no_session_behind(server: Hosted) -> None:
    """The session that was started for it ends as caller_gone."""
    host, port = server.url.removeprefix("http://").split(":")
    request = "GET /v1/realtime?model=hotel.desk HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"
    keys = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13"
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write("\r\n".join((*request, *keys, "", "")).encode())
    await writer.drain()
    writer.transport.abort()
    async with asyncio.timeout(5):
        while not await server.store.sessions():  # noqa: ASYNC110 # a store tells nobody of a new session
            await asyncio.sleep(0.01)
    assert (await server.ended(await server.only_session())).reason == "caller_gone"


async def test_a_handler_that_raises_closes_the_socket_with_1011(server: Hosted) -> None:
    """The session ends handler_failed with TL106 and what was raised; the caller learns the reason, not the details."""
    async with connect(server.socket_url("hotel.broken")) as caller:
        await caller.send(encode({"type": "conversation.item.create", "item": user_item("99")}))
        await caller.send(encode({"type": "response.create"}))
        with pytest.raises(ConnectionClosedError) as caught:
            await receive(caller, "never")
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1011, "handler_failed")
    ended = await server.ended(await server.only_session())
    assert (ended.reason, ended.code, ended.detail) == ("handler_failed", "TL106", "ValueError: no such room: 99")


async def test_a_server_that_stops_ends_its_sessions_in_order(server: Hosted) -> None:
    """Every caller gets a close frame with the reason, and every log its end."""
    async with connect(server.socket_url()) as one, connect(server.socket_url("hotel.mute")) as other:
        await receive(one, "response.done")
        await receive(other, "session.created")
        server.stop.set()
        for caller in (one, other):
            with pytest.raises(ConnectionClosedOK):
                await receive(caller, "never")
            assert (caller.close_code, caller.close_reason) == (1001, "engine_stopped")
    for row in await server.store.sessions():
        assert (await server.ended(row.session)).reason == "engine_stopped"
