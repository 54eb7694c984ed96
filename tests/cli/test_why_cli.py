"""`turnlog why`, `chain`, `state`, `tail` and show's filters, on sessions that a real engine ran."""

import asyncio
import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.cli.commands import ROOT, Command, Typed
from tests.engine.living import PATIENCE_S, Caller, Speaker, app_of
from turnlog.cli.main import cli
from turnlog.core import events as e
from turnlog.core.events import WIRE_TYPES
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.store.open import open_store

TOOL_S = 0.3


async def desk(session: RealtimeSession) -> None:
    """Look a guest up, slowly, answer at length, listen on."""
    async for turn in session.turns():
        guest = await session.call("find_guest", name=turn.text)
        await session.say(f"Room {guest['room']} is what you are looking for")


async def find_guest(name: str) -> dict[str, int]:
    """A slow lookup."""
    await asyncio.sleep(TOOL_S)
    return {"room": 12}


async def hold(path: Path) -> None:
    """A spoken turn, a slow tool, and a caller who hangs up half a second into an answer of four."""
    app = app_of(desk, {"find_guest": find_guest}, turn_detection={"type": "server_vad", "silence_duration_ms": 200})
    provider = Speaker(ms=4_000)
    async with Engine(app, store=str(path), providers={"scripted": provider}) as engine:
        session = await engine.start("hotel.desk")
        caller = Caller()
        await engine.attach(session.id, caller.theirs)
        await caller.until("session.created")
        await provider.until("session.update")
        caller.append(600)
        await provider.until("input_audio_buffer.append")
        provider.hear("Ms Ito", "item_1")
        await caller.until("response.output_audio.delta")
        await asyncio.sleep(0.5)  # what is measured: how long the answer was heard
        await caller.hang_up()
        async with asyncio.timeout(PATIENCE_S):
            await session.ended()


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of that call."""
    path = tmp_path_factory.mktemp("calls") / "calls.db"
    asyncio.run(hold(path))
    return path


def ask(calls: Path, *words: str) -> Result:
    """The command in this process; it must succeed."""
    done = CliRunner().invoke(cli, [words[0], "last", *words[1:], "--db", str(calls)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def told(calls: Path, *words: str) -> list[dict[str, Any]]:
    """What a command prints with --json."""
    return [json.loads(line) for line in ask(calls, *words, "--json").output.splitlines()]


def place(calls: Path, kind: str) -> int:
    """The number of the first event of a type."""
    seq: int = told(calls, "show", "--type", kind)[0]["seq"]
    return seq


# --- why ---


def test_a_slow_tool_is_named_while_it_runs(calls: Path) -> None:
    """In the middle of it, by the clock: the tool, its line, its age."""
    started = told(calls, "show", "--type", "CallRequested")[0]["ms"] / 1e3
    (answer,) = told(calls, "why", "--silent", f"{started + 0.2:.3f}s")
    assert (answer["question"], answer["name"], answer["owner"]) == ("silent", "tool", "tool")
    assert 190 <= answer["age_ms"] <= 200
    file, line = answer["site"]
    assert Path(file).name == "test_why_cli.py"
    assert "session.call(" in Path(__file__).read_text().splitlines()[line - 1]
    text = ask(calls, "why", "--silent", f"{started + 0.2:.3f}s").output
    assert "the tool find_guest has not returned" in text and f"the handler waits at test_why_cli.py:{line}" in text


def test_a_late_answer_is_cut_into_its_stretches(calls: Path) -> None:
    """The tool's time is the tool's; the parts add up; the voice ended on the input's timeline."""
    (answer,) = told(calls, "why", "--late")
    assert (answer["turn"], answer["ended_by"], answer["unexplained_ms"]) == (1, "AudioStarted", 0)
    assert sum(one["ms"] for one in answer["stretches"]) == answer["gap_ms"]
    (tool,) = [one for one in answer["stretches"] if one["name"] == "call"]
    assert tool["about"] == "find_guest"
    assert TOOL_S * 1_000 <= tool["ms"] <= answer["gap_ms"]
    assert answer["basis"] == "input timeline"
    assert answer == told(calls, "why", "--late", "1")[0] == told(calls, "why", str(place(calls, "TurnEnded")))[0]


