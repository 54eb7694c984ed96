"""The live loop: causes are durable before anything acts, every message is in the log, and no peer can break the session."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.living import PATIENCE_S, Caller, Ledger, Speaker, app_of, assert_rebuilt, living
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.codec import decode, encode
from turnlog.core.core import SessionCore
from turnlog.core.definition import SessionDefinition
from turnlog.core.errors import Fenced, LinkError, StoreError, WrongExpectedSeq
from turnlog.core.ports import Draft, Link, SessionRow
from turnlog.engine.clock import Clock
from turnlog.engine.effects import Effects
from turnlog.engine.handlers.callback import in_callback
from turnlog.engine.handlers.handler_run import HandlerRun
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.inbox import rounds
from turnlog.engine.nonces import Nonces
from turnlog.engine.offline.replay import replay
from turnlog.engine.run import SessionRun
from turnlog.engine.session_log import SessionLog
from turnlog.engine.toolbox import Toolbox
from turnlog.store.open import open_store
from turnlog.transports.links.in_process import InProcessLink, host
from turnlog.transports.realtime.caller_leg import CallerLeg
from turnlog.transports.realtime.provider_leg import ProviderLeg
from turnlog.transports.realtime.wire import parse


async def echo(session: RealtimeSession) -> None:
    """Say back what is said, until "bye"."""
    async for turn in session.turns():
        await session.say(f"You said {turn.text}")
        if turn.text == "bye":
            break


async def wait(session: RealtimeSession) -> None:
    """Listen until the end."""
    async for _ in session.turns():
        pass


# --- the log holds everything ---


async def test_every_message_can_be_rebuilt() -> None:
    """Each link and direction: ordinals without gap, byte for byte what the peers sent and received, in order."""
    async with living(echo, provider=Speaker(ms=300), callers=2) as alive:
        await alive.until(e.LinkReady)
        for _ in range(30):
            alive.caller.append()
        await alive.provider.until("input_audio_buffer.append", 30)
        alive.caller.type("hello")
        await alive.until(e.SaySettled)
        alive.caller.append()
        alive.provider.hear("bye", "item_bye")
        await alive.ended()
        for caller in alive.callers:
            await caller.until_closed()
        store, session = alive.store, alive.session.id
        assert_rebuilt(store, session, "p1.in", alive.provider.sent, whole=False)
        assert_rebuilt(store, session, "p1.out", alive.provider.received)
        for name, caller in zip(("c1", "c2"), alive.callers, strict=True):
            assert_rebuilt(store, session, f"{name}.in", caller.sent)
            assert_rebuilt(store, session, f"{name}.out", caller.received)
        report = await store.verify(session)
    assert report.ok, report.problems
    assert report.segments >= 6
    assert [one.status for one in alive.of(e.SaySettled)] == ["played", "played"]
    replay(list(store.scan(session)), echo)


async def test_media_at_the_very_end_is_in_the_log() -> None:
    """Audio that is handed on in the round that begins the end is committed with or before SessionEnded."""

    async def deaf(session: RealtimeSession) -> None:
        await asyncio.Event().wait()  # so that no command of its own brings one more round

    async with living(deaf) as alive:
        await alive.until(e.LinkReady)
        alive.store.may_append.clear()
        alive.caller.send(b"{")  # something that brings an append, and no answer from the provider
        await alive.store.until_held()
        alive.session.end("enough", drain=False)
        alive.caller.append()
        for _ in range(3):
            await asyncio.sleep(0)
        alive.store.may_append.set()
        await alive.ended()
        assert "input_audio_buffer.append" in alive.provider.types()
        assert_rebuilt(alive.store, alive.session.id, "c1.in", alive.caller.sent)
        assert_rebuilt(alive.store, alive.session.id, "p1.out", alive.provider.received)
    assert isinstance(alive.story[-1], e.SessionEnded)


async def test_media_is_written_behind_by_a_segment() -> None:
    """Media that nothing follows is in the log soon after: the segment closes by itself."""
    async with living(wait) as alive:
        await alive.until(e.LinkReady)
        before = len(alive.story)
        alive.caller.append()
        recorded = await alive.until(e.MediaRecorded, 2)
        assert {type(event) for event in alive.story[before:]} == {e.MediaRecorded}
        assert recorded.duration_ms == 20


async def test_records_are_written_while_more_of_them_come() -> None:
    """A provider that never pauses with what nobody acts on does not keep it, or the media before it, out of the log."""
    async with living(wait) as alive:
        await alive.until(e.LinkReady)
        had = len(alive.of(e.TransportReceived))
        alive.caller.append()
        async with asyncio.timeout(2):
            while len(alive.of(e.TransportReceived)) == had:
                for _ in range(50):
                    alive.provider.send(b'{"type":"rate_limits.updated","event_id":"r","rate_limits":[]}')
                    await asyncio.sleep(0)
        assert alive.of(e.MediaRecorded)


async def test_media_stands_before_the_turn_that_it_became() -> None:
    """A turn in the log never points at audio that is not there yet."""
    async with living(wait) as alive:
        await alive.until(e.LinkReady)
        alive.caller.append(400)
        await alive.provider.until("input_audio_buffer.append")
        alive.provider.hear("hello", "item_1")
        await alive.until(e.TurnEnded)
        kinds = [type(event) for event in alive.story]
        heard = [one for one in alive.of(e.MediaRecorded) if one.track == "c1.in"]
        assert sum(one.duration_ms for one in heard) == 400
        assert kinds.index(e.MediaRecorded) < kinds.index(e.SpeechStarted) < kinds.index(e.TurnEnded)


async def test_a_burst_arrives_whole_and_in_order() -> None:
    """A provider's whole response in one batch: the caller gets the full sequence, and all of its audio counts as heard."""

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("A long sentence")).settled()

    async with living(desk, provider=Speaker(ms=100)) as alive:
        await alive.ended()
        await alive.caller.until_closed()
    types = alive.caller.types()
    assert types == [
        "session.created",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        *["response.output_audio.delta"] * 5,
        "response.output_audio_transcript.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    settled = alive.of(e.SaySettled)[0]
    assert (settled.status, settled.heard_ms, settled.heard_text) == ("played", 100, "A long sentence")


async def test_a_cause_is_named_for_every_event() -> None:
    """Each event's cause is an earlier event of the log or a root, and each say leads back to the turn it answers."""
    async with living(echo) as alive:
        alive.caller.type("bye")
        await alive.ended()
    recorded = {one.seq: one for one in alive.store.scan(alive.session.id)}
    assert all(one.cause < one.seq and (one.cause > 0 or one.cause in list(e.Root)) for one in recorded.values())
    at = next(one for one in recorded.values() if one.type == "SaySettled")
    dispatched = next(one for one in recorded.values() if one.type == "SayDispatched")
    asked = recorded[dispatched.cause]
    turn = recorded[asked.cause]
    assert (asked.type, turn.type, at.type) == ("SayRequested", "TurnEnded", "SaySettled")
    assert recorded[turn.cause].type == "TransportReceived"


# --- nothing acts before its cause is durable ---


async def test_nothing_is_sent_before_its_append() -> None:
    """While an append hangs neither the provider nor a caller gets a control message; afterwards both do."""
    async with living(echo) as alive:
        await alive.until(e.LinkReady)
        await alive.caller.until("session.created")
        provider_had, caller_had = len(alive.provider.received), len(alive.caller.received)
        alive.store.may_append.clear()
        alive.caller.type("hello")
        await alive.store.until_held()
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(alive.provider.received) == provider_had
        assert len(alive.caller.received) == caller_had
        alive.store.may_append.set()
        await alive.caller.until("response.done")
        assert alive.provider.spoken == ["You said hello"]


async def test_no_handler_sees_a_turn_before_it_is_durable() -> None:
    """A turn reaches the handler, and a call its tool, only after the append that holds it."""
    seen: list[str] = []

    async def note() -> None:
        seen.append("tool")

    async def desk(session: RealtimeSession) -> None:
        turn = await session.input()
        seen.append(turn.text)
        await session.call("note")

    async with living(desk, tools={"note": note}) as alive:
        await alive.until(e.LinkReady)
        alive.store.may_append.clear()
        alive.caller.type("hello")
        await alive.store.until_held()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not seen
        alive.store.may_append.set()
        await alive.ended()
    assert seen == ["hello", "tool"]


async def test_media_does_not_wait_for_the_log() -> None:
    """Audio reaches the provider while nothing can be appended, as long as no control message waits before it."""
    async with living(wait) as alive:
        await alive.until(e.LinkReady)
        await alive.caller.until("session.created")
        alive.store.may_append.clear()
        alive.caller.append()
        await alive.provider.until("input_audio_buffer.append")
        assert not alive.of(e.MediaRecorded) or alive.of(e.MediaRecorded)[-1].track != "p1.out"
        alive.store.may_append.set()


async def test_early_audio_comes_before_its_commit() -> None:
    """What a caller says and commits before the provider is ready reaches it in that order."""
    provider = Speaker()
    provider.may_greet.clear()
    async with living(wait, provider=provider) as alive:
        await alive.caller.until("session.created")
        for _ in range(10):
            alive.caller.append()
        alive.caller.send({"type": "input_audio_buffer.commit"})
        await alive.until(e.InputCommitAsked)
        provider.may_greet.set()
        await provider.until("input_audio_buffer.commit")
        assert provider.types() == ["session.update", *["input_audio_buffer.append"] * 10, "input_audio_buffer.commit"]
        await alive.until(e.InputCommitted)
        assert not alive.of(e.PeerFaulted)
        alive.session.end("enough", drain=False)
        await alive.ended()
        assert_rebuilt(alive.store, alive.session.id, "p1.out", provider.received)


async def test_a_say_waits_for_a_caller() -> None:
    """A say asked for while nobody listens is sent once a caller is attached."""

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("Hello, at last")).settled()

    async with living(desk, callers=0) as alive:
        await alive.until(e.LinkReady)
        assert alive.provider.spoken == []
        await alive.call_in()
        ended = await alive.ended()
        done = await alive.caller.until("response.done")
    assert ended.reason == "completed"
    assert alive.provider.spoken == ["Hello, at last"]
    assert done[0]["response"]["output"][0]["content"][0]["transcript"] == "Hello, at last"


