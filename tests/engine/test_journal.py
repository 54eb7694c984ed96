"""The journal's commands: steps, streams, signals, updates, patches, and what is the same in every run."""

import ast
import asyncio
import inspect
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.engine.living import Living, Speaker, living
from turnlog import Divergence, HandlerError, SessionEnded, StepError, StoreError, VoiceLocked
from turnlog.core import events as e
from turnlog.core.codec import decode, encode
from turnlog.core.events import EVENT_TYPES
from turnlog.core.folds.conversation import Conversation
from turnlog.engine.app import Handler
from turnlog.engine.effects import STARTED, Effects
from turnlog.engine.handlers.record import OBSERVED, Record
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay


def named_by(*functions: Callable[..., object]) -> set[str]:
    """The event types that stand in the source of these."""
    trees = (ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))) for function in functions)
    return {node.attr for tree in trees for node in tree if isinstance(node, ast.Attribute)} & EVENT_TYPES.keys()


def test_nothing_that_is_looked_at_is_withheld() -> None:
    """The live loop shows a journal the events that its `observe` and the conversation name, and starts what effects name."""
    assert {kind.__name__ for kind in OBSERVED} == named_by(Record.observe, Conversation.apply)
    assert {kind.__name__ for kind in STARTED} == named_by(Effects.start)


def replays(alive: Living, handler: Handler) -> None:
    """The session replays whole and at every prefix."""
    log = list(alive.store.scan(alive.session.id))
    assert replay(log, handler).complete
    for until in range(1, len(log)):
        replay(log, handler, until=until)


ran: list[Any] = []


async def fetch(name: str, *, times: int = 1) -> dict[str, Any]:
    """A coroutine function of the handler's own."""
    ran.append(name)
    await asyncio.sleep(0)
    return {"name": name * times}


def compute(number: int) -> tuple[int, int]:
    """A plain function."""
    ran.append(number)
    return number, number * number


async def test_a_step_runs_outside_once_and_replays_without_running() -> None:
    """Coroutine functions and plain ones; the value is what the log gives back, and a replay calls nothing."""
    ran.clear()
    got: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        got.append(await session.step(fetch, "ann", times=2))
        got.append(await session.step(compute, 3))

    async with living(desk) as alive:
        await alive.ended()
        replays(alive, desk)
    assert got[:2] == [{"name": "annann"}, [3, 9]]
    assert ran == ["ann", 3]
    requested = alive.of(e.StepRequested)
    assert [(one.step, one.command.name.rpartition(":")[2]) for one in requested] == [("step_1", "fetch"), ("step_2", "compute")]
    assert requested[0].site.file == __file__


async def test_a_step_that_fails_is_a_step_error() -> None:
    """The name and words of what was raised come back through the log; a result that cannot be stored fails too."""
    caught: list[tuple[str, str]] = []

    def bad() -> None:
        raise OSError("no route")

    def unstorable() -> object:
        return object()

    async def desk(session: RealtimeSession) -> None:
        for function in (bad, unstorable):
            try:
                await session.step(function)
            except StepError as error:
                caught.append((error.type_name, error.detail))

    async with living(desk) as alive:
        await alive.ended()
        replays(alive, desk)
    assert caught[0] == ("OSError", "no route")
    assert caught[1][0] == "TypeError" and "cannot be stored" in caught[1][1]


async def test_attempts_are_logged_and_retried() -> None:
    """options(retries=2) tries three times, each failure a fact; the last success or failure is the completion."""
    tries: list[int] = []

    def flaky() -> str:
        tries.append(len(tries))
        if len(tries) < 3:
            raise ConnectionError(f"try {len(tries)}")
        return "well"

    async def desk(session: RealtimeSession) -> None:
        assert await session.options(retries=2, backoff=0.001).step(flaky) == "well"

    async with living(desk) as alive:
        await alive.ended()
        replays(alive, desk)
    failed = alive.of(e.AttemptFailed)
    assert [(one.attempt, one.type_name, one.message) for one in failed] == [
        (1, "ConnectionError", "try 1"),
        (2, "ConnectionError", "try 2"),
    ]


