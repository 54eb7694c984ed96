"""A divergence is told whole: every kind of it, as values and in words."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.engine.living import living
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.divergence import DivergenceReport, DivergenceSide
from turnlog.core.errors import Divergence, HandlerError
from turnlog.core.ports import Recorded
from turnlog.engine.app import code_version
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.divergence import brief, command_of, first_difference
from turnlog.engine.offline.replay import replay

Handler = Callable[[RealtimeSession], Awaitable[None]]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


async def find(name: str, beds: list[int]) -> dict[str, str]:
    """A tool."""
    return {"name": name.title()}


async def desk(session: RealtimeSession) -> None:
    """The recorded handler."""
    await session.say("Hello")
    turn = await session.input()
    await session.call("find", name=turn.text, beds=[1, 2])
    await session.say("Good bye")


async def other_kind(session: RealtimeSession) -> None:
    await session.say("Hello")
    await session.say("Hello again")


async def other_arguments(session: RealtimeSession) -> None:
    await session.say("Hello")
    turn = await session.input()
    await session.call("find", name=turn.text, beds=[1, 3])


async def ends_early(session: RealtimeSession) -> None:
    await session.say("Hello")
    await session.input()


async def waits(session: RealtimeSession) -> None:
    await session.say("Hello")
    never = asyncio.Event()
    await never.wait()


async def asks_more(session: RealtimeSession) -> None:
    await desk(session)
    await session.say("Anything else?")


async def raises(session: RealtimeSession) -> None:
    await session.say("Hello")
    await session.input()
    raise RuntimeError("broken\ntoday")


async def record(handler: Handler = desk) -> list[Recorded]:
    """The log of a session with one typed turn."""
    async with living(handler, tools={"find": find}) as alive:
        alive.caller.type("ann")
        await alive.ended()
    return list(alive.store.scan(alive.session.id))


async def diverge(now: Handler, recorded: Handler = desk) -> tuple[DivergenceReport, Divergence]:
    """The report on a changed handler, its session's name taken out."""
    with pytest.raises(Divergence) as raised:
        replay(await record(recorded), now)
    return raised.value.report, raised.value


def site(handler: Any, line: int, command: str) -> DivergenceSide:
    """A command at a line of a handler, counted from its `async def`."""
    code = handler.__code__
    return DivergenceSide(
        command=command,
        file=code.co_filename,
        line=code.co_firstlineno + line,
        code=code_version(handler),
        python=PYTHON,
    )


