"""Whatever a handler asks for, a caller does and a provider does wrong: what always holds of what is said and heard.

A case is a handler's program, a caller's script and a provider's habits; it plays on virtual time, and its log is replayed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.delivery.scenes import assert_sound, line, words
from turnlog import RealtimeSession, SessionEnded
from turnlog.core import events as e
from turnlog.core.errors import LinkClosed, TurnlogError
from turnlog.engine.handlers.handles import SayHandle
from turnlog.testing import Call, Faults, Kit, Pace, SpeakingProvider

NEEDS_A_LINE = frozenset("says mumbles types cancels clears truncates reports".split())
REFUSALS = ("conversation_already_has_active_response", "rate_limit_exceeded")
REPEATED = (
    *("response.created", "response.done", "response.output_item.added", "response.output_item.done"),
    *("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed"),
    *("session.updated", "conversation.item.input_audio_transcription.completed", "conversation.item.added"),
)


class Say(msgspec.Struct, frozen=True):
    """Have so many words said, as a stream or at once."""

    n: int
    options: dict[str, Any]
    streams: bool
    waits: bool


class TakeBack(msgspec.Struct, frozen=True):
    """Cancel one of the last says."""

    back: int


class Hear(msgspec.Struct, frozen=True):
    """Wait for a turn, at most so long."""

    timeout_s: float


class Pause(msgspec.Struct, frozen=True):
    """Think."""

    seconds: float


class Deed(msgspec.Struct, frozen=True):
    """Something that happens outside, so many ms after what happened before."""

    after_ms: int
    what: str


class Case(msgspec.Struct, frozen=True):
    """A whole call."""

    program: list[Say | TakeBack | Hear | Pause]
    deeds: list[Deed]
    definition: dict[str, Any]
    pace: Pace
    refusals: list[str]
    repeats: list[str]
    late_ms: int
    races: bool
    acknowledges: bool


SAY_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "when": st.sampled_from(["queue", "interrupt", "drop"]),
        "interruptible": st.booleans(),
        "mode": st.sampled_from(["out_of_band", "in_band"]),
        "on_stale": st.sampled_from(["hold", "drop", "speak"]),
        "on_mismatch": st.sampled_from(["log", "retry", "fail"]),
    },
)
STEPS = st.one_of(
    st.builds(Say, st.integers(1, 30), SAY_OPTIONS, st.booleans(), st.booleans()),
    st.builds(Say, st.integers(1, 30), SAY_OPTIONS, st.booleans(), st.booleans()),
    st.builds(TakeBack, st.integers(0, 2)),
    st.builds(Hear, st.sampled_from([0.3, 2.0, 8.0])),
    st.builds(Pause, st.sampled_from([0.02, 0.5, 3.0])),
)
DEEDS = st.builds(
    Deed,
    st.sampled_from([0, 5, 30, 200, 333, 900, 2500]),
    st.sampled_from(
        (
            "says says says mumbles coughs joins types cancels clears truncates reports dials hangs_up breaks expires "
            "drops drops comes_back comes_back comes_back"
        ).split()
    ),
)
CASES = st.builds(
    Case,
    st.lists(STEPS, min_size=1, max_size=7),
    st.lists(DEEDS, max_size=7),
    st.fixed_dictionaries(
        {},
        optional={
            "min_words": st.sampled_from([2]),
            "min_speech_ms": st.sampled_from([500]),
            "resume_after_false_start": st.just(True),
            "lead_ms": st.sampled_from([20, 300, 2000]),
            "echo": st.sampled_from(["client_aec", "guard", "half_duplex"]),
            "answers": st.just("model"),
            "reattach_grace_s": st.sampled_from([0, 2]),
        },
    ),
    st.builds(
        lambda speed, created, audio, hearing: Pace(speed=speed, created_ms=created, audio_ms=audio, hearing_ms=hearing),
        st.sampled_from([1.0, 1.3, 8.0, None]),
        st.sampled_from([0, 20, 700]),
        st.sampled_from([0, 200, 900]),
        st.sampled_from([0, 150, 1500]),
    ),
    st.lists(st.sampled_from(REFUSALS), max_size=4),
    st.lists(st.sampled_from(REPEATED), max_size=3, unique=True),
    st.sampled_from([0, 300, 2000]),
    st.booleans(),
    st.booleans(),
)


def handler(case: Case) -> Any:
    """The program as a handler."""

    async def stream(text: str) -> AsyncIterator[str]:
        for word in text.split():
            yield f"{word} "
            await asyncio.sleep(0.1)

    async def step(session: RealtimeSession, asked: Say | TakeBack | Hear | Pause, handles: list[SayHandle], n: int) -> None:
        match asked:
            case Say():
                text = words(asked.n, f"s{n}x")
                spoken = session.stream(stream, text) if asked.streams else text
                handles.append(await session.say(spoken, **asked.options))
                if asked.waits:
                    await handles[-1].settled()
            case TakeBack(back) if back < len(handles):
                await handles[-1 - back].cancel()
            case Hear(seconds):
                try:
                    await session.input(timeout=seconds)
                except TimeoutError:
                    pass
            case Pause(seconds):
                await asyncio.sleep(seconds)

    async def desk(session: RealtimeSession) -> None:
        handles: list[SayHandle] = []
        try:
            for n, asked in enumerate(case.program):
                await step(session, asked, handles, n)
        except SessionEnded:
            pass
        for handle in handles:
            await handle.settled()

    return desk


async def coughs(call: Call) -> None:
    """The provider hears a sound without words."""
    server = call.provider.line.server
    item = f"item_cough_{round(call.caller.now_ms)}_{len(call.caller.received)}"
    server.speech_started(item, 0)
    call.provider.line.flush()
    await asyncio.sleep(0.2)
    server.speech_stopped(item, 200)
    server.commit_audio(item)
    server.transcription_completed(item, "", {"type": "duration", "seconds": 0.2})
    call.provider.line.flush()


async def happens(call: Call, what: str) -> None:
    """One deed."""
    caller = call.caller
    deltas = caller.events("response.output_audio.delta")
    item = deltas[-1]["item_id"] if deltas else "item_none"
    if not call.provider.lines:  # the handler had nothing to say, and has ended
        return
    if caller.closed and what in NEEDS_A_LINE:
        return
    match what:
        case "says":
            await caller.says("hold on please")
        case "mumbles":
            await caller.says("mhm")
        case "coughs":
            await coughs(call)
        case "joins":
            with suppress(TurnlogError):  # it may be over
                await call.calls_in(acknowledges=True)
        case "types":
            caller.types("typed words")
        case "cancels":
            caller.sends({"type": "response.cancel"})
        case "clears":
            caller.sends({"type": "output_audio_buffer.clear"})
        case "truncates":
            played_ms = caller.playout.item_ms(item, caller.now_ns)
            place = {"item_id": item, "content_index": 0}
            caller.sends({"type": "conversation.item.truncate", **place, "audio_end_ms": played_ms})
        case "reports":
            played_ms = caller.playout.item_ms(item, caller.now_ns)
            caller.sends({"type": "turnlog.playout", "item_id": item, "played_ms": played_ms})
        case "dials":
            call.provider.dials("5")
        case "hangs_up":
            await caller.hangs_up()
        case "drops":
            await caller.drops()
            await asyncio.sleep(0)  # it has noticed
        case "comes_back":
            with suppress(TurnlogError):  # it may be over
                await caller.comes_back()
        case "breaks":
            await call.provider.disconnects(1006)
        case "expires":
            await call.provider.expires()


def assert_honest(call: Call) -> None:
    """What was heard of a say is a beginning of what it was to say; what was cut was over for the caller at once."""
    texts: dict[str, list[str]] = {}
    for one in call.of(e.SayDispatched):
        texts.setdefault(one.say, []).append(one.text)
    resumed = {one.say for one in call.of(e.SayResumed)}
    for settled in call.of(e.SaySettled):
        heard, asked = settled.heard_text.split(), " ".join(dict.fromkeys(texts.get(settled.say, []))).split()
        if settled.say not in resumed:
            assert heard == asked[: len(heard)], f"{settled.say}: heard {heard} of {asked}"
    dead = {event.response for event in call.of(e.ResponseStarted) if event.dead}
    cut: set[str] = set()
    for event in call.events:
        match event:
            case e.PlayoutCut():
                assert event.response not in cut, "cut twice"
                cut.add(event.response)
            case e.ResponseDelivered() | e.AudioStarted():
                assert event.response not in cut | dead, f"{type(event).__name__} of a dead response"
    truncated = [event["item_id"] for event in call.provider.events("conversation.item.truncate")]
    by_caller = {one.item for one in call.of(e.PlayoutAcknowledged)}
    twice = {item for item in truncated if truncated.count(item) > 1}
    assert twice <= by_caller, f"truncated twice: {twice}"
    assert not [one for one in call.provider.events("response.cancel") if "response_id" not in one]


def assert_accounted(call: Call) -> None:
    """What the one caller got and played is what the ledger says was delivered and heard, as far as a clock can tell."""
    ended, [caller] = call.of(e.PlayoutEnded), call.callers
    parts = [part for one in ended for part in one.heard]
    received_ms, heard_ms = (sum(getattr(one, what) for one in caller.heard) for what in ("received_ms", "heard_ms"))
    delivered_ms = sum(part.delivered_ms for part in parts)
    assert abs(received_ms - delivered_ms) <= len(parts) + 1, f"got {received_ms} of {delivered_ms} ms delivered"
    told_ms = sum(part.heard_ms for part in parts)
    error_ms = sum(max(one.error_ms, 50) for one in ended if one.heard)
    assert told_ms <= heard_ms + error_ms + 1, f"the ledger has {told_ms} ms heard, the caller {heard_ms}"


async def play(call: Call, case: Case, *, alone: bool) -> None:
    """The script of the outside, then as long as it takes. alone: nobody hears anything but the callers that the script knows."""
    call.caller.acknowledges = case.acknowledges
    await asyncio.sleep(0.01)
    try:
        for deed in case.deeds:
            await asyncio.sleep(deed.after_ms / 1000)
            await happens(call, deed.what)
    except LinkClosed:
        pass
    await call.ended(within_s=900)
    if alone and len(call.callers) == 1 and not any(deed.what == "hangs_up" for deed in case.deeds):
        await call.caller.falls_silent()
        assert_accounted(call)


async def nobody(call: Call) -> None:
    """No one else is there."""


def run(
    case: Case, *, reply: str, beside: Callable[[Call], Awaitable[None]] = nobody, faults: Faults | None = None
) -> Call:
    """The whole call; `reply`: what the model answers where it answers. beside: what is done when it has begun."""
    provider = SpeakingProvider(pace=case.pace, reply=reply)
    provider.mishaps.refusals += case.refusals
    provider.mishaps.repeats = set(case.repeats)
    provider.mishaps.late_ms, provider.mishaps.races = case.late_ms, case.races

    async def script(call: Call) -> None:
        await beside(call)
        await play(call, case, alone=beside is nobody and faults is None)
        report = await call.engine.store.verify(call.session.id)
        assert report.ok, report

    return Kit(0).run(line(handler(case), **case.definition), "line.talk", script, provider=provider, faults=faults)


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_what_always_holds(case: Case) -> None:
    """One terminal state each, one mouth, nothing of a dead response, heard words are a prefix, and the log replays."""
    call = run(case, reply=words(8, "model"))
    assert_sound(call)
    assert_honest(call)


@settings(max_examples=30, deadline=None)
@given(CASES, st.sampled_from([0.1, 0.5, 1.0]), st.sampled_from([30, 300, 1500]))
def test_the_same_holds_where_the_disk_is_slow(case: Case, share: float, slowest_ms: int) -> None:
    """What is decided while an append is under way breaks nothing of it: one commit in ten, half of them or all are slow."""
    call = run(case, reply=words(8, "model"), faults=Faults(1, slow_commit=share, slowest_ms=slowest_ms))
    assert_sound(call)
    assert_honest(call)