async def test_the_fold_drives_delivery() -> None:
    """A log made by hand with a say that is owed: loaded into a core, a run with links sends it without any handler's word."""

    async def silent(session: RealtimeSession) -> None:
        await session.say("From the log")
        await session.input()

    store = Ledger()
    app = app_of(silent)
    definition = app.resolve("hotel.desk").definition
    started = e.SessionStarted(session="s", target="hotel.desk", definition=definition)
    say = e.SayRequested(index=1, say="say_1", command=c.Say(text="From the log"), site=c.Site("", 0))
    clock = Clock()
    row = SessionRow("s", "", "hotel.desk", "scripted", "in_process", "active", "3.11", "", 1, 0, clock.now_ns(), None)
    head = await store.create(row)
    drafts = []
    for event in (started, say):
        type_, version, data = encode(event, os.urandom(16))
        drafts.append(Draft(type_, version, clock.now_ns(), e.Root.START, data))
    head = await store.append(head, drafts)

    core = SessionCore()
    handler = HandlerRun(silent, started, clock.now_ns())
    for recorded in store.scan("s"):
        core.apply(recorded.seq, recorded.at_ns, decode(recorded))
        if recorded.type == "SessionStarted":
            await in_callback(handler.start, recorded.seq)
        else:
            await in_callback(handler.deliver, recorded.seq, recorded.at_ns, say)
    provider, caller = Speaker(), Caller()
    run = SessionRun(core, SessionLog(store, head, Nonces()), clock, handler, Effects(Toolbox("hotel", {})))
    link = await provider.connect(definition, "s")
    from_provider = run.attach("p1", link, ProviderLeg("p1", []), "in_process", "speaker")
    readers = [asyncio.create_task(from_provider)]
    readers.append(asyncio.create_task(run.attach("c1", caller.theirs, _caller_leg(), "in_process", "")))
    driving = asyncio.create_task(run.run())
    await provider.until("response.create")
    await caller.until("response.done")
    assert provider.spoken == ["From the log"]
    await caller.link.close()
    await link.close()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*readers, driving)
    await in_callback(handler.close)
    assert (await store.verify("s")).ok


