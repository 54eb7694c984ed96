"""Audio behind audio takes the way of the piece before it: nobody can tell, from the log or from a caller's line."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings

from tests.delivery.scenes import words
from tests.delivery.test_property_delivery import CASES, Case, run
from turnlog import AudioCaller
from turnlog.core.codec import decode
from turnlog.engine.sound.media import MediaRouter
from turnlog.engine.sound.passage import Passage
from turnlog.testing import Call


class Ear:
    """A person without a wire, who listens for three seconds and keeps what comes, and when."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, Any]] = []
        self.leaving: asyncio.Task[None]

    async def joins(self, call: Call) -> None:
        """Be a caller."""
        caller = AudioCaller(self)
        await call.engine.attach(call.session.id, caller)
        self.leaving = asyncio.create_task(self.leaves(caller))

    async def leaves(self, caller: AudioCaller) -> None:
        """In time."""
        await asyncio.sleep(3)
        await caller.close()

    def keep(self, *told: Any) -> None:
        """Keep what came."""
        self.heard.append((asyncio.get_running_loop().time(), told))

    audio = text = cleared = finished = keep


def by(router: type[MediaRouter], case: Case) -> list[Any]:
    """All that can be known of the call, with that router's way of finding the way."""
    ear = Ear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MediaRouter, "_way_of", router._way_of)
        return [ear.heard, *told(run(case, reply=words(30, "model"), beside=ear.joins))]


class Roundabout(MediaRouter):
    """Finds no short way."""

    def _way_of(self, *looked_at: Any) -> Passage | None:
        return None


def told(call: Call) -> list[Any]:
    """All that can be known of a call: its log, and what each caller received, and when."""
    log = [(one.seq, one.at_ns, one.cause, decode(one)) for one in call.log]
    lines = [[(one.at_ms, one.event) for one in caller.received] for caller in call.callers]
    return [log, lines]


@settings(max_examples=25, deadline=None)
@given(CASES)
def test_nobody_can_tell_which_way_audio_took(case: Case) -> None:
    """Whatever is said, interrupted, dropped and joined: the same log and the same messages at the same times."""
    assert by(MediaRouter, case) == by(Roundabout, case)
