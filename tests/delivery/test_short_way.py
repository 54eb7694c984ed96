"""Audio behind audio takes the way of the piece before it: nobody can tell, from the log or from a caller's line."""

from typing import Any

import pytest
from hypothesis import given, settings

from tests.delivery.scenes import words
from tests.delivery.test_property_delivery import CASES, Case, run
from turnlog.core.codec import decode
from turnlog.engine.media import MediaRouter
from turnlog.engine.passage import Passage
from turnlog.testing import Call


def by(router: type[MediaRouter], case: Case) -> Call:
    """The call, with that router's way of finding the way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MediaRouter, "_way_of", router._way_of)
        return run(case, reply=words(30, "model"))


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
    assert told(by(MediaRouter, case)) == told(by(Roundabout, case))