def _caller_leg() -> CallerLeg:
    count = itertools.count()
    return CallerLeg("c1", "speaker", lambda kind: f"{kind}_{next(count)}")


# --- peers ---


async def test_two_callers_hear_the_same() -> None:
    """Every caller gets the audio and the words of a say, each with ids of its own."""
    async with living(echo, callers=2) as alive:
        alive.caller.type("bye")
        await alive.ended()
        for caller in alive.callers:
            await caller.until_closed()
    deltas = [[event["delta"] for event in caller.events("response.output_audio.delta")] for caller in alive.callers]
    assert deltas[0] == deltas[1] != []
    assert alive.callers[0].events("response.done")[0] != alive.callers[1].events("response.done")[0]


async def test_a_late_caller_is_greeted_first() -> None:
    """A caller that is attached while events are being committed learns of none of them before its session.created."""
    async with living(wait) as alive:
        await alive.until(e.LinkReady)
        alive.store.may_append.clear()
        alive.caller.type("hello")
        await alive.store.until_held()
        alive.provider.server.speech_started("item_1", 0)
        alive.provider.flush()
        for _ in range(5):
            await asyncio.sleep(0)
        late = await alive.call_in()
        alive.store.may_append.set()
        await late.until("session.created")
        alive.provider.server.speech_stopped("item_1", 500)
        alive.provider.flush()
        await late.until("input_audio_buffer.speech_stopped")
    said_before = ["conversation.item.added", "conversation.item.done"]
    assert late.types()[:4] == ["session.created", *said_before, "input_audio_buffer.speech_stopped"]


