"""A response that calls our tools and the client's own: the follow-up waits for the client's outputs."""

import itertools
from typing import Any

import pytest

from tests.core.driving import Drive, anatomy, replayed
from tests.core.explaining import now
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.folds.client_calls import CLIENT_ASKS_S, CLIENT_OUTPUT_S

ASKED = {"instructions": "", "tools": [{"type": "function", "name": "dim"}], "tool_choice": "auto"}


def calling(*theirs: str) -> Drive:
    """A response has called `find`, which runs, and the client's `dim`, once for each name of a call, and has ended."""
    options: dict[str, Any] = {"answers": "model", "tools": ["find"], "client_tools": True}
    drive = Drive(**options).open_provider().open_caller()
    drive.confirms = True
    drive.fact(e.SettingsAsked(link="c1", settings={"client_tools": ASKED["tools"]}))
    drive.begin("r1", None)
    for n, (call, name) in enumerate([("ours", "find"), *((one, "dim") for one in theirs)]):
        drive.signal(
            "p1",
            s.FunctionCalled(response="r1", item=f"i_{call}", call_id=call, name=name, arguments="{}", output_index=n),
        )
    drive.finish("r1")
    assert len(drive.of(e.ClientToolCalled)) == len(theirs)
    return drive


def mixed(*theirs: str) -> Drive:
    """The same, and `find` has answered."""
    drive = calling(*theirs)
    ours(drive)
    assert len(drive.of(e.ToolOutputDispatched)) == 1
    return drive


def ours(drive: Drive, output: str = "1", *, ok: bool = True) -> None:
    """Our tool's output."""
    drive.fact(e.ToolAnswered(call_id="ours", output=output, ok=ok))


def asks(drive: Drive, **request: Any) -> None:
    """The client's response.create."""
    drive.signal("c1", s.AnswerRequested(event_id=None, request=request, out_of_band=False))


def order(drive: Drive) -> list[str]:
    """What went to the provider of outputs and requests."""
    names = {"ItemForwarded": "theirs", "ToolOutputDispatched": "ours", "AnswerDispatched": "asked"}
    return [names[type(event).__name__] for event in drive.of(e.ItemForwarded, e.ToolOutputDispatched, e.AnswerDispatched)]


def answers(drive: Drive) -> None:
    """The model answers, and time goes by."""
    drive.begin("r2", None)
    drive.finish("r2")
    drive.wait(120_000)


def gives(drive: Drive, call: str) -> None:
    """The client's output."""
    raw = {"type": "function_call_output", "call_id": call, "output": "dark"}
    drive.signal("c1", s.ItemCreated(item=f"o_{call}", kind="function_call_output", role=None, text="", raw=raw))


def asked(drive: Drive) -> int:
    """How often the model was asked to go on."""
    return len(drive.of(e.AnswerDispatched))


def test_the_client_asks_once_its_output_is_there() -> None:
    """The output goes up, the client's own response.create is the one answer, and nothing is asked for beside it."""
    drive = mixed("theirs")
    drive.wait(5000)
    assert asked(drive) == 0
    waiter = now(drive)
    assert (waiter.name, waiter.owner) == ("client_tool", "caller")
    assert waiter.what == "the model called the client's dim, without an output yet"
    gives(drive, "theirs")
    assert asked(drive) == 0
    drive.signal("c1", s.AnswerRequested(event_id=None, request={}, out_of_band=False))
    order = [type(event) for event in drive.of(e.ItemForwarded, e.AnswerDispatched)]
    assert order == [e.ItemForwarded, e.AnswerDispatched]
    drive.begin("r2", None)
    drive.finish("r2")
    drive.wait(60_000)
    assert asked(drive) == 1
    assert anatomy(replayed(drive.log)) == anatomy(drive.core.state)


def test_a_client_that_does_not_ask_is_not_waited_for() -> None:
    """A second behind the last output the model is asked to go on, and behind the first of two it is not."""
    drive = mixed("one", "two")
    gives(drive, "two")
    drive.wait(CLIENT_ASKS_S * 2000)
    assert asked(drive) == 0
    gives(drive, "one")
    drive.wait(CLIENT_ASKS_S * 1000 - 1)
    assert asked(drive) == 0
    drive.wait(1)
    assert asked(drive) == 1


def test_an_output_that_does_not_come_is_waited_for_half_a_minute() -> None:
    """Then the model goes on with what it has; an output that comes later asks for nothing."""
    drive = mixed("theirs")
    drive.wait(CLIENT_OUTPUT_S * 1000 - 1)
    assert asked(drive) == 0
    drive.wait(1)
    assert asked(drive) == 1
    drive.begin("r2", None)
    drive.finish("r2")
    gives(drive, "theirs")
    drive.wait(60_000)
    assert asked(drive) == 1


