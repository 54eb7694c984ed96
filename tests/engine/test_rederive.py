"""Turns decided anew from a log's messages are compared with those that were decided live."""

import os
from typing import Any

import msgspec
import pytest

from tests.engine.living import Ledger, Living, living
from turnlog.core import events as e
from turnlog.core.chain import GENESIS, digest, link
from turnlog.core.codec import decode, encode
from turnlog.core.errors import StoreError
from turnlog.core.ports import Head, Recorded
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.rederive import rederive


async def listens(session: RealtimeSession) -> None:
    """Answers every turn."""
    async for turn in session.turns():
        await session.say(f"You said {turn.text or 'nothing'}")


async def talk(alive: Living) -> None:
    """A spoken turn, a blank one, one whose words fail, a typed one, and one that the caller commits itself."""
    provider = alive.provider
    await alive.until(e.LinkReady)
    provider.hear("hello there", "item_1")
    await alive.until(e.TurnEnded, 1)
    provider.hear("  ", "item_2")
    await alive.until(e.TurnDiscarded)
    provider.server.commit_audio("item_3")
    provider.server.transcription_failed("item_3", "busy", "m")
    provider.flush()
    await alive.until(e.TurnEnded, 2)
    alive.caller.type("typed words")
    await alive.until(e.TurnEnded, 3)
    alive.caller.append(200)
    alive.caller.send({"type": "input_audio_buffer.commit"})
    await alive.until(e.InputCommitAsked)


@pytest.fixture
async def recorded() -> tuple[Ledger, str]:
    """The log of that conversation."""
    async with living(listens) as alive:
        await talk(alive)
        alive.session.end("enough", drain=False)
        await alive.ended()
    return alive.store, alive.session.id


async def altered(store: Ledger, session: str, kind: type[e.Event], **change: Any) -> Ledger:
    """The same log, its first event of a type decided differently; it verifies."""
    events: list[Recorded] = []
    previous, done = GENESIS, False
    for one in store.scan(session):
        data = one.data
        if one.type == kind.__name__ and not done:
            event = decode(one)
            assert isinstance(event, kind)
            _, _, data = encode(msgspec.structs.replace(event, **change), os.urandom(16))
            done = True
        assert data is not None
        of_data = digest(data)
        previous = link(previous, session, one.seq, one.type, one.version, one.at_ns, one.epoch, one.cause, of_data)
        events.append(one._replace(data=data, digest=of_data, hash=previous))
    other = Ledger()
    segments = [one for track in await store.tracks(session) for one in store.scan_segments(session, track)]
    head = Head(session, 0, events[-1].epoch, events[-1].seq, previous)
    await other.restore(await store.session(session), head, events, segments)
    return other


async def test_the_same_rules_decide_the_same(recorded: tuple[Ledger, str]) -> None:
    """Spoken, blank, failed and typed turns are the same; the messages are counted."""
    store, session = recorded
    found = rederive(store, session)
    assert (found.session, found.equal, found.differences) == (session, 4, [])
    assert found.messages == sum(one.type == "TransportReceived" for one in store.scan(session))


async def test_a_turn_that_was_decided_otherwise_is_shown(recorded: tuple[Ledger, str]) -> None:
    """Both decisions with their text; the others stay equal."""
    store, session = recorded
    other = await altered(store, session, e.TurnEnded, text="hello where")
    found = rederive(other, session)
    assert found.equal == 3
    ((then, today),) = found.differences
    assert then is not None and today is not None
    assert (then.text, today.text, then.item, today.item) == ("hello where", "hello there", "item_1", "item_1")


async def test_a_turn_that_today_would_not_be_one(recorded: tuple[Ledger, str]) -> None:
    """A message that says something else now: the live turn stands beside what it is today."""
    store, session = recorded
    other = await altered(store, session, e.TurnDiscarded, reason="another reason")
    ((then, today),) = rederive(other, session).differences
    assert then is not None and today is not None
    assert (then.what, then.text, today.text) == ("discarded", "another reason", "the transcript is blank")


async def test_words_that_came_late_are_late_again() -> None:
    """What the clock decided is decided by the recorded times."""
    async with living(listens) as alive:
        await alive.until(e.LinkReady)
        alive.provider.server.commit_audio("item_1")
        alive.provider.flush()
        assert (await alive.until(e.TurnEnded)).transcript_status == "late"
        alive.session.end("enough", drain=False)
        await alive.ended()
    found = rederive(alive.store, alive.session.id)
    assert (found.equal, found.differences) == (1, [])


async def test_what_cannot_be_decided_anew() -> None:
    """A log without its beginning: TL407; no such session: TL408."""
    store = Ledger()
    with pytest.raises(StoreError) as raised:
        rederive(store, "nobody")
    assert raised.value.code == "TL408"
