"""The scripted provider: scripts followed over both transports, what it refuses, and scripts made from recordings."""

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from turnlog.core.definition import SessionDefinition
from turnlog.core.errors import LinkClosed, LinkError, ProtocolError
from turnlog.core.ports import Link
from turnlog.transports.providers.scripted import (
    Emit,
    Expect,
    ScriptedProvider,
    Step,
    allow,
    close,
    emit,
    expect,
    steps_from_recording,
)

FOLDERS = [Path(__file__).parents[1] / "recordings"]
if "TURNLOG_CAPTURES" in os.environ:
    FOLDERS.append(Path(os.environ["TURNLOG_CAPTURES"], "openai"))
RECORDINGS = [path for folder in FOLDERS for path in sorted(folder.glob("*.jsonl"))]


def definition(transport: str) -> SessionDefinition:
    """A session on the scripted provider."""
    return SessionDefinition(name="s", provider="scripted", transport=transport)


@asynccontextmanager
async def playing(provider: ScriptedProvider, transport: str = "in_process") -> AsyncIterator[Link]:
    """A link on which the script is played."""
    if transport == "websocket":
        async with provider.serve():
            link = await provider.connect(definition(transport), "sess_1")
            yield link
            await link.close()
    else:
        link = await provider.connect(definition(transport), "sess_1")
        yield link
        await link.close()


def message(type_: str, **fields: Any) -> bytes:
    """An event as bytes."""
    return json.dumps({"type": type_, **fields}).encode()


async def type_of(link: Link) -> str:
    """The type of the next message."""
    return str(json.loads(await link.receive())["type"])


@pytest.mark.parametrize("transport", ["in_process", "websocket"])
async def test_a_script_is_followed(transport: str) -> None:
    """Expected messages are answered, raw text goes out as it is, and a function sees the message it answers."""
    provider = ScriptedProvider(
        [
            emit('{"type":"session.created",  "session":{}}'),
            expect("response.create"),
            emit(lambda create: {"type": "response.created", "response": {"metadata": create["response"]["metadata"]}}),
            expect(lambda event: event["type"] == "response.cancel"),
            emit({"type": "response.done"}),
        ]
    )
    async with playing(provider, transport) as link:
        assert await link.receive() == b'{"type":"session.created",  "session":{}}'
        link.send(message("response.create", response={"metadata": {"turnlog_say": "say_7"}}))
        assert json.loads(await link.receive())["response"]["metadata"] == {"turnlog_say": "say_7"}
        link.send(message("response.cancel"))
        assert await type_of(link) == "response.done"
        provider.assert_complete()


@pytest.mark.parametrize("transport", ["in_process", "websocket"])
async def test_an_unexpected_message_fails(transport: str) -> None:
    """Strict: the link closes, and assert_complete names the step, what it expects and what came."""
    provider = ScriptedProvider([expect("session.update"), emit({"type": "session.updated"})])
    async with playing(provider, transport) as link:
        link.send(message("response.create"))
        with pytest.raises(LinkClosed, match="TL309") as closed:
            await link.receive()
    assert closed.value.close_code == 1008
    with pytest.raises(ProtocolError) as caught:
        provider.assert_complete()
    assert caught.value.code == "TL309"
    assert 'step 1 of 2 expects session.update; the client sent {"type": "response.create"}' in str(caught.value)


async def test_a_message_after_the_last_step_fails() -> None:
    """A script that is over expects nothing more."""
    provider = ScriptedProvider([expect("session.update")])
    async with playing(provider) as link:
        link.send(message("session.update"))
        link.send(message("response.create"))
        with pytest.raises(LinkClosed):
            await link.receive()
    with pytest.raises(ProtocolError, match="the script is over"):
        provider.assert_complete()


async def test_steps_left_over_fail() -> None:
    """assert_complete names the step that the client never reached."""
    provider = ScriptedProvider([expect("session.update"), expect("response.create")])
    async with playing(provider) as link:
        link.send(message("session.update"))
    with pytest.raises(ProtocolError, match=r"stopped at step 2 of 2: expect response\.create"):
        provider.assert_complete()


async def test_repeated_messages_pass_from_then_on() -> None:
    """One append is waited for; any number of them, and of what is allowed, may come at any later step."""
    append, clear = message("input_audio_buffer.append", audio=""), message("input_audio_buffer.clear")
    provider = ScriptedProvider(
        [
            allow("input_audio_buffer.clear"),
            expect("input_audio_buffer.append", repeated=True),
            emit({"type": "heard"}),
            expect("response.create"),
            emit({"type": "response.created"}),
            allow("nothing.of.this"),
        ]
    )
    async with playing(provider) as link:
        for sent in (clear, append, append, append, clear, message("response.create"), append):
            link.send(sent)
        assert (await type_of(link), await type_of(link)) == ("heard", "response.created")
    provider.assert_complete()


