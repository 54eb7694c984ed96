"""The commands on a recorded call in which both sides speak at once: what was cut by whom, held, echoed, taken over."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from turnlog.cli.main import cli

TALK = Path(__file__).parents[1] / "golden" / "v0_1_talk"


def ask(command: str, call: str, *words: str) -> str:
    """What the command prints about a recorded call; it must succeed."""
    done = CliRunner().invoke(cli, [command, str(TALK / f"{call}.turnlog"), *words])
    assert done.exit_code == 0, done.output
    return done.output


def told(command: str, call: str, *words: str) -> list[dict[str, Any]]:
    """The same, with --json."""
    return [json.loads(line) for line in ask(command, call, *words, "--json").splitlines()]


def place(call: str, kind: str, n: int = 0) -> str:
    """The number of the n-th event of a type."""
    return str(told("show", call, "--type", kind)[n]["seq"])


@pytest.mark.parametrize("call", ["barged", "echoing", "nodding", "switching"])
def test_its_timeline_is_words_and_ms(call: str) -> None:
    """No line is wider than a hundred columns, and none shows fields by their names."""
    lines = ask("show", call).splitlines()
    assert max(map(len, lines)) <= 100
    raw = [line for line in lines if "=" in line and "link=" in line]
    assert {line.split()[3] for line in raw} <= {"ConfigurationConfirmed", "AnswerDispatched"}


@pytest.mark.parametrize("kind", ["SaySettled", "PlayoutCut", "PlayoutEnded"])
def test_a_barge_in_is_explained_from_its_cut_on(kind: str) -> None:
    """The outcome, the cut and the end of the playout lead to the same answer: the user's speech, by wire."""
    (answer,) = told("why", "barged", place("barged", kind))
    assert (answer["question"], answer["say"], answer["code"]) == ("stopped", "say_1", "speech")
    assert answer["what"] == "the user spoke over it" and answer["outside"] == "wire"
    assert [step["type"] for step in answer["chain"]][1:4] == ["PlayoutEnded", "PlayoutCut", "SpeechStarted"]
    text = ask("why", "barged", place("barged", kind))
    assert 'heard    "Good morning"' in text and "unheard" in text


def test_an_echo_is_explained_by_its_words() -> None:
    """Why was this no turn: the reason, and what was recognised."""
    text = ask("why", "echoing", place("echoing", "TurnDiscarded"))
    assert "suspected echo, because of" in text.splitlines()[0]
    assert 'InputTranscribed' in text and '"Good morning and welcome' in text


def test_a_filler_and_a_stream_are_told() -> None:
    """The tool that was slow; the function whose words were spoken."""
    says = {one["event"]["say"]: str(one["seq"]) for one in told("show", "barged", "--type", "SayRequested")}
    assert "the engine's own, while the tool find was slow" in ask("why", "barged", says["filler_call_4"])
    assert "from the stream" in ask("why", "barged", says["say_6"])
    assert ask("why", "barged", place("barged", "SayRepeated")).startswith("say_1 ")


def test_no_ms_of_a_gap_is_unexplained() -> None:
    """In any of the calls, after any turn."""
    for call in ("barged", "echoing", "nodding", "switching"):
        for late in told("why", call, "--late"):
            assert late["unexplained_ms"] == 0
            assert sum(one["ms"] for one in late["stretches"]) == late["gap_ms"]


def test_the_state_at_a_cut() -> None:
    """The say that was cut, the speech that cut it, and who is waited for."""
    (seen,) = told("state", "barged", "--at", place("barged", "PlayoutCut"))
    assert seen["says"][0]["state"] == "cut" and seen["sounding"][0]["cut"] == "speech"
    assert seen["speech"][0]["cut"] == ["say_1"]
    assert seen["waiting_for"]["name"] == "acknowledgement"
    text = ask("state", "barged", "--at", place("barged", "PlayoutCut"))
    assert max(map(len, text.splitlines())) <= 100


def test_sides_part_what_is_cut_from_what_is_cancelled() -> None:
    """The callers' queue and their wishes are of their side; cancels and truncations of the provider's."""
    caller = {one["type"] for one in told("show", "barged", "--side", "caller")}
    provider = {one["type"] for one in told("show", "barged", "--side", "provider")}
    assert {"PlayoutCut", "PlayoutEnded", "CallerCancelled", "ResponseDelivered"} <= caller
    assert {"CancelDispatched", "SpeechStarted", "SaySpoken"} <= provider
    assert not caller & provider - {"LinkOpened"}


@pytest.mark.parametrize("call", ["barged", "echoing", "nodding", "switching"])
def test_its_turns_are_decided_the_same_again(call: str) -> None:
    """A recorded call with echoes, nods and interruptions gives no difference."""
    (again,) = told("rederive", call)
    assert again["differences"] == [] and again["equal"] >= 3