async def test_a_caller_may_commit_its_audio_itself() -> None:
    """With turn_detection null the caller's commit goes upstream, and the words that come of it are a turn."""
    async with living(echo) as alive:
        await alive.until(e.LinkReady)
        update = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        alive.caller.send({"type": "session.update", "session": update})
        for _ in range(10):
            alive.caller.append()
        alive.caller.send({"type": "input_audio_buffer.commit"})
        await alive.provider.until("input_audio_buffer.commit")
        committed = await alive.until(e.InputCommitAsked)
        alive.provider.server.transcription_completed(
            alive.provider.server.items[-1]["id"], "bye", {"type": "duration", "seconds": 0.2}
        )
        alive.provider.flush()
        await alive.ended()
        mine = (await alive.caller.until("input_audio_buffer.committed"))[0]["item_id"]
        words = await alive.caller.until("conversation.item.input_audio_transcription.completed")
    assert committed.link == "c1"
    assert [(one["item_id"], one["transcript"]) for one in words] == [(mine, "bye")]
    assert alive.provider.spoken == ["You said bye"]


async def test_out_of_band_responses_are_refused_by_name() -> None:
    """A caller's response.create with conversation none ends failed with not_supported, and makes no turn."""
    async with living(wait) as alive:
        alive.caller.send({"type": "response.create", "response": {"conversation": "none"}})
        done = (await alive.caller.until("response.done"))[0]["response"]
        assert done["status"] == "failed"
        assert done["status_details"]["error"]["code"] == "not_supported"
        assert not alive.of(e.AnswerAsked)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "TL304"),
        (b"[]", "TL304"),
        (b"\xff\xfe", "TL304"),
        (b'{"type":5}', "TL304"),
        (b'{"type":"input_audio_buffer.append","audio":4}', "TL305"),
        (b"{}" * 3, "TL304"),
    ],
)
async def test_what_a_caller_sends_cannot_break_the_session(raw: bytes, code: str) -> None:
    """Bytes that are no message are in the log with a PeerFaulted, answered with an error, and the session goes on."""
    async with living(echo) as alive:
        await alive.until(e.LinkReady)
        alive.caller.send(raw)
        answer = (await alive.caller.until("error"))[0]
        alive.caller.type("bye")
        await alive.ended()
        assert_rebuilt(alive.store, alive.session.id, "c1.in", alive.caller.sent)
    assert answer["error"]["type"] == "invalid_request_error"
    fault = alive.of(e.PeerFaulted)[0]
    assert (fault.link, fault.code) == ("c1", code)
    assert alive.provider.spoken == ["You said bye"]


