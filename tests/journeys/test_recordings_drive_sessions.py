"""Every recording of an OpenAI or Azure session, played by the scripted provider, drives a whole session.

The recorded client's side comes in through a caller's link, the recorded server's side is the provider; in between are the
engine, its log and a handler. Expected turns and tool calls are read from the recording's own JSON.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from turnlog import App, Engine, RealtimeSession, SessionTurn, replay
from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.core.errors import LinkClosed
from turnlog.core.ports import Link
from turnlog.transports.links.in_process import pair
from turnlog.transports.providers.scripted import ScriptedProvider, steps_from_recording

OWN = [  # a recording of says has a handler's client side, not a caller's
    path
    for path in sorted((Path(__file__).parent.parent / "recordings").glob("*.jsonl"))
    if "turnlog_say" not in path.read_text()
]
CAPTURES = sorted(Path(os.environ["TURNLOG_CAPTURES"], "openai").glob("*.jsonl")) if "TURNLOG_CAPTURES" in os.environ else []


class Recording(NamedTuple):
    """What a recording holds, read without turnlog's own code."""

    client: list[dict[str, Any]]  # what the caller sends: without configuration and tool outputs, which are the engine's
    tools: dict[str, list[str]]  # name -> parameter names, of those that are called
    calls: list[tuple[str, dict[str, Any]]]
    turns: list[str]
    text_only: bool
    responses: int
    begun: int
    greets: bool  # the provider confirms our configuration, so a conversation can begin


def read(path: Path) -> Recording:
    """Read a recording."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    client = [line["event"] for line in lines if line["dir"] == "client" and "event" in line]
    server = [line["event"] for line in lines if line["dir"] == "server" and "event" in line]
    updates = [event["session"] for event in client if event["type"] == "session.update"]
    calls = [
        (event["name"], json.loads(event["arguments"]))
        for event in server
        if event["type"] == "response.function_call_arguments.done"
    ]
    spoken = [
        event["transcript"].strip()
        for event in server
        if event["type"] == "conversation.item.input_audio_transcription.completed" and event["transcript"].strip()
    ]
    says, typed, pending, outputs = [], [], [], 0
    for event in client:
        item = event.get("item", {})
        if event["type"] == "session.update":
            continue
        if item.get("type") == "function_call_output":
            outputs += 1
            continue
        if event["type"] == "response.create" and outputs:
            outputs = 0  # the engine itself asks the model to go on after its tools
            continue
        if item.get("role") == "user":
            pending.append("".join(part.get("text", "") for part in item["content"]))
        elif item.get("role") == "assistant":
            pending = []
        elif event["type"] == "response.create" and pending:
            typed.append("\n".join(pending))
            pending = []
        says.append(event)
    modalities = updates[0].get("output_modalities", ["audio"]) if updates else ["audio"]
    return Recording(
        client=says,
        tools={name: list(arguments) for name, arguments in calls},
        calls=calls,
        turns=typed + spoken,
        text_only=modalities == ["text"],
        responses=sum(event["type"] == "response.done" for event in server),
        begun=sum(event["type"] == "response.created" for event in server),
        greets=any(event["type"] == "session.updated" for event in server),
    )


def app_for(recording: Recording, turns: list[SessionTurn], called: list[tuple[str, dict[str, Any]]]) -> App:
    """An application whose model answers, whose tools are those of the recording, and whose handler notes the turns."""
    app = App("recorded")
    for tool, names in recording.tools.items():

        def run(_name: str = tool, **given: Any) -> dict[str, Any]:
            called.append((_name, given))
            return {"ok": True}

        parameters = ", ".join(f"{name}: Any" for name in names)
        passed = ", ".join(f"{name}={name}" for name in names)
        scope: dict[str, Any] = {"run": run, "Any": Any}
        exec(f"async def {tool}({parameters}):\n    return run({passed})", scope)  # the names are the recording's
        app.tool(scope[tool])

    @app.session(
        "any",
        provider="scripted",
        transport="in_process",
        answers="model",
        modalities=["text"] if recording.text_only else ["audio", "text"],
        tools=list(recording.tools),
    )
    async def listen(session: RealtimeSession) -> None:
        turns.extend([turn async for turn in session.turns()])

    return app


def play(path: Path, folder: Path) -> ScriptedProvider:
    """The provider's script. A service does not wait for a tool's output, so outputs are expected where the next request is:
    the recorded client answered on the arguments, turnlog answers when the item is known to be whole."""
    held: list[str] = []
    lines: list[str] = []
    for line in path.read_text().splitlines():
        event = json.loads(line).get("event", {})
        if json.loads(line)["dir"] == "client" and event.get("item", {}).get("type") == "function_call_output":
            held.append(line)
            continue
        if event.get("type") == "response.create":
            lines += held
            held = []
        lines.append(line)
    script = folder / path.name
    script.write_text("\n".join(lines) + "\n")
    return ScriptedProvider(steps_from_recording(script), strict='"session.updated"' in script.read_text())


async def drain(link: Link, until: asyncio.Event, responses: int) -> list[dict[str, Any]]:
    """What the caller gets; `until` is set when this many responses are done."""
    got = []
    try:
        while True:
            event = json.loads(await link.receive())
            got.append(event)
            if sum(1 for one in got if one["type"] == "response.done") >= responses:
                until.set()
    except LinkClosed:
        return got


@pytest.mark.parametrize("path", [*OWN, *CAPTURES], ids=lambda path: path.stem)
async def test_a_recording_drives_a_session_to_its_turns_and_tool_calls(path: Path, tmp_path: Path) -> None:
    """Turns, tool calls and the caller's view are those of the recording; the log verifies and replays."""
    recording = read(path)
    provider = play(path, tmp_path)
    turns: list[SessionTurn] = []
    called: list[tuple[str, dict[str, Any]]] = []
    app = app_for(recording, turns, called)
    async with Engine(app, store="memory://", providers={"scripted": provider}) as engine:
        session = await engine.start("recorded.any")
        mine, theirs = pair()
        await engine.attach(session.id, theirs)
        all_done = asyncio.Event()
        caller = asyncio.create_task(drain(mine, all_done, recording.responses))
        for event in recording.client:
            mine.send(json.dumps(event).encode())
        if recording.greets:
            await asyncio.wait_for(all_done.wait(), 10)
        else:
            await asyncio.wait_for(provider_is_through(provider), 10)
        session.end(drain=False)
        await session.ended()
        got = await caller
        if recording.greets:
            provider.assert_complete()
        log = list(engine.store.scan(session.id))
        events = [decode(entry) for entry in log]
        assert (await engine.store.verify(session.id)).ok

    assert [turn.text for turn in turns] == recording.turns
    assert called == recording.calls
    requested = [event for event in events if isinstance(event, e.ToolRequested)]
    assert [(event.name, json.loads(event.arguments)) for event in requested] == recording.calls
    # A response that the recording leaves open is done for the caller when the session ends.
    assert sum(event["type"] == "response.done" for event in got) == max(recording.responses, recording.begun)
    handler = app.sessions["any"].handler
    assert replay(log, handler).complete


async def provider_is_through(provider: ScriptedProvider) -> None:
    """Wait until the script has sent everything."""
    while True:
        try:
            provider.assert_complete()
            return
        except Exception:
            await asyncio.sleep(0.01)