def test_what_comes_next_does_not_wait() -> None:
    """The user speaks on, or the client has gone: its output is not waited for any more."""
    speaks, gone = mixed("theirs"), mixed("theirs")
    speaks.signal("p1", s.SpeechBegan(item="u1", audio_start_ms=0), s.SpeechCeased(item="u1", audio_end_ms=500))
    speaks.signal("p1", s.AudioCommitted(item="u1", previous_item=None))
    assert speaks.core.state.tools.client_calls.until_ns == 0
    gone.close("c1", 1006)
    gone.wait(1)
    assert asked(gone) == 1


def test_without_calls_of_the_clients_nothing_waits() -> None:
    """Our tools alone are followed up at once, and what belongs to no call is no output."""
    drive = mixed()
    assert asked(drive) == 1
    drive = mixed("theirs")
    gives(drive, "of nobody")
    drive.wait(CLIENT_ASKS_S * 1000)
    assert asked(drive) == 0


ENDS = [("1", True), ('{"error":{"type":"ValueError"}}', False), ('{"error":{"type":"TimeoutError"}}', False)]


@pytest.mark.parametrize(("output", "ok"), ENDS)
def test_a_client_that_is_first_is_answered_when_ours_is_there(output: str, ok: bool) -> None:
    """Its output goes up at once and its request waits for our tool, whatever comes of that: one answer, as the client asked."""
    drive = calling("theirs")
    gives(drive, "theirs")
    asks(drive, metadata={"a": "b"})
    drive.wait(20_000)
    assert order(drive) == ["theirs"]
    ours(drive, output, ok=ok)
    assert order(drive) == ["theirs", "ours", "asked"]
    (dispatched,) = drive.of(e.AnswerDispatched)
    assert isinstance(dispatched, e.AnswerDispatched) and dispatched.request == {"metadata": {"a": "b"}}
    answers(drive)
    assert asked(drive) == 1
    assert anatomy(replayed(drive.log)) == anatomy(drive.core.state)


def test_each_order_of_outputs_and_requests_brings_one_answer() -> None:
    """Ours and two of the client's, its request behind its last output: in all orders all are there when the model is asked."""
    for steps in itertools.permutations(("ours", "one", "two")):
        drive = calling("one", "two")
        for step in steps:
            assert asked(drive) == 0
            if step == "ours":
                ours(drive)
                continue
            gives(drive, step)
            if step == [one for one in steps if one != "ours"][-1]:
                asks(drive)
        assert sorted(order(drive)[:-1]) == ["ours", "theirs", "theirs"] and order(drive)[-1] == "asked"
        answers(drive)
        assert asked(drive) == 1


def test_a_request_after_each_output_brings_one_answer() -> None:
    """A client that asks behind every output of its own: the model is asked when the last one is there, and ours."""
    drive = calling("one", "two")
    gives(drive, "one")
    asks(drive)
    ours(drive)
    drive.wait(5_000)
    assert asked(drive) == 0
    gives(drive, "two")
    asks(drive)
    answers(drive)
    assert asked(drive) == 1


def test_a_caller_that_leaves_in_between_changes_nothing() -> None:
    """It has asked and is gone when our tool answers: the model goes on once."""
    drive = calling("theirs")
    gives(drive, "theirs")
    asks(drive)
    drive.close("c1", 1006)
    assert asked(drive) == 0
    ours(drive)
    answers(drive)
    assert asked(drive) == 1


def test_a_handler_that_ends_in_between_asks_for_nothing() -> None:
    """The session drains: our output still goes up, and no answer is begun that nobody would wait for."""
    drive = calling("theirs")
    gives(drive, "theirs")
    asks(drive)
    drive.command(c.Return())
    ours(drive)
    drive.wait(60_000)
    assert asked(drive) == 0 and drive.of(e.SessionEnded)


def test_what_the_user_asks_meanwhile_does_not_wait() -> None:
    """A typed question behind the client's output is answered at once; what our tool gave then is answered behind it, once."""
    drive = calling("theirs")
    gives(drive, "theirs")
    asks(drive)
    typed = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And?"}]}
    drive.signal("c1", s.ItemCreated(item="u1", kind="message", role="user", text="And?", raw=typed))
    asks(drive)
    assert order(drive) == ["theirs", "theirs", "asked"]
    drive.begin("r2", None)
    drive.finish("r2")
    ours(drive)
    drive.wait(0)
    assert order(drive)[3:] == ["ours", "asked"]
    drive.begin("r3", None)
    drive.finish("r3")
    drive.wait(120_000)
    assert asked(drive) == 2


def test_the_answer_to_the_users_speech_takes_the_request_with_it() -> None:
    """The provider answers what was said meanwhile: our output is followed up behind it, not in the client's old words."""
    drive = calling("theirs")
    gives(drive, "theirs")
    asks(drive, metadata={"a": "b"})
    drive.begin("r2", None)
    drive.finish("r2")
    ours(drive)
    (dispatched,) = drive.of(e.AnswerDispatched)
    assert isinstance(dispatched, e.AnswerDispatched) and dispatched.request == {}
