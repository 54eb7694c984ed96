"""A call and its sidebands on a real session; the media's peer is an in-process link here, WebRTC in test_model_webrtc."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest

from turnlog.core.errors import LinkClosed, LinkError
from turnlog.core.ports import Link
from turnlog.testing.fake_model import FakeModelProvider
from turnlog.transports.links.in_process import pair
from turnlog.transports.providers.model_calls import Calls
from turnlog.transports.providers.opening import Opening

Json = dict[str, Any]
OPENING = Opening(model="fake-model", session={"instructions": "Be brief."})


class Side(NamedTuple):
    """A peer of the call: the one that carries the media, or an observer."""

    link: Link

    def send(self, type_: str, **fields: Any) -> None:
        """Send an event."""
        self.link.send(msgspec.json.encode({"type": type_, **fields}))

    async def until(self, type_: str) -> list[Json]:
        """All events up to the first of this type."""
        seen: list[Json] = []
        async with asyncio.timeout(10):
            while not seen or seen[-1]["type"] != type_:
                seen.append(json.loads(await self.link.receive()))
        return seen

    async def closed(self) -> LinkClosed:
        """How the link ends; what comes before is passed over."""
        async with asyncio.timeout(10):
            with pytest.raises(LinkClosed) as closed:
                while True:
                    await self.link.receive()
        return closed.value


class Call(NamedTuple):
    """An open call."""

    calls: Calls
    id: str
    media: Side

    def join(self) -> Side:
        """A sideband."""
        near, far = pair()
        found = self.calls.find(self.id)
        assert found is not None
        self.observing.append(asyncio.create_task(found.observe(far)))
        return Side(near)

    observing: list[asyncio.Task[None]]


@asynccontextmanager
async def calling() -> AsyncIterator[Call]:
    """A call; afterwards it has ended, and no task of it is left."""
    before = asyncio.all_tasks()
    provider, count = FakeModelProvider(reply="one two three"), itertools.count(1)
    near, far = pair()

    async def answer(offer: str) -> tuple[Link, str]:
        return far, f"answer to {offer}"

    calls = Calls(answer, provider.server.run, lambda: f"rtc_{next(count)}")
    call, sdp = await calls.open("offer", OPENING)
    assert (call, sdp) == ("rtc_1", "answer to offer")
    open_call = Call(calls, call, Side(near), [])
    try:
        yield open_call
    finally:
        await calls.close(1001, "leaving")
        await asyncio.gather(*open_call.observing)
        assert calls.find(call) is None
        assert asyncio.all_tasks() - before == set()


def types(events: list[Json]) -> set[str]:
    """The types that occur."""
    return {event["type"] for event in events}


async def test_a_sideband_gets_all_but_the_greeting_and_the_audio() -> None:
    """Two of them: every event of an answer that the media's peer asked for, at once, and what one configures the others see."""
    async with calling() as call:
        greeting = await call.media.until("session.created")
        assert greeting[-1]["session"]["instructions"] == "Be brief."
        one, two = call.join(), call.join()
        await asyncio.sleep(0)
        one.send("session.update", session={"type": "realtime", "instructions": "Be kind."})
        for side in (one, two, call.media):
            (updated,) = await side.until("session.updated")
            assert updated["session"]["instructions"] == "Be kind."
        call.media.send("response.create")
        media, seen, also = [await side.until("response.done") for side in (call.media, one, two)]
        assert types(media) - types(seen) == {"response.output_audio.delta"}
        assert seen == also == [event for event in media if event["type"] != "response.output_audio.delta"]


async def test_a_sideband_makes_it_speak_and_sees_nothing_of_before() -> None:
    """What was missed is not replayed; a response that a sideband asks for is heard by the media's peer."""
    async with calling() as call:
        call.media.send("response.create")
        await call.media.until("response.done")
        late = call.join()
        await asyncio.sleep(0)
        late.send("response.create")
        seen, media = await late.until("response.done"), await call.media.until("response.done")
        assert seen[0]["type"] == "response.created"
        assert "response.output_audio.delta" in types(media)


async def test_an_observer_leaves_alone() -> None:
    """One that closes ends nothing but itself, also while it reads nothing."""
    async with calling() as call:
        leaving, staying = call.join(), call.join()
        await asyncio.sleep(0)
        await leaving.link.close()
        await call.observing[0]
        staying.send("response.create")
        await staying.until("response.done")


async def test_the_call_ends_with_its_media() -> None:
    """Its peer closes: sidebands are closed in order, also one that floods, and the call is not found any more."""
    async with calling() as call:
        observer, flooding = call.join(), call.join()
        await asyncio.sleep(0)
        for _ in range(1000):
            flooding.send("conversation.item.retrieve", item_id="none")
        await call.media.link.close()
        assert (await observer.closed()).reason == "the call has ended"
        assert (await flooding.closed()).close_code == 1000
        await asyncio.gather(*call.observing)
        assert call.calls.find(call.id) is None


async def test_hanging_up_ends_the_call() -> None:
    """It has ended when hang_up returns, everybody is told why, and a second time there is nothing to hang up."""
    async with calling() as call:
        observer, found = call.join(), call.calls.find(call.id)
        await asyncio.sleep(0)
        assert await call.calls.hang_up(call.id)
        assert call.calls.find(call.id) is None
        await call.media.closed()
        await observer.closed()
        assert not await call.calls.hang_up(call.id)
        assert found is not None
        late, far = pair()
        await found.observe(far)  # it had found the call before that ended
        assert (await Side(late).closed()).reason == "the call has ended"


async def test_an_offer_that_is_answered_too_late_makes_no_call() -> None:
    """The server leaves while an offer is being answered: TL301, its link is closed, and no call is open."""
    near, far = pair()
    answering, go_on = asyncio.Event(), asyncio.Event()

    async def answer(offer: str) -> tuple[Link, str]:
        answering.set()
        await go_on.wait()
        return far, ""

    calls = Calls(answer, FakeModelProvider().server.run, lambda: "rtc_1")
    opening = asyncio.create_task(calls.open("", OPENING))
    await answering.wait()
    await calls.close(1001, "the server is going away")
    go_on.set()
    with pytest.raises(LinkError, match="TL301"):
        await opening
    assert (await Side(near).closed()).close_code == 1001
    assert calls.find("rtc_1") is None


async def test_a_session_that_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A model that cannot be opened closes the call with 1011; the reason stands in the log."""
    near, far = pair()

    async def answer(offer: str) -> tuple[Link, str]:
        return far, ""

    async def run(link: Link, opening: Opening) -> None:
        raise RuntimeError("no model today")

    calls = Calls(answer, run, lambda: "rtc_1")
    await calls.open("", OPENING)
    assert (await Side(near).closed()).close_code == 1011
    await calls.close(1001, "")
    assert "no model today" in caplog.text