async def test_an_attempt_is_limited_in_time() -> None:
    """options(timeout=) of a call cancels the tool and fails as TimeoutError."""
    cancelled = asyncio.Event()
    caught: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async def desk(session: RealtimeSession) -> None:
        try:
            await session.options(timeout=0.02).call("slow")
        except StepError as error:
            caught.append(error.type_name)

    async with living(desk, tools={"slow": slow}) as alive:
        await alive.ended()
        replays(alive, desk)
    assert caught[0] == "TimeoutError"
    assert cancelled.is_set()


class Guest(msgspec.Struct):
    """What a result is converted to."""

    name: str


async def test_returns_converts_the_result() -> None:
    """options(returns=T) gives a T, live and in replay; a result that is none is a StepError."""
    got: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        typed = session.options(returns=Guest)
        got.append(await typed.step(fetch, "bo"))
        with pytest.raises(StepError, match="Guest"):
            await typed.step(compute, 1)
        either = session.options(returns=int | None)
        assert await either.step(str.find, "abc", "b") == 1
        with pytest.raises(StepError, match=r"int \| None"):
            await either.step(str.upper, "abc")

    async with living(desk) as alive:
        await alive.ended()
        replays(alive, desk)
    assert got[0] == Guest(name="bo")


async def test_options_that_cannot_be_are_refused() -> None:
    """Negative retries, a timeout that is no positive number, whatever the log could not read back."""
    wrongs: list[dict[str, Any]] = [{"timeout": 0}, {"timeout": float("inf")}, {"timeout": 10**400}, {"timeout": "3"}]
    wrongs += [{"retries": -1}, {"retries": 1.5}, {"retries": 2.0}, {"retries": True}, {"retries": 2**70}]
    wrongs += [{"backoff": -0.1}, {"backoff": float("nan")}, {"backoff": "1"}]

    async def desk(session: RealtimeSession) -> None:
        for wrong in wrongs:
            with pytest.raises(ValueError, match="options"):
                session.options(**wrong)
        with pytest.raises(HandlerError, match="cannot be called"):
            await session.step("fetch")  # type: ignore[arg-type] # what is tested

    async with living(desk) as alive:
        assert (await alive.ended()).reason == "completed"


async def count_to(n: int) -> Any:
    """An asynchronous generator function."""
    for number in range(n):
        await asyncio.sleep(0)
        yield number


def letters(text: str) -> Any:
    """A generator function."""
    yield from text


def breaks() -> Any:
    """A generator function that raises."""
    yield 1
    raise KeyError("gone")


async def test_a_stream_comes_item_by_item_and_replays() -> None:
    """Asynchronous and plain generators; each item is in the log before the handler has it; the end is the end."""
    got: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        got.append([item async for item in session.stream(count_to, 3)])
        got.append([item async for item in session.stream(letters, "ab")])
        with pytest.raises(StepError, match="gone"):
            async for item in session.stream(breaks):
                got.append(item)  # noqa: PERF401 -- what came before the error must be seen

    async with living(desk) as alive:
        await alive.ended()
        replays(alive, desk)
    assert got[:3] == [[0, 1, 2], ["a", "b"], 1]
    assert [one.n for one in alive.of(e.StreamItem)] == [1, 2, 3, 1, 2, 1]
    assert [one.type_name for one in alive.of(e.StreamEnded)] == ["", "", "KeyError"]


async def test_a_stream_that_is_left_replays() -> None:
    """A handler that breaks out of a stream goes on; what still comes is recorded and ignored."""

    async def desk(session: RealtimeSession) -> None:
        async for item in session.stream(count_to, 5):
            if item == 1:
                break
        await session.say("done")

    async with living(desk) as alive:
        await alive.ended()
        replays(alive, desk)
    assert alive.provider.spoken == ["done"]