def test_a_say_that_was_cut_off_is_laid_to_the_caller(calls: Path) -> None:
    """The chain from the outcome to the caller's link, and the words that were not heard."""
    (answer,) = told(calls, "why", str(place(calls, "SaySettled")))
    assert (answer["question"], answer["status"], answer["code"], answer["outside"]) == (
        "stopped", "interrupted", "caller_gone", "host",
    )  # fmt: skip
    assert [step["type"] for step in answer["chain"]][-2:] == ["CallersGone", "LinkClosed"]
    assert 450 <= answer["heard_ms"] < 4_000
    assert answer["unheard_text"] and answer["text"].endswith(answer["unheard_text"])


def test_a_say_is_told_with_what_it_rests_on(calls: Path) -> None:
    """Its turn and the tool's result."""
    (answer,) = told(calls, "why", str(place(calls, "SayRequested")))
    assert [turn["text"] for turn in answer["turns"]] == ["Ms Ito"]
    assert [(call["name"], call["kwargs"], call["result"]) for call in answer["calls"]] == [
        ("find_guest", {"name": "Ms Ito"}, {"room": 12})
    ]
    text = ask(calls, "why", str(place(calls, "SayRequested"))).output
    assert "and find_guest(name='Ms Ito') = {'room': 12}" in text


def test_any_other_event_is_told_by_its_causes(calls: Path) -> None:
    """Back to what came from outside."""
    (answer,) = told(calls, "why", str(place(calls, "SessionEnded")))
    assert answer["question"] == "causes"
    assert answer["chain"][-1]["root"] in {root.name.lower() for root in e.Root}
    assert "from outside: " in ask(calls, "why", str(place(calls, "SessionEnded"))).output


def test_every_event_can_be_asked_about(calls: Path) -> None:
    """Each number of the log has an answer that fits 100 columns."""
    last = told(calls, "show", "--wire")[-1]["seq"]
    for seq in range(1, last + 1):
        output = ask(calls, "why", str(seq)).output
        assert output and max(map(len, output.splitlines())) <= 100


@pytest.mark.parametrize("words", [[], ["3", "--late"], ["--late", "x"], ["--silent", "noon"], ["--silent", "infs"]])
def test_a_question_that_is_none_is_a_usage_error(calls: Path, words: list[str]) -> None:
    """Exit code 2, and what to ask instead."""
    done = ask(calls, "why", *words)
    assert done.exit_code == 2
    assert "Error: " in done.output


def test_a_place_that_is_not_there_is_an_error(typed: Typed) -> None:
    """TL418 and exit code 1."""
    done = typed.command.run("why", "last", "99999", "--db", "out/demo.db")
    assert done.returncode == 1
    assert done.stderr.startswith("error TL418: no event 99999 in this log: it holds 1 to ")


# --- chain and state ---


def test_a_chain_shows_causes_above_and_effects_below(calls: Path) -> None:
    """From the wire to the tool and the say that followed from the turn."""
    turn = place(calls, "TurnEnded")
    (answer,) = told(calls, "chain", str(turn))
    assert answer["causes"][-1]["cause"] == "wire"
    below = [one["type"] for one in answer["effects"]]
    assert below[:2] == ["CallRequested", "CallCompleted"] and "SayDispatched" in below
    lines = ask(calls, "chain", str(turn), "--depth", "1").output.splitlines()
    assert lines[0] == "(from outside: wire)"
    assert "CallRequested" in lines[-1] and max(map(len, lines)) <= 100


def test_the_state_of_a_place(calls: Path) -> None:
    """What the handler waited for then, as text and as JSON."""
    seq = place(calls, "CallRequested")
    (seen,) = told(calls, "state", "--at", str(seq))
    assert (seen["seq"], seen["waiting_for"]["name"]) == (seq, "tool")
    text = ask(calls, "state", "--at", str(seq)).output
    assert "find_guest" in text and str(seq) in text.splitlines()[0] and "Ms Ito" in text
    assert max(map(len, text.splitlines())) <= 100


# --- show ---


@pytest.mark.parametrize("side", ["provider", "caller", "handler"])
def test_a_side_is_shown_alone(calls: Path, side: str) -> None:
    """Every link's messages are of one side; the sides have nothing in common."""
    shown = told(calls, "show", "--side", side, "--wire")
    links = {one["event"]["link"][0] for one in shown if one["event"].get("link")}
    assert links <= {side[0]}
    assert all("index" in one["event"] for one in shown) == (side == "handler")
    assert ("TransportSent" in {one["type"] for one in shown}) == (side != "handler")