async def test_lenient_scripts_ignore_what_they_do_not_expect() -> None:
    """strict=False waits for the expected message and lets all others pass."""
    provider = ScriptedProvider([expect("response.create"), emit({"type": "response.created"})], strict=False)
    async with playing(provider) as link:
        link.send(message("session.update"))
        link.send(message("response.create"))
        assert await type_of(link) == "response.created"
    provider.assert_complete()


async def test_a_script_goes_on_with_the_next_link() -> None:
    """A close step ends one link with its code and reason; the next link plays what stands behind it."""
    provider = ScriptedProvider([emit({"type": "one"}), close(1001, "session_expired"), emit({"type": "two"})])
    async with playing(provider) as link:
        assert await type_of(link) == "one"
        with pytest.raises(LinkClosed, match="session_expired") as caught:
            await link.receive()
        assert caught.value.close_code == 1001
    async with playing(provider) as link:
        assert await type_of(link) == "two"
    provider.assert_complete()


async def test_broken_json_fails() -> None:
    """A client that sends no JSON is told by assert_complete."""
    provider = ScriptedProvider([expect("session.update")])
    async with playing(provider) as link:
        link.send(b"{nope")
        with pytest.raises(LinkClosed):
            await link.receive()
    with pytest.raises(ProtocolError, match=r"TL304 the client sent \{nope"):
        provider.assert_complete()


async def test_websocket_needs_serve() -> None:
    """Without its server the scripted provider cannot be dialled, and says what to do."""
    with pytest.raises(LinkError, match=r"serve\(\)"):
        await ScriptedProvider([]).connect(definition("websocket"), "sess_1")


async def test_the_openai_sdk_plays_a_script() -> None:
    """The official client reads the served script as it would read the service."""
    provider = ScriptedProvider([emit({"type": "session.created", "event_id": "e", "session": {"type": "realtime"}})])
    async with provider.serve() as base, AsyncOpenAI(api_key="x", websocket_base_url=base) as client:
        async with client.realtime.connect(model="gpt-realtime") as connection:
            assert (await connection.recv()).type == "session.created"
    provider.assert_complete()


def recorded(path: Path) -> list[dict[str, Any]]:
    """The lines of a recording."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
async def test_recordings_become_scripts(path: Path) -> None:
    """A client that sends the recorded messages gets every recorded server event, equal and in order."""
    lines = recorded(path)
    steps = steps_from_recording(path)
    provider = ScriptedProvider(steps)
    async with playing(provider) as link:
        for line in lines:
            if line.get("event") is not None and line["dir"] == "client":
                link.send(json.dumps(line["event"]).encode())
        for line in lines:
            if line.get("event") is not None and line["dir"] == "server":
                assert json.loads(await link.receive()) == line["event"]
    provider.assert_complete()
    appends = [step for step in steps if isinstance(step, Expect) and step.match == "input_audio_buffer.append"]
    assert len(appends) <= 1
    only_server = steps_from_recording(path, client=False)
    assert [step for step in steps if isinstance(step, Emit)] == [step for step in only_server if isinstance(step, Emit)]
    assert not any(isinstance(step, Expect) for step in only_server)


def test_a_recording_with_a_close(tmp_path: Path) -> None:
    """A recorded close becomes a step; an unreadable line is named by file and number."""
    path = tmp_path / "r.jsonl"
    path.write_text('{"dir":"server","close":{"code":1001,"reason":"bye","ok":true}}\n')
    assert steps_from_recording(path) == [close(1001, "bye")]
    path.write_text('{"dir":"server","event":{}}\n{"dir":"up"}\n')
    with pytest.raises(ProtocolError, match=r"r\.jsonl:2"):
        steps_from_recording(path)


def described(make: Callable[[], Step]) -> str:
    """What assert_complete says of a single step that was never reached."""
    with pytest.raises(ProtocolError) as caught:
        ScriptedProvider([make()]).assert_complete()
    return caught.value.message


def test_every_kind_of_step_is_named() -> None:
    """The error of an incomplete script shows the step as it was written."""
    assert described(lambda: expect("x")).endswith("expect x")
    assert described(lambda: emit("{}" * 1000)).endswith("… (2000 bytes)")
    assert described(lambda: emit({"type": "a"})).endswith("emit {'type': 'a'}")
    assert described(lambda: close(4000)).endswith("close 4000")