async def test_a_signal_is_received_once_for_each_key() -> None:
    """engine.signal wakes session.signal with its data, before or after it is awaited; one key is one signal."""
    got: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        got.append(await session.signal("paid"))
        got.append(await session.signal("paid"))

    async with living(desk) as alive:
        await alive.until(e.SignalAwaited)
        alive.engine.signal(alive.session.id, "other", 0)
        alive.engine.signal(alive.session.id, "paid", {"euro": 5}, key="k1")
        alive.engine.signal(alive.session.id, "paid", {"euro": 5}, key="k1")
        alive.engine.signal(alive.session.id, "paid", [7])
        await alive.ended()
        replays(alive, desk)
        with pytest.raises(Exception, match="TL408"):
            alive.engine.signal("nobody", "paid")
    assert got[:2] == [{"euro": 5}, [7]]
    assert len(alive.of(e.SignalReceived)) == 3


async def test_a_signal_that_never_comes_ends_with_the_session() -> None:
    """session.signal() raises SessionEnded when the caller has gone."""
    caught: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        try:
            await session.signal("never")
        except SessionEnded as ended:
            caught.append(ended.code)
            raise

    async with living(desk) as alive:
        await alive.until(e.SignalAwaited)
        await alive.caller.hang_up()
        assert (await alive.ended()).reason == "caller_gone"
        replays(alive, desk)
    assert caught[0] == "TL102"


async def test_an_update_is_confirmed_by_the_provider() -> None:
    """update() returns when the provider has confirmed; instructions, tools and voice are what was asked."""

    async def desk(session: RealtimeSession) -> None:
        await session.update(instructions="Be brief.", voice="cedar", tools=["greet"])
        await session.say("hello")

    async def greet() -> str:
        return "hi"

    async with living(desk, tools={"greet": greet}, answers="model", voice="marin") as alive:
        await alive.ended()
        replays(alive, desk)
        session = alive.provider.server.session
    assert session["instructions"] == "Be brief."
    assert session["audio"]["output"]["voice"] == "cedar"
    assert [tool["name"] for tool in session["tools"]] == ["greet"]
    assert len(alive.of(e.UpdateApplied)) == 1


async def test_a_voice_that_was_heard_is_locked() -> None:
    """Another voice after the first audio is VoiceLocked; the same one is no change; an unknown tool is refused by name."""
    caught: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("hello")).settled()
        try:
            await session.update(voice="cedar")
        except VoiceLocked as locked:
            caught.append(locked.code)
        await session.update(voice="marin")
        try:
            await session.update(tools=["nothing"])
        except StepError as error:
            caught.append(error.detail)

    async with living(desk, voice="marin", provider=Speaker(ms=20)) as alive:
        await alive.ended()
        replays(alive, desk)
    assert caught[0] == "TL110"
    assert "'nothing'" in caught[1]


async def test_time_chance_and_ids_are_the_same_in_a_replay() -> None:
    """now(), random and uuid() give what they gave live."""
    seen: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        await asyncio.sleep(0.01)
        seen.append((session.now(), session.random.random(), session.random.randint(1, 6), session.uuid()))
        await session.say(f"{session.now().isoformat()} {session.random.random()} {session.uuid()}")

    before = datetime.now(UTC)
    async with living(desk) as alive:
        await alive.ended()
        replays(alive, desk)
    assert len(set(seen)) == 1
    assert before <= seen[0][0] <= datetime.now(UTC)
    assert seen[0][3].version == 4


async def test_a_patch_lets_old_sessions_replay() -> None:
    """patched() is true live and in replays of sessions that ran with it, false in those recorded before."""

    async def old(session: RealtimeSession) -> None:
        await session.say("Hello")

    async def new(session: RealtimeSession) -> None:
        await session.say("Welcome" if session.patched("warmer") and session.patched("warmer") else "Hello")

    async def careless(session: RealtimeSession) -> None:
        await session.say("Welcome")

    async with living(old) as alive:
        await alive.ended()
        replays(alive, new)
        with pytest.raises(Divergence):
            replays(alive, careless)
    async with living(new) as alive:
        await alive.ended()
        replays(alive, new)
        with pytest.raises(Divergence, match="patched"):
            replays(alive, old)
    assert alive.provider.spoken == ["Welcome"]


