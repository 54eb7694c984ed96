"""SessionCore: places in the log, causes, the end; and invariants under any interleaving of inputs."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.driving import MS, SITE, START_NS, Drive, anatomy, recorded, replayed
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.codec import decode
from turnlog.core.core import SessionCore, Staged
from turnlog.core.state import State
from turnlog.core.states import SayState

ITEM = s.ItemCreated(item="i1", kind="message", role="user", text="hello", raw={})
ASK = s.AnswerRequested(event_id=None, request={}, out_of_band=False, response="resp")


def test_events_get_their_places_without_gaps() -> None:
    """1, 2, 3… in the order they were staged, across appends."""
    core = SessionCore()
    assert [core.record(e.InputCommitAsked(link="c1"), e.Root.WIRE, 5) for _ in range(3)] == [1, 2, 3]
    assert [staged.seq for staged in core.events_to_append()] == [1, 2, 3]
    assert core.record(e.InputCommitAsked(link="c1"), e.Root.WIRE, 6) == 4


def test_staged_events_are_taken_once() -> None:
    """What was taken for an append is not appended again."""
    core = SessionCore()
    core.record(e.InputCommitAsked(link="c1"), 7, 5)
    assert core.events_to_append() == [Staged(1, 5, 7, e.InputCommitAsked(link="c1"))]
    assert core.events_to_append() == []


def test_a_core_goes_on_behind_a_log() -> None:
    """Folding stages nothing; the next place is behind the last one folded."""
    core = SessionCore()
    core.apply(41, 5, e.InputCommitAsked(link="c1"))
    assert core.events_to_append() == []
    assert core.record(e.InputClearAsked(link="c1"), e.Root.WIRE, 6) == 42


def test_what_a_message_means_is_caused_by_the_message() -> None:
    """Every decision on it has its seq as the cause, also the second one."""
    drive = Drive().open_provider().open_caller()
    drive.signal("c1", ITEM, ASK)
    for kind in (e.ItemSeeded, e.AnswerAsked, e.TurnEnded):
        assert isinstance(drive.why(kind), e.TransportReceived)


def test_a_command_is_caused_by_what_woke_the_handler() -> None:
    """What follows from it is caused by the command."""
    drive = Drive()
    drive.core.command(1, c.End(reason="r"), SITE, 1, drive.now_ns)
    drive.settle()
    assert isinstance(drive.why(e.EndRequested), e.SessionStarted)
    assert isinstance(drive.why(e.SessionEnding), e.EndRequested)


def test_a_lost_link_is_the_cause_of_what_it_means() -> None:
    """The loss comes from outside, its consequences from the loss."""
    drive = Drive().open_provider().open_caller()
    drive.close("c1")
    assert drive.why(e.LinkClosed) is e.Root.HOST
    assert isinstance(drive.why(e.CallersGone), e.LinkClosed)
    drive.close("p1")
    assert isinstance(drive.why(e.SessionEnding), e.LinkClosed)


def test_a_provider_that_cannot_be_reached_ends_the_session() -> None:
    """With the code and message of the failure."""
    drive = Drive()
    drive.core.link_failed(e.LinkFailed(side="provider", code="TL303", message="bad key"), drive.now_ns)
    drive.settle()
    assert isinstance(drive.why(e.SessionEnding), e.LinkFailed)
    assert drive.of(e.SessionEnded) == [e.SessionEnded(reason="provider_lost", code="TL303", detail="bad key")]


def late_inputs(drive: Drive) -> dict[str, Any]:
    """Everything that can still come in after the end."""
    core, now = drive.core, drive.now_ns
    say = s.ResponseBegan(response="r1", say="say_1", attempt=1, in_band=False)
    expiry = s.ProviderError(code="session_expired", message="", param=None, event_id=None)
    return {
        "message": lambda: core.decide("p1", s.AudioCommitted(item="i9", previous_item=None), 1, now),
        "transcript": lambda: core.decide("p1", s.TranscriptCompleted(item="i1", transcript="x"), 1, now),
        "response": lambda: core.decide("p1", say, 1, now),
        "expiry": lambda: core.decide("p1", expiry, 1, now),
        "ask": lambda: core.decide("c1", ASK, 1, now),
        "say": lambda: core.command(9, c.Say(text="x"), SITE, 1, now),
        "return": lambda: core.command(9, c.Return(), SITE, 1, now),
        "failure": lambda: core.command(9, c.Fail(type_name="E", message="m"), SITE, 1, now),
        "caller leaves": lambda: core.link_closed(e.LinkClosed(link="c1"), now),
        "provider leaves": lambda: core.link_closed(e.LinkClosed(link="p1"), now),
        "provider unreachable": lambda: core.link_failed(e.LinkFailed(side="provider", code="TL301", message="m"), now),
        "end": lambda: core.ending(e.SessionEnding(reason="again"), now),
        "time": lambda: core.time_passed(now + 3600_000 * MS),
        "sends": lambda: core.sends_due(now + 3600_000 * MS),
        "close": lambda: core.close_when_done(now + 3600_000 * MS),
    }


@pytest.mark.parametrize("name", list(late_inputs(Drive())))
@pytest.mark.parametrize("drain", [True, False])
def test_nothing_is_decided_after_the_end(name: str, drain: bool) -> None:
    """SessionEnded is the last decision, whatever comes: open transcripts, asks and links included."""
    drive = Drive().open_provider().open_caller()
    drive.signal("p1", s.AudioCommitted(item="i1", previous_item=None))
    drive.signal("c1", ITEM, ASK)
    drive.end(drain=drain)
    assert drive.core.ended
    late_inputs(drive)[name]()
    assert drive.core.events_to_append() == []
    assert drive.core.next_deadline() is None


# --- any interleaving ---

RESPONSES = [f"r{n}" for n in range(4)]
ITEMS = [f"i{n}" for n in range(4)]
SAYS = [f"say_{n}" for n in range(1, 6)]
TEXTS = st.sampled_from(["", " ", "Hello", "Hello big world"])


def provider_signals() -> st.SearchStrategy[s.Signal]:
    """What a provider may send, in any order, right or wrong."""
    item, response = st.sampled_from(ITEMS), st.sampled_from(RESPONSES)
    say, attempt = st.none() | st.sampled_from(SAYS), st.integers(0, 3)
    return st.one_of(
        st.builds(s.ProviderConfigured, session=st.just({})),
        st.builds(s.SpeechBegan, item=item, audio_start_ms=st.integers(0, 900)),
        st.builds(s.SpeechCeased, item=item, audio_end_ms=st.integers(0, 900)),
        st.builds(s.AudioCommitted, item=item, previous_item=st.none()),
        st.builds(s.TranscriptCompleted, item=item, transcript=TEXTS),
        st.builds(s.TranscriptFailed, item=item, code=st.just("c"), message=st.just("m")),
        st.builds(s.ResponseBegan, response=response, say=say, attempt=attempt, in_band=st.booleans()),
        st.builds(
            s.ResponseFinished,
            response=response,
            status=st.sampled_from(["completed", "cancelled", "failed", "incomplete", "odd"]),
            code=st.sampled_from(["", "code"]),
            message=st.just(""),
            generated_ms=st.sampled_from([0, 1, 700, 5_000]),
            transcript=TEXTS,
            usage=st.none(),
        ),
        st.builds(s.ResponseRefused, say=say, attempt=attempt, code=st.just("busy"), message=st.just("")),
        st.builds(
            s.FunctionCalled,
            response=response,
            item=item,
            call_id=st.sampled_from(["t0", "t1"]),
            name=st.just("find"),
            arguments=st.just("{}"),
        ),
        st.builds(s.ProviderTruncated, item=st.just("o0"), content_index=st.just(0), audio_end_ms=st.just(300)),
        st.builds(s.DigitDialled, digit=st.sampled_from("0#")),
        st.builds(
            s.ProviderError,
            code=st.just("invalid_value"),
            message=st.just(""),
            param=st.none(),
            event_id=st.none(),
        ),
    )


def caller_signals() -> st.SearchStrategy[s.Signal]:
    """What a caller may send."""
    return st.one_of(
        st.builds(
            s.ItemCreated,
            item=st.sampled_from(ITEMS),
            kind=st.just("message"),
            role=st.sampled_from(["user", "assistant", "system", None]),
            text=TEXTS,
            raw=st.just({}),
        ),
        st.just(ASK),
        st.builds(s.CommitRequested, item=st.just("x")),
        st.just(s.AudioCleared()),
        st.builds(s.CancelRequested, event_id=st.none(), response=st.sampled_from(["", *RESPONSES])),
        st.just(s.OutputCleared()),
        st.just(s.SpeechLasted(ms=200)),
        st.builds(
            s.PlayoutReported,
            response=st.sampled_from(["", *RESPONSES]),
            item=st.sampled_from(["", "o0"]),
            content_index=st.just(0),
            played_ms=st.sampled_from([0, 300, 100_000]),
            final=st.booleans(),
        ),
        st.builds(s.CallerConfigured, changes=st.sampled_from([{}, {"output_modalities": ["text"]}]), session=st.just({})),
    )


SAID = st.sampled_from(["Hi", "Hello big world", f"{'One sentence. ' * 30}And another one."])
COMMANDS = st.one_of(
    st.just(c.Input()),
    st.builds(c.Say, text=SAID),
    st.builds(
        c.Say,
        text=SAID,
        when=st.sampled_from(["queue", "queue", "interrupt", "drop"]),
        interruptible=st.booleans(),
        key=st.sampled_from(["", "", "k"]),
        on_mismatch=st.sampled_from(["log", "retry", "fail"]),
        on_stale=st.sampled_from(["hold", "drop", "speak"]),
    ),
    st.builds(c.CancelSay, say=st.sampled_from(SAYS)),
    st.just(c.Call(target="find")),
    st.just(c.Abandon(command=1)),
)
# Half of all inputs are what a provider does when it is asked; ends and losses are rare, or little would come before them.
ORDERLY = st.one_of(
    st.tuples(st.just("command"), COMMANDS),
    st.tuples(st.just("step"), st.sampled_from(["begin", "begin", "sound", "sound", "speak", "finish", "refuse"])),
    st.tuples(st.just("wait"), st.sampled_from([0, 1, 300, 1_000, 3_000, 11_000])),
)
DISORDERLY = st.one_of(
    st.tuples(st.just("p1"), provider_signals()),
    st.tuples(st.just("p1"), provider_signals()),
    st.tuples(st.sampled_from(["c1", "c2"]), caller_signals()),
    st.tuples(st.just("open"), st.sampled_from(["p1", "c1", "c2"])),
    st.tuples(st.just("sound"), st.sampled_from(RESPONSES)),
    st.tuples(st.just("answer"), st.sampled_from(["t0", "t1"])),
)
ENDINGS = st.one_of(
    st.tuples(st.just("close"), st.sampled_from(["c1", "c1", "c2", "p1"])),
    st.tuples(st.just("end"), st.booleans()),
    st.tuples(st.just("command"), st.builds(c.End, reason=st.just("bye"), drain=st.booleans())),
    st.tuples(st.just("command"), st.sampled_from([c.Return(), c.Fail(type_name="E", message="m")])),
)
INPUTS = st.integers(0, 39).flatmap(lambda n: ORDERLY if n > 19 else DISORDERLY if n else ENDINGS)


DEFINED = st.fixed_dictionaries(
    {},
    optional={
        "echo": st.sampled_from(["client_aec", "guard", "half_duplex"]),
        "min_speech_ms": st.sampled_from([0, 200]),
        "min_words": st.sampled_from([0, 2]),
        "resume_after_false_start": st.booleans(),
    },
)


def play(drive: Drive, kind: str, what: Any) -> None:
    """One input, as the live loop would take it."""
    state = drive.core.state
    if drive.core.ended:
        return
    match kind:
        case "command":
            drive.command(what)
        case "open":
            opened = [state.links.provider, *state.links.callers]
            if what not in opened:
                side = "provider" if what == "p1" else "caller"
                drive.fact(e.LinkOpened(link=what, side=side, transport="in_process"))  # type: ignore[arg-type] # one of two
        case "close":
            drive.close(what)
        case "sound":
            drive.sound(what)
        case "answer":
            drive.fact(e.ToolAnswered(call_id=what, output="1"))
        case "step":
            step(drive, what)
        case "wait":
            drive.wait(what)
        case "end":
            drive.end(drain=what)
        case _:
            drive.signal(kind, what)


def step(drive: Drive, what: str) -> None:
    """A provider that does the next thing with what it was asked for."""
    if drive.core.state.links.unconfirmed:
        drive.signal("p1", s.ProviderConfigured(session={}))
    for say in list(drive.core.state.delivery.says.values()):
        response = f"own_{say.requested.say}_{say.attempt}"
        match what, say.state:
            case "begin", SayState.DISPATCHED:
                drive.begin(response, say.requested.say, say.attempt)
            case "speak", SayState.DISPATCHED:
                drive.begin(response, say.requested.say, say.attempt)
                drive.sound(response)
                drive.finish(response, 700, say.pieces[say.piece])
            case "refuse", SayState.DISPATCHED:
                drive.refuse(say.requested.say, say.attempt)
            case "sound", SayState.SOUNDING:
                drive.sound(response)
            case "finish", SayState.SOUNDING:
                drive.finish(response, 700, say.pieces[say.piece])


def check(drive: Drive) -> None:
    """What holds of every log."""
    log = drive.log
    assert [staged.seq for staged in log] == list(range(1, len(log) + 1))
    assert all(0 < staged.cause < staged.seq or staged.cause in set(e.Root) for staged in log)
    assert all(before.at_ns <= after.at_ns for before, after in pairwise(log))
    requested = [event.say for event in drive.of(e.SayRequested) if isinstance(event, e.SayRequested)]
    settled = [event.say for event in drive.of(e.SaySettled) if isinstance(event, e.SaySettled)]
    assert len(settled) == len(set(settled))
    assert set(settled) | set(drive.core.state.delivery.says) == set(requested)
    numbers = [turn.turn for turn in drive.turns()]
    assert numbers == list(range(1, len(numbers) + 1))
    check_mouth(log)


def check_mouth(log: list[Staged]) -> None:
    """No say is dispatched while another is on its way or anything else sounds; the dead are silent."""
    waiting: str | None = None
    audible: dict[str, str | None] = {}  # what occupies the mouth, and the say that it speaks
    delivered: set[str] = set()
    model = False
    for staged in log:
        match staged.event:
            case e.SessionStarted(definition=definition):
                model = definition.answers == "model"
            case e.AnswersSwitched(answers=answers):
                model = answers == "model"
            case e.SayDispatched(say=say):
                assert waiting is None
                assert all(spoken == say and response in delivered for response, spoken in audible.items())
                waiting = say
            case e.SayRefused() | e.SaySettled() | e.ResponseStarted(say=str()) if staged.event.say == waiting:
                waiting = None
        match staged.event:
            case e.ResponseStarted(dead=False) as started if started.say or model:
                audible[started.response] = started.say
            case e.ResponseDelivered(response=response):
                assert response in audible
                delivered.add(response)
            case e.PlayoutCut(response=response, reason="speech", say=str(say)):
                assert interruptible(log, say)
                del audible[response]
            case e.PlayoutCut(response=response):
                del audible[response]  # and only once
            case e.PlayoutEnded(response=response):
                audible.pop(response, None)
            case e.AudioStarted(response=response):
                pass
            case e.LinkClosed(link="p1"):
                waiting = None
                audible = {key: say for key, say in audible.items() if key in audible}


def interruptible(log: list[Staged], say: str) -> bool:
    """Whether the user may cut this say."""
    (requested,) = [one.event for one in log if isinstance(one.event, e.SayRequested) and one.event.say == say]
    return requested.command.interruptible


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["handler", "model"]), DEFINED, st.lists(INPUTS, max_size=60))
def test_any_interleaving_keeps_the_promises(answers: str, defined: dict[str, Any], inputs: list[tuple[str, Any]]) -> None:
    """Places without gaps, causes before effects, one outcome a say, one mouth, no spin; an end that settles everything."""
    drive = Drive(answers=answers, **defined).open_provider().open_caller()
    for kind, what in inputs:
        play(drive, kind, what)
        drive.wait(10)
    check(drive)
    drive.end(drain=False)
    drive.wait(60_000)
    check(drive)
    assert drive.core.ended
    assert drive.core.next_deadline() is None
    assert not drive.core.state.delivery.says
    assert [type(staged.event) for staged in drive.log].count(e.SessionEnded) == 1
    assert isinstance(drive.log[-1].event, e.SessionEnded)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["handler", "model"]), st.lists(INPUTS, max_size=40))
def test_a_log_folds_to_the_state_that_wrote_it(answers: str, inputs: list[tuple[str, Any]]) -> None:
    """Through the codec, event by event: nothing that was decided on is missing in the log, and every prefix folds."""
    drive = Drive(answers=answers)
    for kind, what in inputs:
        play(drive, kind, what)
        assert anatomy(replayed(drive.log)) == anatomy(drive.core.state)


@settings(max_examples=50, deadline=None)
@given(st.lists(INPUTS, max_size=40))
def test_the_same_inputs_give_the_same_log(inputs: list[tuple[str, Any]]) -> None:
    """Decisions are deterministic, down to the bytes."""
    logs = []
    for _ in range(2):
        drive = Drive(answers="model").open_provider().open_caller()
        for kind, what in inputs:
            play(drive, kind, what)
        logs.append([recorded(staged) for staged in drive.log])
    assert logs[0] == logs[1]


@settings(max_examples=50, deadline=None)
@given(st.lists(INPUTS, max_size=40), st.data())
def test_a_core_made_from_a_prefix_goes_on_alike(inputs: list[tuple[str, Any]], data: st.DataObject) -> None:
    """State is all there is: a core that folded the log decides on the next input as the one that wrote it."""
    at = data.draw(st.integers(0, len(inputs)))
    drive = Drive().open_provider().open_caller()
    for kind, what in inputs[:at]:
        play(drive, kind, what)
    twin = Drive()
    twin.core, twin.log, twin.now_ns, twin.index = SessionCore(), list(drive.log), drive.now_ns, drive.index
    for staged in twin.log:
        twin.core.apply(staged.seq, staged.at_ns, decode(recorded(staged)))
    for kind, what in inputs[at:]:
        play(drive, kind, what)
        play(twin, kind, what)
    assert twin.log == drive.log


def test_the_comparison_of_states_sees_a_difference() -> None:
    """anatomy reaches into every fold: the tests above can fail."""
    for event in (
        e.SpeechStarted(item="i", audio_start_ms=1),
        e.SayRequested(index=1, say="say_1", command=c.Say(text="x"), site=SITE),
        e.LinkOpened(link="c1", side="caller", transport="t"),
        e.ResponseStarted(response="r"),
        e.InputCommitAsked(link="c1"),
        e.CallRequested(index=1, call="call_1", command=c.Call(target="t"), site=SITE),
        e.TurnEnded(turn=1, item="i", text="t"),
        e.HandlerReturned(index=1),
    ):
        state = State()
        state.apply(1, START_NS, event)
        assert anatomy(state) != anatomy(State()), event
