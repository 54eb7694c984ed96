"""Tests for what a node says to an engine that it should not, and for several nodes of one name: no other session is harmed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

import turnlog
from tests.server.hosting import hosted
from tests.server.noding import PATIENCE_S, bare_node, hears, node, refusal, says, shouts
from turnlog.core import events as e
from turnlog.engine.nodes import wire
from turnlog.server.settings import ServerSettings
from turnlog.store.follow import follow

__all__: list[str] = []

hub = turnlog.App("hub")
hotel = turnlog.App("hotel")
hotel.session("desk", provider="local", transport="in_process")(shouts)


async def test_the_second_node_of_a_name_takes_over_when_the_first_goes(tmp_path: Path) -> None:
    """New sessions begin at it, those of the first stay there, and are taken up by it at once when the first is gone."""
    async with hosted(hub, tmp_path, elsewhere=hotel) as server, asyncio.timeout(PATIENCE_S):
        async with node(server, hotel):
            first = await connect(server.socket_url("hotel.desk"))
            assert await hears(first) == "Good evening."
            async with node(server, hotel):
                second = await connect(server.socket_url("hotel.desk"))
                assert await hears(second) == "Good evening."
                await says(first, "one")
                assert await hears(first) == "ONE"
            await says(second, "two")
            assert await hears(second) == "TWO"
            for caller in (first, second):
                await says(caller, "bye")
            for live in list(server.engine.sessions.values()):
                assert (await live.ended()).reason == "completed"
        for caller in (first, second):
            await caller.close()


@pytest.mark.parametrize(
    "changed",
    [
        {"protocol": 2},
        {"flags": 99},
        *({"node": name} for name in ("", "hub", "a.b", "a\nb")),
        {"sessions": [wire.OfferedSession(name="desk", definition=b"\xc1", handler="h", code_version="1")]},
    ],
    ids=str,
)
async def test_a_hello_that_cannot_be_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    """1008 with TL321: another version of the protocol or of its rules, a name that cannot be, a definition that is none."""
    async with hosted(hub, tmp_path) as server, bare_node(server, hotel, **changed) as made:
        code, why = await refusal(made)
        assert code == 1008 and why.startswith("TL321") and server.engine.nodes.names() == []


ASKED = {"type": "asked", "index": 1, "command": "gaR0eXBlpWlucHV0", "site": ["desk.py", 1], "cause": 1}
COMPLETED = {"type": "completed", "index": 1, "seq": 1}
HOSTILE: dict[str, tuple[int, str, Any]] = {
    "a word on another node's session": (1008, "TL321", {"type": "seen", "session": "theirs", "seq": 1}),
    "a command in another node's session": (1008, "TL321", {**ASKED, "session": "theirs"}),
    "an end of another node's session": (1008, "TL321", {"type": "diverged", "session": "theirs", "code": "x", "message": "y"}),
    "a command with a gap before it": (1008, "TL321", {**ASKED, "index": 7}),
    "a command that is none": (1008, "TL321", {**ASKED, "command": "wQ=="}),
    "a cause that no column holds": (1008, "TL321", {**ASKED, "cause": 1 << 70}),
    "a cause that is to come": (1008, "TL321", {**ASKED, "cause": 10_000}),
    "a line that cannot be": (1008, "TL321", {**ASKED, "site": ["desk.py", 1 << 80]}),
    "an event that was never sent": (1008, "TL321", {"type": "seen", "seq": 10_000}),
    "a timer before all times": (1008, "TL321", {"type": "seen", "seq": 1, "timer": [1, -5]}),
    "a result that is no value": (1008, "TL321", {**COMPLETED, "result": "wQ=="}),
    "an event that comes of no stream": (1008, "TL321", {"type": "attempt", "entry": [1, 1, 1, "SessionEnded", 1, None]}),
    "a second hello": (1008, "TL321", {"type": "hello", "node": "x", "protocol": 1, "flags": 1, "python": "", "sessions": []}),
    "a type that is none": (1008, "TL321", {"type": "welcome", "grace_s": 1}),
    "no object": (1008, "TL321", "[" * 10_000),
    "no JSON": (1008, "TL321", "\x00"),
    "bytes": (1003, "TL304", b"\x00"),
    "too much": (1009, "TL306", '{"type":"seen","session":"' + "x" * 110_000 + '"}'),
}


async def test_a_hostile_node_harms_its_own_sessions_only(tmp_path: Path) -> None:
    """Each costs it its link, with a code that says why; the other node's session goes on as if nothing had been."""
    evil = turnlog.App("evil")
    evil.session("desk", provider="local", transport="in_process")(shouts)
    settings = ServerSettings(node_grace_s=0.01, max_message_bytes=100_000)
    async with hosted(hub, tmp_path, elsewhere=(hotel, evil), settings=settings) as server, node(server, hotel):
        async with connect(server.socket_url("hotel.desk")) as caller:
            assert await hears(caller) == "Good evening."
            (theirs,) = server.engine.sessions
            for what, (code, words, message) in HOSTILE.items():
                async with bare_node(server, evil) as made:
                    await made.hears(wire.Welcome)
                    live = await server.engine.start("evil.desk")
                    if isinstance(message, dict):
                        session = theirs if message.get("session") == "theirs" else live.id
                        message = {**message, "session": session} if message["type"] != "hello" else message
                    await made.say(message)
                    told = await refusal(made)
                    assert told[0] == code and told[1].startswith(words), (what, told)
                ended = await live.ended()
                assert (ended.reason, ended.code) == ("node_lost", "TL320"), what
                await says(caller, what)
                assert await hears(caller) == what.upper()
            await says(caller, "bye")
            assert (await server.ended(theirs)).reason == "completed"


