"""A fork has another session's past and a rest of its own; it verifies and replays."""

import asyncio
from typing import Any

import pytest

from tests.engine.living import Ledger, Speaker, living, of_type
from turnlog.core import events as e
from turnlog.core.errors import Divergence, HandlerError, StepError, StoreError
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.fork import Forked, fork
from turnlog.engine.offline.fork_rest import Line, parse_script
from turnlog.engine.offline.replay import replay


async def find(name: str) -> dict[str, str]:
    """A tool."""
    return {"name": name.title()}


async def desk(session: RealtimeSession) -> None:
    """Greets everyone by name, with a number of its own; waits for a payment; hangs up on who is silent."""
    await session.say(f"Hello, you are number {session.random.randrange(10**9)}")
    while True:
        try:
            turn = await session.input(timeout=30)
        except TimeoutError:
            await session.say("Nobody there")
            return
        try:
            guest = await session.call("find", name=turn.text)
        except StepError as error:
            await session.say(error.type_name)
            continue
        handle = await session.say(f"Welcome, {guest['name']}")
        await handle.settled()
        if turn.text == "pay":
            paid = await session.signal("paid")
            await session.say(f"Thank you for {paid['euros']} euros")


@pytest.fixture
async def recorded() -> tuple[Ledger, str]:
    """A store with one session: two turns, then it was ended."""
    async with living(desk, tools={"find": find}, provider=Speaker(ms=4)) as alive:
        for n, name in enumerate(("ann", "bob"), 1):
            alive.caller.type(name)
            await alive.until(e.SaySettled, n + 1)
        alive.session.end("enough")
        await alive.ended()
    return alive.store, alive.session.id


def seq_of(store: Ledger, session: str, kind: str, n: int = 1) -> int:
    """The seq of the n-th event of a type."""
    return [one.seq for one in store.scan(session) if one.type == kind][n - 1]


def words(store: Ledger, session: str) -> list[str]:
    """What the handler said, its number left out."""
    return [said.command.text.partition(", you are")[0] for said in of_type(store, session, e.SayRequested)]


async def forked(recorded: tuple[Ledger, str], at: int, script: str = "", **options: Any) -> tuple[Forked, Ledger]:
    """A fork of the recorded session, checked: it verifies, and replays whole."""
    store, session = recorded
    done = await fork(store, session, at, options.pop("handler", desk), name="fork", script=parse_script(script), **options)
    report = await store.verify("fork")
    assert report.ok, report.problems
    again = replay(store.scan("fork"), desk)
    assert (again.complete, again.commands) == (True, done.commands)
    return done, store


async def test_a_fork_begins_with_the_past(recorded: tuple[Ledger, str]) -> None:
    """Types, data, times and causes are the same up to the event; the first one says whose past it is."""
    store, session = recorded
    at = seq_of(store, session, "TurnEnded", 2)
    done, _ = await forked(recorded, at)
    old, new = list(store.scan(session, until=at)), list(store.scan("fork", until=at))
    assert [one[:4] + one[5:7] for one in old[1:]] == [one[:4] + one[5:7] for one in new[1:]]
    started = of_type(store, "fork", e.SessionStarted)[0]
    assert (started.session, started.forked_from, started.forked_at, started.seed) == ("fork", session, at, session)
    assert (done.session, done.forked_from, done.past) == ("fork", session, at)
    row = await store.session("fork")
    assert (row.status, row.head_seq) == ("ended", done.events)


async def test_the_rest_takes_the_records_answers(recorded: tuple[Ledger, str]) -> None:
    """A call with a recorded answer gets it; a say ends as it did; one without an answer fails as NotRecorded."""
    store, session = recorded
    done, _ = await forked(recorded, seq_of(store, session, "InputRequested", 2), "bob\n\n# a comment\ncarol\n")
    assert words(store, "fork") == ["Hello", "Welcome, Ann", "Welcome, Bob", "NotRecorded"]
    assert done.not_recorded == ['call("find", name="carol")']
    settled = of_type(store, "fork", e.SaySettled)
    assert {one.status for one in settled} == {"played"}
    assert of_type(store, "fork", e.SessionEnded)[0].reason == "script_ended"


async def test_what_the_past_waited_for_comes(recorded: tuple[Ledger, str]) -> None:
    """Forked while a call was open: its recorded answer is the first thing that happens."""
    store, session = recorded
    await forked(recorded, seq_of(store, session, "CallRequested", 2), "")
    assert words(store, "fork") == ["Hello", "Welcome, Ann", "Welcome, Bob"]


async def test_any_event_of_the_past_can_be_the_last(recorded: tuple[Ledger, str]) -> None:
    """Every prefix of the log makes a fork that verifies and replays."""
    store, session = recorded
    for at in range(1, seq_of(store, session, "SessionEnded"), 3):
        done = await fork(store, session, at, desk, name=f"fork_{at}", script=[Line(kind="turn", text="ann")])
        assert (await store.verify(done.session)).ok
        assert replay(store.scan(done.session), desk).complete, at