@pytest.mark.parametrize("raw", [b"{", b"\xff", b'{"type":"response.done"}', b'{"type":"response.created","response":4}'])
async def test_what_a_provider_sends_cannot_break_the_session(raw: bytes) -> None:
    """The provider's unreadable messages become PeerFaulted; the caller hears nothing of it and the session goes on."""
    async with living(echo) as alive:
        await alive.until(e.LinkReady)
        alive.provider.send(raw)
        fault = await alive.until(e.PeerFaulted)
        alive.caller.type("bye")
        await alive.ended()
    assert (fault.link, fault.code) == ("p1", "TL304")
    assert "error" not in alive.caller.types()
    assert alive.provider.spoken == ["You said bye"]


@pytest.mark.parametrize("busy", [False, True])
async def test_a_callers_audio_that_is_no_base64_is_answered(busy: bool) -> None:
    """Bad base64 in an append, alone or behind a control message, gets the caller an error, a PeerFaulted, and no end."""
    async with living(echo) as alive:
        await alive.until(e.LinkReady)
        await alive.caller.until("session.created")
        await asyncio.sleep(0)
        if busy:
            alive.caller.send({"type": "input_audio_buffer.clear"})
        alive.caller.send({"type": "input_audio_buffer.append", "event_id": "mine", "audio": "not base64!"})
        answer = (await alive.caller.until("error"))[0]
        fault = await alive.until(e.PeerFaulted)
        alive.caller.type("bye")
        await alive.ended()
        await alive.caller.until_closed()
        assert_rebuilt(alive.store, alive.session.id, "c1.in", alive.caller.sent)
        assert_rebuilt(alive.store, alive.session.id, "c1.out", alive.caller.received)
    assert answer["error"]["event_id"] == "mine"
    assert (fault.link, fault.code) == ("c1", "TL305")
    assert alive.provider.types().count("input_audio_buffer.append") == 0


@pytest.mark.parametrize("busy", [False, True])
async def test_a_providers_audio_that_is_no_base64_is_skipped(busy: bool) -> None:
    """Bad base64 in an audio delta is recorded and named as a fault of the provider; the session goes on."""
    place = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    delta = json.dumps({"type": "response.output_audio.delta", **place, "delta": "###"}).encode()
    async with living(echo) as alive:
        await alive.until(e.LinkReady)
        await alive.caller.until("session.created")
        await asyncio.sleep(0)
        if busy:
            alive.provider.send(b'{"type":"input_audio_buffer.cleared"}')
        alive.provider.send(delta)
        fault = await alive.until(e.PeerFaulted)
        alive.caller.type("bye")
        await alive.ended()
        assert_rebuilt(alive.store, alive.session.id, "p1.in", alive.provider.sent, whole=False)
    assert (fault.link, fault.code) == ("p1", "TL305")
    assert alive.provider.spoken == ["You said bye"]


async def test_a_providers_broken_order_does_not_end_the_session() -> None:
    """Speech that starts in an item which is there already breaks the caller's protocol: a fault, and the session goes on."""
    committed = b'{"type":"input_audio_buffer.committed","item_id":"twice","previous_item_id":null}'
    started = b'{"type":"input_audio_buffer.speech_started","item_id":"twice","audio_start_ms":0}'
    done = b'{"type":"conversation.item.input_audio_transcription.completed","item_id":"twice","transcript":"once"}'
    async with living(echo) as alive:
        await alive.until(e.LinkReady)
        for raw in (committed, started, done):
            alive.provider.send(raw)
        fault = await alive.until(e.PeerFaulted)
        alive.caller.type("bye")
        ended = await alive.ended()
    assert (fault.link, fault.code) == ("c1", "TL307")
    assert ended.reason == "completed"


async def test_a_second_response_done_changes_nothing() -> None:
    """response.done twice while the audio still plays: one ResponseEnded, one settlement."""
    async with living(echo, provider=Speaker(ms=60)) as alive:
        alive.caller.type("bye")
        await alive.until(e.ResponseEnded)
        alive.provider.send(next(raw for raw in alive.provider.sent if parse(raw).type == "response.done"))
        await alive.ended()
    assert len(alive.of(e.ResponseEnded)) == 1
    assert [one.status for one in alive.of(e.SaySettled)] == ["played"]


