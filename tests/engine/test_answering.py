"""The one door for callers' offers: a call becomes a line of a session, one at a time; what is refused leaves nothing."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType

import pytest

import turnlog
from tests.engine.living import Living, living
from tests.webrtc.peers import LOOPBACK, Told
from turnlog.core import events as e
from turnlog.core.errors import TurnlogError
from turnlog.transports.extras import load
from turnlog.transports.webrtc.peer import Peer


async def wait(session: turnlog.RealtimeSession) -> None:
    """Hears out whoever comes."""
    async for _ in session.turns():
        pass


@asynccontextmanager
async def answering() -> AsyncIterator[Living]:
    """A session nobody has called; nothing of any call may be left when its engine has gone."""
    before = asyncio.all_tasks()
    async with living(wait, callers=0, engine={"ice": LOOPBACK}) as alive:
        yield alive
    assert asyncio.all_tasks() == before


async def test_an_offer_becomes_a_line_and_what_it_asked_for_a_message() -> None:
    """The caller's transport is webrtc, its settings are its first message; hung up by its id it has left in order."""
    async with answering() as alive:
        told = Told()
        peer = Peer(told, LOOPBACK)
        settings = {"type": "realtime", "audio": {"output": {"voice": "verse"}}}
        answered = await alive.engine.answer(alive.session.id, await peer.offer(), peer="9.9.9.9:9", settings=settings)
        await peer.accept(answered.sdp)
        opened = [event for event in [await alive.until(e.LinkOpened, n) for n in (1, 2)] if event.side == "caller"]
        assert [(line.transport, line.peer) for line in opened] == [("webrtc", "9.9.9.9:9")]
        assert (await alive.until(e.SettingsAsked)).settings == {"voice": "verse"}
        assert alive.engine.calls.session_of(answered.call_id) == alive.session.id
        async with asyncio.timeout(10):
            await told.is_connected.wait()
        await alive.engine.calls.hang_up(answered.call_id)
        closed = await alive.until(e.LinkClosed)
        assert (closed.code, closed.reason) == (1000, "hung up")
        with pytest.raises(TurnlogError) as gone:
            await alive.engine.calls.hang_up(answered.call_id)
        assert gone.value.code == "TL312"
        await peer.close()


async def test_no_session_stops_while_the_first_call_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers calls is loaded in another thread than the one that the sessions' loop runs on."""
    threads: list[threading.Thread] = []

    def noting(*named: str) -> ModuleType:
        threads.append(threading.current_thread())
        return load(*named)

    monkeypatch.setattr("turnlog.engine.answering.load", noting)
    async with answering() as alive:
        peer = Peer(Told(), LOOPBACK)
        await alive.engine.answer(alive.session.id, await peer.offer())
        await peer.close()
    assert threads and threading.main_thread() not in threads


async def test_of_two_offers_at_once_one_is_taken() -> None:
    """The other one is refused by name, after it was answered, and let go."""
    async with answering() as alive:
        peers = [Peer(Told(), LOOPBACK) for _ in range(2)]
        offers = [await peer.offer() for peer in peers]
        calls = (alive.engine.answer(alive.session.id, offer) for offer in offers)
        taken, refused = sorted(await asyncio.gather(*calls, return_exceptions=True), key=lambda one: isinstance(one, Exception))
        assert isinstance(taken, turnlog.Answered)
        assert isinstance(refused, TurnlogError) and refused.code == "TL505"
        await alive.until(e.LinkOpened, 2)
        assert sum(opened.side == "caller" for opened in alive.of(e.LinkOpened)) == 1
        for peer in peers:
            await peer.close()


async def test_a_call_that_is_over_makes_room() -> None:
    """Its session waits for whoever comes back; and who comes for the same seat takes a call over that stands."""
    async with answering() as alive:
        told = Told()
        first, *others = Peer(told, LOOPBACK), Peer(Told(), LOOPBACK), Peer(Told(), LOOPBACK)
        await first.accept((await alive.engine.answer(alive.session.id, await first.offer())).sdp)
        async with asyncio.timeout(10):
            await told.is_connected.wait()
        await first.close()
        gone = await alive.until(e.LinkClosed)
        assert (gone.link, gone.code) == ("c1", 1006)
        for peer in others:
            await alive.engine.answer(alive.session.id, await peer.offer(), seat="mine")
        closed = await alive.until(e.LinkClosed, 2)
        assert (closed.link, closed.code, closed.reason) == ("c2", 1001, "taken over")
        for peer in others:
            await peer.close()


async def test_an_offer_that_is_none_is_refused_and_changes_nothing() -> None:
    """TL310, TL408 for a session that is not here; the next offer is taken."""
    async with answering() as alive:
        peer = Peer(Told(), LOOPBACK)
        offer = await peer.offer()
        for session, sdp, code in ((alive.session.id, "v=0", "TL310"), ("sess_x", offer, "TL408")):
            with pytest.raises(TurnlogError) as refused:
                await alive.engine.answer(session, sdp)
            assert refused.value.code == code
        assert (await alive.engine.answer(alive.session.id, offer)).call_id.startswith("rtc_")
        await peer.close()
