"""The caller's faults, with a real client: an error event and the session goes on, or the connection is closed and told why."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

import turnlog
from tests.server.hosting import Hosted, encode, hosted, receive, user_item
from turnlog.core import events as e
from turnlog.server.settings import ServerSettings

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Greets, and says goodbye at the first turn."""
    await session.say("Front desk.")
    await session.input()
    await session.say("Goodbye.")


@app.session("mute", provider="local", transport="in_process")
async def mute(session: turnlog.RealtimeSession) -> None:
    """Hears and says nothing."""
    async for _ in session.turns():
        pass


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Hosted]:
    """The hotel, for messages up to 100 kB."""
    async with hosted(app, tmp_path, settings=ServerSettings(max_message_bytes=100_000)) as running:
        yield running


async def test_a_second_response_while_one_is_open_is_refused(server: Hosted) -> None:
    """conversation_already_has_active_response, with the event_id of the one that was refused."""
    async with connect(server.socket_url("hotel.mute")) as caller:
        await caller.send(encode({"type": "response.create"}))
        await caller.send(encode({"type": "response.create", "event_id": "evt_second"}))
        error = (await receive(caller, "error"))["error"]
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "evt_second")


_TRUNCATE = {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1}
FAULTS: list[tuple[str, str | None, dict[str, Any] | str]] = [
    ("response_cancel_not_active", None, {"type": "response.cancel"}),
    ("item_truncate_invalid_item_id", "item_id", _TRUNCATE),
    ("invalid_type", "audio_end_ms", {**_TRUNCATE, "audio_end_ms": 1.5}),
    ("item_playout_invalid_item_id", "item_id", {"type": "turnlog.playout", "item_id": "i", "played_ms": 1}),
    ("invalid_value", "type", {"type": "session.destroy"}),
    ("unknown_parameter", "session.colour", {"type": "session.update", "session": {"type": "realtime", "colour": "red"}}),
    ("missing_required_parameter", "session.type", {"type": "session.update", "session": {"output_modalities": ["text"]}}),
    ("invalid_value", "audio", {"type": "input_audio_buffer.append", "audio": "not base64!"}),
    ("input_audio_buffer_commit_empty", None, {"type": "input_audio_buffer.commit"}),
    ("invalid_json", None, '{"type": "response.create"'),
    ("invalid_json", None, "[]"),
    ("invalid_event", "type", {"kind": "response.create"}),
]


@pytest.mark.parametrize(("code", "param", "message"), FAULTS, ids=[f"{case[0]} {str(case[2])[:40]}" for case in FAULTS])
async def test_a_fault_is_answered_with_an_error_and_the_session_goes_on(
    server: Hosted, code: str, param: str | None, message: dict[str, Any] | str
) -> None:
    """The error names the case and echoes the event_id; a turn afterwards is answered."""
    event_id = None if isinstance(message, str) else "evt_mine"
    async with connect(server.socket_url()) as caller:
        await receive(caller, "response.done")
        await caller.send(message if isinstance(message, str) else encode({**message, "event_id": "evt_mine"}))
        error = (await receive(caller, "error"))["error"]
        assert (error["code"], error["param"], error["event_id"]) == (code, param, event_id)
        await caller.send(encode({"type": "conversation.item.create", "item": user_item("bye")}))
        await caller.send(encode({"type": "response.create"}))
        assert (await receive(caller, "response.output_text.done"))["text"] == "Goodbye."


async def test_a_message_too_large_closes_with_1009(server: Hosted) -> None:
    """The caller is told TL306; the log keeps why it went."""
    async with connect(server.socket_url("hotel.mute")) as caller:
        await receive(caller, "session.created")
        await caller.send(encode({"type": "input_audio_buffer.append", "audio": "A" * 100_000}))
        with pytest.raises(ConnectionClosedError) as caught:
            await receive(caller, "never")
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason[:5]) == (1009, "TL306")
    session = await server.only_session()
    assert (await server.ended(session)).reason == "caller_gone"
    (closed,) = [one for one in await server.events(session) if isinstance(one, e.LinkClosed) and one.link == "c1"]
    assert (closed.code, closed.reason[:5]) == (1009, "TL306")


async def test_a_message_far_too_large_ends_the_call_too(server: Hosted) -> None:
    """Beyond what the server reads at all the connection is cut; the log says 1009 and TL306 as well."""
    async with connect(server.socket_url("hotel.mute")) as caller:
        await receive(caller, "session.created")
        await caller.send("A" * 1_000_000)
        with pytest.raises(ConnectionClosed):
            await receive(caller, "never")
    session = await server.only_session()
    assert (await server.ended(session)).reason == "caller_gone"
    (closed,) = [one for one in await server.events(session) if isinstance(one, e.LinkClosed) and one.link == "c1"]
    assert (closed.code, closed.reason[:5]) == (1009, "TL306")


async def test_a_message_just_small_enough_passes(server: Hosted) -> None:
    """The maximum is what may come."""
    message = {"type": "conversation.item.create", "item": user_item("")}
    padding = 100_000 - len(encode(message))
    async with connect(server.socket_url("hotel.mute")) as caller:
        await caller.send(encode({**message, "item": user_item("A" * padding)}))
        await receive(caller, "conversation.item.done")


async def test_a_binary_message_closes_with_1003(server: Hosted) -> None:
    """Realtime is text."""
    async with connect(server.socket_url("hotel.mute")) as caller:
        await caller.send(b'{"type": "response.create"}')
        with pytest.raises(ConnectionClosedError) as caught:
            await receive(caller, "never")
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason[:5]) == (1003, "TL304")
    assert (await server.ended(await server.only_session())).reason == "caller_gone"
