"""A provider that plays to the caller itself: its audio never comes by, its words and buffer events do."""

import asyncio
import json

from tests.engine.living import Speaker, living
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay
from turnlog.transports.realtime.say_form import recognise


class Player(Speaker):
    """Speaks words without audio, and tells when it has played them."""

    response = ""

    def answer(self, asked: s.AnswerRequested) -> None:
        """Begin to play, and generate the rest at once."""
        self.response = self.server.start_response(asked)
        self.flush()
        self.tells("started")
        self.server.output_transcript(self.response, recognise(asked.request) or "")
        self.server.finish_response(self.response)
        self.answered.set()

    def tells(self, state: str) -> None:
        """output_audio_buffer.started, .stopped or .cleared."""
        told = {"type": f"output_audio_buffer.{state}", "event_id": f"ev_{state}", "response_id": self.response}
        self.send(json.dumps(told).encode())


async def test_a_say_is_heard_for_as_long_as_its_provider_plays_it() -> None:
    """Its length is the time from started to stopped, for nobody here has seen a sample; the session replays."""

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("Good evening")).settled()

    provider = Player()
    async with living(desk, provider=provider) as alive:
        await provider.answered.wait()
        await alive.until(e.AudioStarted)
        await asyncio.sleep(0.3)
        assert alive.of(e.SaySettled) == []
        provider.tells("stopped")
        settled = await alive.until(e.SaySettled)
        await alive.ended()
    assert (settled.status, settled.source, settled.heard_text) == ("played", "buffer_event", "Good evening")
    assert 300 <= settled.heard_ms == settled.generated_ms < 3_000
    assert replay(list(alive.store.scan(alive.session.id)), desk).complete