async def test_a_node_that_answers_late_is_passed_over(tmp_path: Path) -> None:
    """What it says of a session that has ended, or of a call that nobody waits for, changes nothing and costs no link."""
    async with hosted(hub, tmp_path, elsewhere=hotel) as server, bare_node(server, hotel) as made:
        await made.hears(wire.Welcome)
        first = await server.engine.start("hotel.desk")
        await made.hears(wire.Happened)
        await made.say({**COMPLETED, "session": first.id, "result": "wA=="})
        await made.say({"type": "answered", "session": first.id, "call_id": "none", "seq": 1, "output": "{}", "ok": True})
        live = server.engine.nodes.newest("hotel")
        assert live is not None
        live.runs[first.id].give_up()
        await first.ended()
        for message in (ASKED, COMPLETED, {"type": "seen", "seq": 1}, {"type": "diverged", "code": "TL101", "message": "late"}):
            await made.say({**message, "session": first.id})
        await made.say({"type": "seen", "session": "never was", "seq": 1})
        second = await server.engine.start("hotel.desk")
        assert (await made.hears(wire.Happened)).session == second.id
        await made.say({"type": "diverged", "session": second.id, "code": "<script>", "message": "x" * 5000})
        ended = await second.ended()
        assert (ended.reason, ended.code, len(ended.detail)) == ("node_lost", "TL321", 500)
        events = await server.events(first.id)
    assert events[-1].code == "TL320" and not [one for one in events if isinstance(one, e.CallCompleted | e.ToolAnswered)]


async def test_the_same_process_is_sent_only_what_it_missed(tmp_path: Path) -> None:
    """Its handler stays where it stands over a lost link, and is not begun anew; what ran for it has failed with NodeLost."""
    inn, begun, begins = turnlog.App("inn"), asyncio.Event(), 0

    @inn.tool
    async def look() -> None:
        """Takes for ever."""
        begun.set()
        await asyncio.Event().wait()

    @inn.session("desk", provider="local", transport="in_process")
    async def desk_of_inn(session: turnlog.RealtimeSession) -> None:
        nonlocal begins
        begins += 1
        await session.say("Good evening.")
        try:
            await session.call("look")
        except turnlog.StepError as error:
            await session.say(error.type_name)
        turn = await session.input()
        await asyncio.sleep(0.01)
        await session.say(turn.text.upper())
        await session.input()

    async with hosted(hub, tmp_path, elsewhere=inn) as server, node(server, inn):
        async with connect(server.socket_url("inn.desk")) as caller:
            assert await hears(caller) == "Good evening."
            await begun.wait()
            first = server.engine.nodes.newest("inn")
            assert first is not None
            await first.link.close(1001, "the network")
            assert await hears(caller) == "NodeLost"
            await says(caller, "one")
            assert await hears(caller) == "ONE"
            assert server.engine.nodes.newest("inn") is not first and begins == 1
            await says(caller, "bye")
            assert (await server.ended(await server.only_session())).reason == "completed"


async def test_what_a_node_holds_is_believed_only_where_it_can_be(tmp_path: Path) -> None:
    """Behind the event that it names; the whole past where it names other commands or events; and it forgets what is over."""
    async with hosted(hub, tmp_path, elsewhere=hotel) as server:
        async with bare_node(server, hotel) as made:
            await made.hears(wire.Welcome)
            live = await server.engine.start("hotel.desk")
            await made.hears(wire.Happened)
        log = follow(server.store, live.id)
        for stands, begins, kept in (((1, 0), 2, True), ((1, 1), 1, False), ((10_000, 0), 1, False), ((0, 0), 1, False)):
            live.signal("more")
            async with asyncio.timeout(PATIENCE_S):  # it stands in the log: what is not yet there is no past
                await anext(one async for one in log if one is not None and one.type == "SignalReceived")
            async with bare_node(server, hotel, kept={live.id: stands, "over": (5, 5)}) as made:
                past = await made.hears(wire.Past)
                present = await made.hears(wire.Present)
                forgotten = await made.hears(wire.Forget)
                assert (past.entry.seq, present.kept, forgotten.session) == (begins, kept, "over"), stands
        live.end("done", drain=False)
        await live.ended()
