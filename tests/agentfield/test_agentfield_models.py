"""What a handler asks of its agent, each way that the SDK has: in the log, given back of the SDK's classes, asked once."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnlog.core import events as e
from turnlog.core.errors import HandlerError
from turnlog.engine.agentfield.answers import given_back, kept
from turnlog.engine.loading import load_app, load_handler
from turnlog.engine.offline.replay import replay
from turnlog.testing.kit import Kit


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the agent, imported anew."""
    pytest.importorskip("agentfield", reason="AgentField's SDK has no release for this Python")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    sys.modules.pop("agentfield_studio", None)
    app = load_app("agentfield_studio:app")
    module = sys.modules["agentfield_studio"]
    module.adapted = app  # type: ignore[attr-defined] # for the tests
    yield module
    del sys.modules["agentfield_studio"]


def test_each_way_to_ask_is_in_the_log_and_a_replay_asks_nobody(studio: Any, turnlog: Kit) -> None:
    """Streams item by item, responses and results of the SDK's own classes, calls, notes: the same in a replay, unasked."""

    async def script(call: Any) -> None:
        await call.caller.says("hello")
        await call.caller.hears("One two three")
        await call.caller.hears("Yes")
        await call.ended()

    call = turnlog.run(studio.adapted, "studio.desk", script)
    asked = list(studio.asked)
    assert [one for one in asked if not one.startswith(("piece", "closed"))] == [
        *("ai hello", "ai left", "ai broken", "ai Well?", "audio", "vision", "harness", "multimodal"),
        *("note so far ['test']", "note fails None", "double", "double", "double", "double"),
        *("double", "planned"),
    ]
    assert asked.count("closed") == 3  # one was left, one broke
    assert [event.command.name for event in call.of(e.StreamRequested)] == ["agentfield:app.ai"] * 3
    steps = [event.command.name.removeprefix("agentfield:app.") for event in call.of(e.StepRequested)]
    assert steps == ["ai", "ai_with_audio", "ai_with_vision", "harness", "ai_with_multimodal", "note", "note"]
    called = [event.command.target.removeprefix("studio.") for event in call.of(e.CallRequested)]
    assert called == ["double"] * 5 + ["planned"]
    assert [event.command.metadata for event in call.of(e.SayRequested)] == [{}, {"tone": "dry"}]

    half = len(studio.seen) // 2  # the call's end has replayed it once
    assert [str(one) for one in studio.seen[:half]] == [str(one) for one in studio.seen[half:]]
    broken, words, media, plan, local, named, direct, *refused, mesh = studio.seen[:half]
    assert (broken, mesh) == ("ConnectionError", "mesh")
    assert words == (studio.MultimodalResponse, "Yes.", 0.5, {"total_tokens": 3}, "Both.")
    assert media == (b"\0\1", "https://x.example/cat.png", "A cat.")
    assert plan == (studio.HarnessResult, "NONE", True, [{"role": "user"}])
    assert direct == ({"number": 12}, True)
    assert (local, named) == (({"number": 8}, {"number": 10}), ({"number": 2}, {"number": 4}, None))
    assert [(type(one), one.code) for one in refused] == [(HandlerError, "TL112")] * 3
    assert "session.signal" in refused[0].hint and "app.discover()" in str(refused[2])

    started = call.of(e.SessionStarted)[0]
    assert replay(call.log, load_handler(started.handler)).complete
    assert studio.asked == asked


def test_outside_of_a_handler_each_is_the_sdks_own(studio: Any) -> None:
    """A stream is the model's, a response what the model made, a note goes out, and nothing is refused here."""

    async def outside() -> None:
        stream = await studio.app.ai(user="x", stream=True)
        assert [piece.choices[0].delta.content async for piece in stream] == ["One", " two", None, " three."]
        assert (await studio.app.ai_with_audio("Hum")).audio.format == "wav"
        assert await studio.app.call_local("double", 4) == {"number": 8}
        assert await studio.double(4) == {"number": 8}
        studio.app.note("outside")
        assert studio.asked[-1] == "note outside None"
        with pytest.raises(Exception, match="not serving"):
            await studio.app.pause("approval_1", execution_id="exec_1")

    asyncio.run(outside())


def test_an_answer_of_an_earlier_version_is_given_as_it_was_kept() -> None:
    """Logs that hold the text of a response alone replay as they were recorded; plain values stay what they are."""
    for answer in ("Yes.", {"a": 1}, None, [1]):
        assert given_back(answer) == answer == kept(answer)