async def test_signals_waiting_and_hanging_up(recorded: tuple[Ledger, str]) -> None:
    """/signal gives the handler data, /wait lets its timers fire, /hangup ends its turns."""

    async def pays(session: RealtimeSession) -> None:
        seen = [await session.signal("paid")]
        try:
            await session.input(timeout=5)
        except TimeoutError:
            seen.append("timeout")
        async for _ in session.turns():
            pass
        await session.call("note", seen=seen)

    async with living(pays) as alive:
        await alive.until(e.LinkReady)
        alive.session.end("enough")
        await alive.ended()
    script = parse_script('/signal paid {"euros": 3}\n/wait 4\n/wait 4\n/hangup')
    done = await fork(alive.store, alive.session.id, 1, pays, name="fork", script=script)
    assert done.not_recorded == ["call(\"note\", seen=[{'euros': 3}, 'timeout'])"]
    assert replay(alive.store.scan("fork"), pays).complete


async def test_a_fork_of_a_fork_draws_the_same_numbers(recorded: tuple[Ledger, str]) -> None:
    """session.random goes on from the first session's seed, so that the past is the same."""
    store, session = recorded
    await forked(recorded, seq_of(store, session, "TurnEnded"))
    await fork(store, "fork", seq_of(store, session, "SayRequested"), desk, name="second")
    firsts = [of_type(store, name, e.SayRequested)[0].command.text for name in (session, "fork", "second")]
    assert len(set(firsts)) == 1
    assert of_type(store, "second", e.SessionStarted)[0].seed == session


async def test_a_fork_into_another_store(recorded: tuple[Ledger, str]) -> None:
    """The past's media goes with it."""
    store, session = recorded
    other = Ledger()
    await fork(store, session, seq_of(store, session, "TurnEnded", 2), desk, name="fork", into=other)
    report = await other.verify("fork")
    assert report.ok and report.segments > 0
    with pytest.raises(StoreError, match="fork"):
        await store.session("fork")


async def test_a_past_that_the_handler_does_not_repeat(recorded: tuple[Ledger, str]) -> None:
    """A changed handler diverges, and nothing is stored."""
    store, session = recorded

    async def changed(session: RealtimeSession) -> None:
        await session.say("Good evening")

    with pytest.raises(Divergence):
        await fork(store, session, 20, changed, name="fork")
    with pytest.raises(StoreError):
        await store.session("fork")


async def test_where_nothing_can_be_forked(recorded: tuple[Ledger, str]) -> None:
    """No such event, and a session that had ended by then: TL418. A name that is taken: TL409."""
    store, session = recorded
    end = seq_of(store, session, "SessionEnded")
    for at in (0, end, end + 1):
        with pytest.raises(StoreError) as raised:
            await fork(store, session, at, desk, name="fork")
        assert raised.value.code == "TL418", at
    with pytest.raises(StoreError) as raised:
        await fork(store, session, 5, desk, name=session)
    assert raised.value.code == "TL409"


async def test_a_handler_whose_timers_never_end(recorded: tuple[Ledger, str]) -> None:
    """It is stopped by name, not waited for."""

    async def polls(session: RealtimeSession) -> None:
        for _ in iter(int, 1):
            await asyncio.sleep(1e-6)

    store, session = recorded
    with pytest.raises(HandlerError, match="timers never end within 1 s"):
        await fork(store, session, 1, polls, name="fork", script=[Line(kind="wait", seconds=1.0)])


@pytest.mark.parametrize("line", ["/signal", "/signal paid {", "/wait soon", "/wait -1", "/wait 1e9", "/hangup now", "/nosuch"])
def test_a_line_that_is_not_understood_is_named(line: str) -> None:
    """TL105 with its number and the forms that there are."""
    with pytest.raises(HandlerError, match="line 2 of the script") as raised:
        parse_script(f"hello\n{line}")
    assert raised.value.code == "TL105" and "/signal NAME [JSON]" in raised.value.hint


def test_the_lines_of_a_script() -> None:
    """Words are turns; comments and empty lines are none."""
    assert parse_script("  I pay \n\n# no\n/wait 2.5\n/signal paid") == [
        Line(kind="turn", text="I pay"),
        Line(kind="wait", seconds=2.5),
        Line(kind="signal", text="paid"),
    ]


async def test_updates_and_streams_of_the_rest() -> None:
    """An update is applied; a stream without a recorded answer fails as NotRecorded, a recorded one gives its items again."""

    async def words(session: RealtimeSession) -> None:
        await session.update(instructions="Be brief")
        for text in ("ab", "xy"):
            try:
                said = [item async for item in session.stream(iter, text)]
            except StepError as error:
                said = [error.type_name]
            await session.say(" ".join(said))
            await session.signal("more")

    async with living(words) as alive:
        await alive.until(e.SaySettled)
        alive.session.end("enough")
        await alive.ended()
    at = seq_of(alive.store, alive.session.id, "LinkReady")
    done = await fork(alive.store, alive.session.id, at, words, name="fork", script=parse_script("/signal more\n/hangup"))
    assert done.not_recorded == ['stream(iter, "xy")']
    assert [one.command.text for one in of_type(alive.store, "fork", e.SayRequested)] == ["a b", "NotRecorded"]