@pytest.mark.parametrize("while_speaking", [False, True])
async def test_a_caller_may_leave_while_being_told(while_speaking: bool) -> None:
    """What cannot be sent any more is skipped, be it answer or audio; the loss of the link is told by its reader."""

    async def desk(session: RealtimeSession) -> None:
        if while_speaking:
            await session.say("Nobody is left to hear this")
        await session.input()

    provider = Speaker(ms=200)
    provider.may_answer.clear()
    async with living(desk, provider=provider) as alive:
        await alive.until(e.LinkReady)
        await alive.caller.until("session.created")
        if while_speaking:
            await provider.until("response.create")
        alive.store.may_append.clear()
        alive.caller.send({"type": "input_audio_buffer.clear"})
        await alive.store.until_held()
        provider.may_answer.set()
        if while_speaking:
            await provider.answered.wait()
        await asyncio.sleep(0)
        await alive.caller.hang_up()
        alive.store.may_append.set()
        assert (await alive.ended()).reason == "caller_gone"
        assert (await alive.store.verify(alive.session.id)).ok
    assert [one.link for one in alive.of(e.LinkClosed)] == ["c1"]
    replay(list(alive.store.scan(alive.session.id)), desk)


# --- ends ---


async def test_a_handler_that_raises_ends_the_session() -> None:
    """HandlerFailed, SessionEnding (handler_failed, TL106), says settled, SessionEnded; the caller's link closes 1011."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("One")
        await session.say("Two")
        raise RuntimeError("no \ud800 such guest")

    async with living(desk) as alive:
        ended = await alive.ended()
        closed = await alive.caller.until_closed()
    assert (ended.reason, ended.code) == ("handler_failed", "TL106")
    assert "RuntimeError: no \\ud800 such guest" in ended.detail
    assert len(alive.of(e.SaySettled)) == 2
    assert closed.close_code == 1011
    kinds = [type(event) for event in alive.story]
    order = [kinds.index(kind) for kind in (e.HandlerFailed, e.SessionEnding, e.SessionEnded)]
    assert order == sorted(order)
    replay(list(alive.store.scan(alive.session.id)), desk)


@pytest.mark.parametrize("raised", [asyncio.CancelledError("inner"), SystemExit(3)])
async def test_a_handler_may_raise_what_is_no_exception(raised: BaseException) -> None:
    """CancelledError or SystemExit out of a handler fail it like any other error; they end its session and nothing else."""

    async def desk(session: RealtimeSession) -> None:
        if session.metadata:
            raise raised
        await session.input()

    async with living(desk) as alive:
        await alive.provider.until("session.update")  # the speaker serves the link that came last
        broken = await alive.engine.start("hotel.desk", metadata={"break": True})
        async with asyncio.timeout(PATIENCE_S):
            ended = await broken.ended()
        alive.caller.type("still here")
        assert (await alive.ended()).reason == "completed"
    assert (ended.reason, ended.code) == ("handler_failed", "TL106")
    assert type(raised).__name__ in ended.detail


async def test_system_exit_in_a_handlers_task_stays_in_its_session() -> None:
    """A task of the handler that calls sys.exit fails whoever awaits it; the rest of the drain still runs."""
    ran: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        async def leave() -> None:
            sys.exit("out")

        async def stay() -> None:
            await asyncio.sleep(0)
            ran.append("stayed")

        leaving, staying = asyncio.create_task(leave()), asyncio.create_task(stay())
        await asyncio.wait([leaving, staying])
        ran.append(type(leaving.exception()).__name__)

    async with living(desk) as alive:
        assert (await alive.ended()).reason == "completed"
    assert ran == ["stayed", "SystemExit"]


async def test_the_provider_cannot_be_reached() -> None:
    """connect fails: LinkFailed, SessionEnding (provider_lost) with its code, the handler gets SessionEnded, all in the log."""
    provider = Speaker()
    provider.failure = LinkError("TL303", "the key is refused", "set another key")
    async with living(echo, provider=provider) as alive:
        ended = await alive.ended()
        closed = await alive.caller.until_closed()
    assert (ended.reason, ended.code, ended.detail) == ("provider_lost", "TL303", "the key is refused")
    assert alive.of(e.LinkFailed)[0].code == "TL303"
    assert len(alive.of(e.HandlerReturned)) == 1
    assert closed.close_code == 1011
    replay(list(alive.store.scan(alive.session.id)), echo)


async def test_an_os_error_is_an_unreachable_provider() -> None:
    """connect raises an OSError: TL301."""
    provider = Speaker()
    provider.failure = ConnectionRefusedError("refused")
    async with living(wait, provider=provider) as alive:
        assert (await alive.ended()).code == "TL301"


async def test_a_provider_that_cannot_even_fail_ends_the_session() -> None:
    """connect raises what no provider may raise: the session ends as engine_fault and says so."""
    provider = Speaker()
    provider.failure = ZeroDivisionError("a bug")
    async with living(wait, provider=provider) as alive:
        ended = await alive.ended()
    assert (ended.reason, ended.detail) == ("engine_fault", "ZeroDivisionError: a bug")


async def test_the_provider_drops_in_the_middle_of_a_say() -> None:
    """The link breaks while a say is open: it is settled once, and the session ends as provider_lost with TL302."""

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("Not to be heard")).settled()
        await session.input()

    provider = Speaker()
    provider.may_answer.clear()
    async with living(desk, provider=provider) as alive:
        await provider.until("response.create")
        await provider.link.close(1012, "restart")
        ended = await alive.ended()
        provider.may_answer.set()
    assert (ended.reason, ended.code, ended.detail) == ("provider_lost", "TL302", "1012 restart")
    assert len(alive.of(e.SaySettled)) == 1
    replay(list(alive.store.scan(alive.session.id)), desk)


async def test_nothing_is_appended_after_the_end() -> None:
    """Messages of one batch behind the one that ends the session decide and log nothing."""
    async with living(wait) as alive:
        await alive.until(e.LinkReady)
        alive.store.may_append.clear()
        alive.caller.type("hold the loop")
        await alive.store.until_held()
        alive.session.end("enough", drain=False)
        for _ in range(5):
            alive.caller.append()
            alive.caller.send({"type": "input_audio_buffer.clear"})
        await asyncio.sleep(0)
        alive.store.may_append.set()
        await alive.ended()
        assert (await alive.store.verify(alive.session.id)).ok
        assert_rebuilt(alive.store, alive.session.id, "c1.in", alive.caller.sent, whole=False)
        assert_rebuilt(alive.store, alive.session.id, "c1.out", alive.caller.received)
        assert_rebuilt(alive.store, alive.session.id, "p1.out", alive.provider.received)
    assert isinstance(alive.story[-1], e.SessionEnded)
    replay(list(alive.store.scan(alive.session.id)), wait)


async def test_draining_leaves_time_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that waits for its last say takes a few steps for it, not all of the processor's time."""

    async def desk(session: RealtimeSession) -> None:
        await session.say("Goodbye")

    provider = Speaker()
    provider.may_answer.clear()
    async with living(desk, provider=provider) as alive:
        await alive.until(e.SessionEnding)
        await provider.until("response.create")
        run = alive.session._run.decider
        steps = 0
        step = run.step

        def counted(*args: Any) -> Any:
            nonlocal steps
            steps += 1
            return step(*args)

        monkeypatch.setattr(run, "step", counted)
        await asyncio.sleep(0.05)
        assert steps <= 2
        provider.may_answer.set()
        await alive.ended()


