"""The short way of audio behind audio: while it is taken, and what ends it."""

import base64

from tests.engine.living import Living, Speaker, assert_rebuilt, living
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.sound.media import MediaRouter
from turnlog.engine.sound.passage import Passage
from turnlog.engine.sound.pieces import LONGEST_MS

DELTA = "response.output_audio.delta"


async def wait(session: RealtimeSession) -> None:
    """Listen until the end."""
    async for _ in session.turns():
        pass


class Begun(Speaker):
    """A provider that begins what it is asked for, and says nothing of it."""

    begun = ""

    def answer(self, asked: s.AnswerRequested) -> None:
        """Begin it."""
        self.begun = self.server.start_response(asked)


def router_of(alive: Living) -> MediaRouter:
    """Who finds the way."""
    return alive.session._run.media


def way(alive: Living) -> Passage | None:
    """The way that audio takes at the moment."""
    return router_of(alive).passage


def says(provider: Speaker, response: str, pieces: int = 1) -> None:
    """Some more of a response, piece by piece."""
    for _ in range(pieces):
        provider.server.output_audio(response, base64.b64encode(bytes(960)))
        provider.flush()


async def under_way(alive: Living) -> str:
    """A response of the model whose audio takes the short way."""
    await alive.until(e.LinkReady)
    response = alive.provider.server.start_response()
    says(alive.provider, response)
    await alive.until(e.AudioStarted)
    heard = len(alive.caller.events(DELTA))
    says(alive.provider, response)
    await alive.caller.until(DELTA, heard + 1)
    found = way(alive)
    assert found is not None
    says(alive.provider, response)
    await alive.caller.until(DELTA, heard + 2)
    assert way(alive) is found
    return response


async def test_nothing_passes_behind_a_cut() -> None:
    """A caller cancels, and a provider that has not heard of it goes on: that is recorded, and nobody hears it."""
    async with living(wait, answers="model") as alive:
        response = await under_way(alive)
        alive.caller.send({"type": "response.cancel"})
        await alive.until(e.PlayoutCut)
        await alive.provider.until("response.cancel")
        heard = len(alive.caller.events(DELTA))
        assert way(alive) is None
        says(alive.provider, response, 3)
        assert way(alive) is None
        alive.provider.server.finish_response(response)
        alive.provider.flush()
        ended = await alive.until(e.ResponseEnded)
        assert len(alive.caller.events(DELTA)) == heard and sum(part.generated_ms for part in ended.parts) == 6 * 20
        assert_rebuilt(alive.store, alive.session.id, "p1.in", alive.provider.sent)
        assert_rebuilt(alive.store, alive.session.id, "c1.out", alive.caller.received)


async def test_a_piece_that_must_be_cut_does_not_pass_whole() -> None:
    """A provider that goes over to seconds of audio at a time leaves a caller no more than the lead, as before."""

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("Good evening")).settled()

    provider = Begun()
    async with living(desk, provider=provider) as alive:
        await alive.until(e.ResponseStarted)
        response = provider.begun
        says(provider, response)
        await alive.until(e.AudioStarted)
        says(provider, response, 2)
        await alive.caller.until(DELTA, 3)
        assert way(alive) is not None
        provider.server.output_audio(response, base64.b64encode(bytes(48 * 5000)))
        provider.flush()
        longest = (await alive.caller.until(DELTA, 4))[3]["delta"]
        assert len(base64.b64decode(longest)) == 48 * LONGEST_MS


async def test_who_comes_is_no_listener_of_what_began_before() -> None:
    """A second caller hears the next response; meanwhile the first one hears all of this one."""
    async with living(wait, answers="model") as alive:
        response = await under_way(alive)
        second = await alive.call_in()
        says(alive.provider, response)
        await second.until("session.created")
        assert way(alive) is None
        says(alive.provider, response, 2)
        alive.provider.server.finish_response(response)
        alive.provider.flush()
        await alive.caller.until("response.done")
        assert (len(alive.caller.events(DELTA)), second.events(DELTA)) == (6, [])
        await alive.until(e.PlayoutEnded)
        following = alive.provider.server.start_response()
        says(alive.provider, following, 2)
        await alive.until(e.AudioStarted, 2)
        says(alive.provider, following, 2)
        await second.until(DELTA, 4)
        assert way(alive) is not None
        await alive.caller.until(DELTA, 10)


async def test_who_has_gone_ends_it_for_nobody_else() -> None:
    """Of two listeners one hangs up between two pieces: the other one hears each of them."""
    async with living(wait, answers="model") as alive:
        await alive.until(e.LinkReady)
        second = await alive.call_in()
        await second.until("session.created")
        response = await under_way(alive)
        await second.link.close()
        says(alive.provider, response, 2)
        await alive.until(e.LinkClosed)
        says(alive.provider, response)
        await alive.caller.until(DELTA, 6)
        assert_rebuilt(alive.store, alive.session.id, "p1.in", alive.provider.sent, whole=False)


async def test_a_segment_that_is_full_is_closed() -> None:
    """Audio that comes faster than it sounds fills a segment: the next piece begins another, and takes the short way again."""
    async with living(wait, answers="model") as alive:
        response = await under_way(alive)
        large = base64.b64encode(bytes(300_000))
        for _ in range(8):
            alive.provider.server.output_audio(response, large)
            alive.provider.flush()
        await alive.caller.until(DELTA, 11)
        alive.provider.server.finish_response(response)
        alive.provider.flush()
        await alive.until(e.ResponseEnded)
        assert_rebuilt(alive.store, alive.session.id, "p1.in", alive.provider.sent)
        assert (await alive.store.verify(alive.session.id)).ok
