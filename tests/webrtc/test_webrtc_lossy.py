"""Calls over a network that loses, doubles and reorders packets, and one that goes away."""

import asyncio

import pytest
from aioice import ice as aioice_ice

from tests.webrtc.lossy import lossy_path
from tests.webrtc.peers import LOOPBACK, Told, level, tone
from turnlog.transports.webrtc.peer import Peer


async def test_a_call_over_a_bad_network_connects_and_its_audio_has_no_gap() -> None:
    """5 % lost, 20 % late by up to 50 ms, 2 % doubled: both hear nearly all, by the clock; messages come whole and in order."""
    near, far = Told(), Told()
    caller, callee = Peer(near, LOOPBACK), Peer(far, LOOPBACK)
    loop = asyncio.get_running_loop()
    async with lossy_path(2, loss=0.05, disorder=0.2) as (path, relay), asyncio.timeout(20):
        await caller.accept(path.answered(await callee.answer(path.offered(await caller.offer()))))
        await asyncio.gather(near.is_connected.wait(), far.is_connected.wait())
        began, pieces = loop.time(), near.pieces
        for number in range(20):
            caller.send(b"%d" % number)
        caller.speaker.put(tone(1500), 1)
        callee.speaker.put(tone(1500), 1)
        await near.heard_ms(near.pieces * 20 + 1600)
        elapsed_ms = (loop.time() - began) * 1000
        assert abs((near.pieces - pieces) * 20 - elapsed_ms) <= 320  # 80 ms behind at one end of the time, 240 ahead at the other
        assert [int(await far.messages.get()) for _ in range(20)] == list(range(20))
        assert relay.lost > 5
    for told in (near, far):
        loud = [level(bytes(told.heard[at : at + 960])) > 1000 for at in range(0, len(told.heard), 960)]
        assert 60 <= sum(loud) <= 76  # of 75 frames
    await caller.close()
    await callee.close()
    assert near.reasons == []


async def test_a_network_that_goes_away_is_the_end_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consent expires on both sides; until then the line goes on with silence."""
    monkeypatch.setattr(aioice_ice, "CONSENT_INTERVAL", 0.05)
    monkeypatch.setattr(aioice_ice, "CONSENT_FAILURES", 1)
    near, far = Told(), Told()
    caller, callee = Peer(near, LOOPBACK), Peer(far, LOOPBACK)
    async with lossy_path(3, loss=0, disorder=0) as (path, relay), asyncio.timeout(10):
        await caller.accept(path.answered(await callee.answer(path.offered(await caller.offer()))))
        await asyncio.gather(near.is_connected.wait(), far.is_connected.wait())
        relay.cut = True
        pieces = far.pieces
        await asyncio.gather(near.has_gone.wait(), far.has_gone.wait())
        assert far.pieces > pieces
    await caller.close()
    await callee.close()
    assert near.reasons == far.reasons == ["the connection failed: no packets pass"]