# --- the log cannot be written ---


@pytest.mark.parametrize(
    "failure",
    [
        StoreError("TL406", "the disk is full", "make room"),
        WrongExpectedSeq("s", 3, 4),
        Fenced("s", 1, 2),
        OSError("a fault below the store"),
    ],
)
async def test_a_log_that_cannot_be_written_stops_the_session(failure: Exception) -> None:
    """Links close 1011, ended() raises, nothing more is sent to anyone, and the other sessions go on."""
    async with living(echo) as alive:
        await alive.until(e.LinkReady)
        await alive.caller.until("session.created")
        other = await alive.engine.start("hotel.desk")
        guest = Caller()
        await alive.engine.attach(other.id, guest.theirs)
        alive.store.failures[alive.session.id] = failure
        had = len(alive.caller.received)
        alive.caller.type("hello")
        with pytest.raises(type(failure)) as raised:
            await alive.ended()
        closed = await alive.caller.until_closed()
        assert raised.value is failure
        assert closed.close_code == 1011
        assert len(alive.caller.received) == had
        assert "response.create" not in alive.provider.types()
        guest.type("bye")
        async with asyncio.timeout(PATIENCE_S):
            assert (await other.ended()).reason == "completed"
        await guest.until_closed()


async def test_no_audio_passes_behind_a_log_that_cannot_be_written() -> None:
    """What comes while the links are being closed is handed to nobody, also if the append that failed let media pass."""
    async with living(wait, answers="model") as alive:
        await alive.until(e.LinkReady)
        alive.store.failures[alive.session.id] = StoreError("TL406", "the disk is full", "make room")
        alive.caller.append()  # is written behind
        with pytest.raises(StoreError):
            await alive.ended()
        assert not alive.session._run.intake.media_may_pass
        await alive.caller.until_closed()