async def test_conversation_and_outbox_are_what_the_log_says() -> None:
    """Both sides as heard, and the says in AgentField's form, the same in a replay."""
    seen: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        turn = await session.input()
        handle = await session.say(f"You said {turn.text}", metadata={"n": 1})
        await handle.settled()
        seen.append(([(line.role, line.text) for line in session.conversation], session.outbox))

    async with living(desk, provider=Speaker(ms=20)) as alive:
        alive.caller.type("hello")
        await alive.ended()
        replays(alive, desk)
    assert seen[0] == (
        [("user", "hello"), ("assistant", "You said hello")],
        [{"type": "speech", "text": "You said hello", "metadata": {"n": 1}}],
    )
    assert all(one == seen[0] for one in seen)


async def test_what_a_handler_is_given_is_its_own() -> None:
    """Changing metadata or an entry of the outbox changes nothing of the session: neither its state nor its log."""
    changed: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        await session.say("Hi", metadata={"desk": [1]})
        session.outbox[0]["metadata"]["desk"].append(2)
        session.metadata["room"].append(13)
        assert session.options(retries=1).metadata is session.metadata
        changed.append((session.outbox[0]["metadata"], session.metadata))

    async with living(desk, metadata={"room": [12]}) as alive:
        await alive.ended()
        assert alive.session._started.metadata == {"room": [12]}
        replays(alive, desk)
    assert changed[:1] == [({"desk": [1, 2]}, {"room": [12, 13]})]
    assert changed[0] == changed[-1]


@pytest.mark.parametrize("use", ["say", "patched", "uuid", "random"])
async def test_only_the_handler_drives_its_session(use: str) -> None:
    """A step that uses the session of its handler is refused with TL104 by name, for no replay would run it."""
    caught: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        async def outside() -> None:
            match use:
                case "say":
                    await session.say("From outside")
                case "patched":
                    session.patched("new")
                case "uuid":
                    session.uuid()
                case _:
                    session.random.random()

        try:
            await session.step(outside)
        except StepError as error:
            caught.append(error.detail)
        await session.say(f"Bye {session.random.random()} {session.uuid()}")

    async with living(desk) as alive:
        await alive.ended()
        replays(alive, desk)
    assert "TL104 session." + use in caught[0] and "test_journal.py:" in caught[0]
    assert len(alive.of(e.SayRequested)) == 1


async def test_one_session_is_not_driven_by_another_sessions_handler() -> None:
    """A handler that calls into a session that is not its own is refused with TL104, and that session's log knows nothing."""
    sessions: list[RealtimeSession] = []
    refused: list[HandlerError] = []

    async def desk(session: RealtimeSession) -> None:
        sessions.append(session)
        if len(sessions) == 1:
            await session.signal("go on")
        else:
            with pytest.raises(HandlerError, match="TL104") as raised:
                await sessions[0].say("From next door")
            refused.append(raised.value)

    async with living(desk) as alive:
        other = await alive.engine.start("hotel.desk")
        await asyncio.wait_for(other.ended(), 10)
        alive.session.signal("go on")
        await alive.ended()
    assert refused and not alive.of(e.SayRequested)


async def test_a_recorded_value_that_does_not_decode_is_named() -> None:
    """The msgpack of a result, an item or a signal is spoiled inside of a sound event: TL407 names where, in the replay."""

    async def desk(session: RealtimeSession) -> None:
        await session.step(compute, 3)
        async for _ in session.stream(letters, "a"):
            pass
        await session.signal("paid")

    async with living(desk) as alive:
        await alive.until(e.SignalAwaited)
        alive.engine.signal(alive.session.id, "paid", 5)
        await alive.ended()
        replays(alive, desk)
        log = list(alive.store.scan(alive.session.id))
    spoilt = b"\xc1 is no msgpack"
    fields = [("CallCompleted", "result", "the result in"), ("StreamItem", "item", "item 1")]
    fields.append(("SignalReceived", "data", "the signal in"))
    for kind, field, where in fields:
        place = next(n for n, recorded in enumerate(log) if recorded.type == kind)
        event = decode(log[place])
        assert isinstance(event, e.Event)
        data = encode(msgspec.structs.replace(event, **{field: spoilt}), bytes(16))[2]
        with pytest.raises(StoreError, match=f"TL407.*{where}"):
            replay([*log[:place], log[place]._replace(data=data), *log[place + 1 :]], desk)
