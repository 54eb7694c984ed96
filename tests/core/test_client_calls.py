"""A response that calls our tools and the client's own: the follow-up waits for the client's outputs."""

from typing import Any

from tests.core.driving import Drive, anatomy, replayed
from tests.core.explaining import now
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.folds.client_calls import CLIENT_ASKS_S, CLIENT_OUTPUT_S

ASKED = {"instructions": "", "tools": [{"type": "function", "name": "dim"}], "tool_choice": "auto"}


def mixed(*theirs: str) -> Drive:
    """A response has called `find`, which has answered, and the client's `dim`, once for each name of a call."""
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
    drive.fact(e.ToolAnswered(call_id="ours", output="1"))
    drive.finish("r1")
    assert len(drive.of(e.ClientToolCalled)) == len(theirs) and len(drive.of(e.ToolOutputDispatched)) == 1
    return drive


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