KILLED = """
import asyncio, os, signal, sys
from tests.engine.living import Speaker, app_of
from tests.engine.test_run import Killer, echo
from turnlog.engine.engine import Engine

async def main():
    async with Engine(app_of(echo), store=sys.argv[1], providers={"scripted": Killer(sys.argv[2])}) as engine:
        from tests.engine.living import Caller
        session = await engine.start("hotel.desk", session="killed")
        caller = Caller()
        await engine.attach(session.id, caller.theirs)
        await caller.until("session.created")
        caller.type("hello")
        await session.ended()

asyncio.run(main())
"""


class Killer(Speaker):
    """A provider whose link kills the process, as kill -9 does, in the moment a message of this type is handed to it."""

    def __init__(self, type_: str) -> None:
        super().__init__()
        self.type = type_

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """The link, its send replaced."""
        link = host(self._serve)
        send = link.send

        class Deadly(InProcessLink):
            __slots__ = ()

            def send(_, message: bytes) -> None:
                if parse(message).type == self.type:
                    os.kill(os.getpid(), signal.SIGKILL)
                send(message)

            async def receive(_) -> bytes:
                return await link.receive()

        return Deadly(0)


@pytest.mark.parametrize("type_", ["session.update", "response.create"])
async def test_killed_between_commit_and_send(tmp_path: Path, type_: str) -> None:
    """kill -9 in the send: the log holds the message, verifies, and replays as far as it goes."""
    url = f"sqlite:///{tmp_path}/calls.db"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), url, type_]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    store = await asyncio.to_thread(open_store, url)
    try:
        assert (await store.verify("killed")).ok
        recorded = list(await asyncio.to_thread(lambda: list(store.scan("killed"))))
        sent = [event for event in map(decode, recorded) if isinstance(event, e.TransportSent)]
        assert type_ in [parse(event.data).type for event in sent if event.link == "p1"]
        replayed = replay(recorded, echo)
        assert not replayed.complete
        assert (await store.session("killed")).status == "active"
    finally:
        await store.close()


# --- small parts ---


async def test_in_callback_hands_on_errors() -> None:
    """What the function raises is raised where it is awaited, and a waiter that is gone is no error."""

    def broken() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await in_callback(broken, hop=True)
    functions: list[Callable[[], object]] = [broken, int]
    for function in functions:
        task = asyncio.create_task(in_callback(function, hop=True))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_bug_in_a_handlers_loop_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the loop itself is raised by ended(); nothing hangs."""
    async with living(wait) as alive:
        await alive.until(e.LinkReady)

        def broken(*_: object) -> None:
            raise AssertionError("a bug")

        monkeypatch.setattr(alive.session._run.handler, "deliver", broken)
        alive.caller.type("hello")
        with pytest.raises(AssertionError, match="a bug"):
            await alive.ended()
        assert (await alive.caller.until_closed()).close_code == 1011


def test_rounds_of_nothing() -> None:
    """A wake-up without inputs is one round: time may have decided something."""
    assert list(rounds([])) == [[]]