def test_types_and_places_narrow_what_is_shown(calls: Path) -> None:
    """In any case of letters; a type of the wire needs no --wire; an unknown one is pointed to its like."""
    shown = told(calls, "show", "--type", "saysettled", "--type", "MediaRecorded")
    assert {one["type"] for one in shown} == {"SaySettled", "MediaRecorded"}
    seqs = [one["seq"] for one in told(calls, "show", "--wire", "--since", "5", "--until", "9")]
    assert seqs == [5, 6, 7, 8, 9]
    done = ask(calls, "show", "--type", "SayEnded")
    assert done.exit_code == 2 and "did you mean" in done.output


def test_what_is_not_shown_is_counted(calls: Path) -> None:
    """The events of the wire that were passed over, in a part as in the whole."""
    every = told(calls, "show", "--wire")
    hidden = sum(one["type"] in WIRE_TYPES for one in every)
    assert f"({hidden} events of the wire are not shown" in ask(calls, "show").output
    part = sum(one["type"] in WIRE_TYPES for one in every[9:30])
    assert f"({part} events" in ask(calls, "show", "--since", "10", "--until", "30").output


# --- while it happens ---


async def test_a_live_silence_is_explained(tmp_path: Path) -> None:
    """A provider that does not answer is named now, beside the process that waits for it."""

    async def greet(session: RealtimeSession) -> None:
        await (await session.say("Hello there")).settled()

    provider, path = Speaker(), tmp_path / "calls.db"
    provider.may_answer.clear()
    async with Engine(app_of(greet), store=str(path), providers={"scripted": provider}) as engine:
        session = await engine.start("hotel.desk")
        caller = Caller()
        await engine.attach(session.id, caller.theirs)
        await provider.until("response.create")
        (answer,) = await asyncio.to_thread(told, path, "why", "--silent", "now")
        provider.may_answer.set()
        await session.ended()
    assert (answer["name"], answer["owner"]) == ("provider_response", "provider")
    assert '"Hello there" was asked for (attempt 1)' in answer["what"]


async def test_a_live_session_is_followed_to_its_end(tmp_path: Path) -> None:
    """Beside the process that owns the file: what there is, then what comes, then the end; each event once."""

    async def silent(session: RealtimeSession) -> None:
        async for _ in session.turns():
            pass

    command = Command(tmp_path)
    async with Engine(app_of(silent), store=str(tmp_path / "calls.db"), providers={"scripted": Speaker()}) as engine:
        session = await engine.start("hotel.desk")
        caller = Caller()
        await engine.attach(session.id, caller.theirs)
        words = [sys.executable, "-m", "turnlog", "tail", "last", "--json", "--wire", "--db", "calls.db"]
        process = await asyncio.create_subprocess_exec(
            *words, cwd=tmp_path, env=command.environment(), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        seen: list[dict[str, Any]] = []
        async with asyncio.timeout(3 * PATIENCE_S):
            while not seen or seen[-1]["type"] != "LinkReady":
                seen.append(json.loads(await process.stdout.readline()))
            caller.type("hello")
            while seen[-1]["type"] != "TurnEnded":
                seen.append(json.loads(await process.stdout.readline()))
            session.end("enough")
            seen += [json.loads(line) async for line in process.stdout]
            assert await process.wait() == 0
    assert [one["seq"] for one in seen] == list(range(1, len(seen) + 1))
    assert seen[-1]["type"] == "SessionEnded"


def test_an_ended_session_is_shown_and_left(calls: Path) -> None:
    """As show does, with its filters."""
    began = time.monotonic()
    assert told(calls, "tail", "--side", "handler") == told(calls, "show", "--side", "handler")
    assert "SessionEnded" in ask(calls, "tail").output.splitlines()[-1]
    assert time.monotonic() - began < PATIENCE_S


# --- the page that tells how ---


def commands() -> Iterator[str]:
    """The commands of the page's shell blocks."""
    blocks = (ROOT / "docs/howto/debug-a-call.md").read_text().split("```sh\n")[1:]
    for block in blocks:
        yield from block.split("```")[0].splitlines()


def test_the_commands_of_the_page_run(typed: Typed) -> None:
    """Each as it stands, on the log of the typed demo."""
    environment, *lines = commands()
    assert len(lines) > 15
    name, _, value = environment.removeprefix("export ").partition("=")
    for line in lines:
        done = typed.command.run(*shlex.split(line)[1:], **{name: value})
        assert (done.returncode, done.stderr) == (0, ""), line
        assert done.stdout


def test_the_engine_has_kept_what_was_asked_about(calls: Path) -> None:
    """The store verifies: the answers rest on a sound log."""
    store = open_store(calls, read_only=True)

    async def verify() -> bool:
        (row,) = await store.sessions()
        return (await store.verify(row.session)).ok

    assert asyncio.run(verify())