HELLO, INPUT, CALL, BYE = '#1 say("Hello")', "#2 input()", '#3 call("find", name="ann", beds=[1, 2])', '#4 say("Good bye")'
RECORDED_INPUT = site(desk, 3, "input()")
RECORDED_CALL = site(desk, 4, 'call("find", name="ann", beds=[1, 2])')


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (
            other_kind,
            {
                "index": 2,
                "kind": "kind",
                "recorded": RECORDED_INPUT,
                "now": site(other_kind, 2, 'say("Hello again")'),
                "difference": "kind",
                "matched": [HELLO],
            },
        ),
        (
            other_arguments,
            {
                "index": 3,
                "kind": "arguments",
                "recorded": RECORDED_CALL,
                "now": site(other_arguments, 3, 'call("find", name="ann", beds=[1, 3])'),
                "difference": "kwargs.beds[1]: 2 was recorded, now 3",
                "field": "kwargs.beds[1]",
                "matched": [HELLO, INPUT],
            },
        ),
        (
            ends_early,
            {
                "index": 3,
                "kind": "ended",
                "recorded": RECORDED_CALL,
                "now": site(ends_early, 0, "return"),
                "difference": "a command is missing: the handler has returned",
                "matched": [HELLO, INPUT],
            },
        ),
        (
            waits,
            {
                "index": 2,
                "kind": "waits",
                "recorded": RECORDED_INPUT,
                "now": site(waits, 3, "(waits)"),
                "difference": "a command is missing: the handler waits for what the log does not bring",
                "matched": [HELLO],
            },
        ),
        (
            asks_more,
            {
                "index": 5,
                "kind": "added",
                "recorded": DivergenceSide(command="return", code=code_version(desk), python=PYTHON),
                "now": site(asks_more, 2, 'say("Anything else?")'),
                "difference": "a command was added at the end",
                "matched": [INPUT, CALL, BYE],
            },
        ),
        (
            raises,
            {
                "index": 3,
                "kind": "raised",
                "recorded": RECORDED_CALL,
                "now": site(raises, 3, 'raise RuntimeError("broken\\ntoday")'),
                "difference": "an exception where there was none: RuntimeError: broken\\ntoday",
                "matched": [HELLO, INPUT],
            },
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_each_kind_of_divergence_is_reported_whole(now: Handler, expected: dict[str, Any]) -> None:
    """The report has both sides with file, line, code and Python, what differs first, and what matched before."""
    report, error = await diverge(now)
    assert report == DivergenceReport(session=report.session, seq=report.seq, **expected)
    assert report.session.startswith("sess_")
    assert error.code == "TL101"


async def test_the_words_of_a_divergence() -> None:
    """Five lines and a hint: RECORDED and NOW one above the other, their columns aligned."""
    report, error = await diverge(other_arguments)
    then, now = report.recorded, report.now
    assert error.message.splitlines() == [
        f"divergence in {report.session} at command 3 (seq {report.seq})",
        f'  RECORDED  call("find", name="ann", beds=[1, 2])  {then.where}  code {then.code}  Python {PYTHON}',
        f'  NOW       call("find", name="ann", beds=[1, 3])  {now.where}  code {now.code}  Python {PYTHON}',
        "  first difference: kwargs.beds[1]: 2 was recorded, now 3",
        '  last matching:  #1 say("Hello")  #2 input()',
    ]
    assert f"code {then.code}" in error.hint and 'session.patched("…")' in error.hint


async def test_a_line_of_a_report_fits_a_hundred_columns() -> None:
    """However long the words, the names and the differences are."""

    async def long_words(session: RealtimeSession) -> None:
        await session.say("Hello " * 40)

    async def recorded(session: RealtimeSession) -> None:
        await session.say("Hello " * 39 + "there, and welcome " * 9)

    for now in (long_words, other_kind, raises):
        _, error = await diverge(now, recorded)
        assert max(map(len, str(error).splitlines())) <= 115, str(error)  # the first line has the code and the id
        assert max(map(len, error.message.splitlines()[1:])) <= 100


async def test_long_words_are_shown_where_they_part() -> None:
    """Of two long texts the place of the first difference is shown, not their common beginning."""
    same = "Welcome to the Grand Hotel, we are happy that you are here, "
    field, words = first_difference(c.Say(text=same + "Ann"), c.Say(text=same + "Bob"))
    assert (field, words) == ("text", 'text: "…here, Ann" was recorded, now "…here, Bob"')


@pytest.mark.parametrize(
    ("then", "now", "words"),
    [
        (
            c.Call(target="t", kwargs={"a": {"b": [1]}}),
            c.Call(target="t", kwargs={"a": {"b": []}}),
            "kwargs.a.b[0]: 1 was recorded, now nothing",
        ),
        (c.Call(target="t", args=[1]), c.Call(target="t", args=[1.0]), "args[0]: 1 was recorded, now 1.0"),
        (c.Call(target="t"), c.Call(target="t", kwargs={"x": None}), "kwargs.x: nothing was recorded, now None"),
        (c.Call(target="t"), c.Call(target="u"), 'target: "t" was recorded, now "u"'),
        (
            c.Step(name="m:f", options=c.Options(retries=1)),
            c.Step(name="m:f", options=c.Options(retries=2)),
            "options.retries: 1 was recorded, now 2",
        ),
        (c.Fail(type_name="A", message="m"), c.Fail(type_name="B", message="m"), 'type_name: "A" was recorded, now "B"'),
        (c.Input(), c.Input(), "encoding"),
    ],
)
def test_the_first_field_that_differs(then: c.Command, now: c.Command, words: str) -> None:
    """It is named by its path, however deep it lies; a part that is not there is `nothing`."""
    assert first_difference(then, now)[1] == words


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (c.Stream(name="m:words", args=[1], kwargs={"n": 2}), "stream(words, 1, n=2)"),
        (c.AwaitSignal(name="paid"), 'signal("paid")'),
        (c.Update(voice="ash", tools=[]), 'update(tools=[], voice="ash")'),
        (c.Patch(name="p"), 'patched("p")'),
        (c.Abandon(command=3), "(cancelled #3)"),
        (c.End(reason="x" * 90), f'end("{"x" * 57}…")'),
    ],
)
def test_a_command_in_a_line(command: c.Command, text: str) -> None:
    """It looks like the call that issued it; long values are cut."""
    assert brief(command) == text


def test_only_events_of_the_journal_record_commands() -> None:
    """Others are refused: whoever asks has mistaken one."""
    assert command_of(e.CommandAbandoned(index=4, command=2)) == (4, c.Abandon(command=2))
    with pytest.raises(TypeError, match="SpeechStopped records no command"):
        command_of(e.SpeechStopped(item="i", audio_end_ms=1))


async def test_input_and_output_in_a_handler_are_named() -> None:
    """What the loop refuses (TL104) is the exception where there was none; it is the divergence's cause."""

    async def reads(session: RealtimeSession) -> None:
        await session.say("Hello")
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)

    report, error = await diverge(reads)
    assert report.kind == "raised"
    assert re.match(r"an exception where there was none: HandlerError: TL104 loop.getaddrinfo\(\) at ", report.difference)
    assert isinstance(error.__cause__, HandlerError) and error.__cause__.code == "TL104"


async def test_a_handler_that_never_yields_is_stopped() -> None:
    """After two seconds it is interrupted where it runs (TL108), and the replay ends there."""

    async def spins(session: RealtimeSession) -> None:
        await session.say("Hello")
        while True:
            pass

    report, _ = await diverge(spins)
    assert report.kind == "raised"
    assert report.difference.startswith("an exception where there was none: HandlerStuck: TL108 the handler did not yield")
