"""The sources of time and chance: an engine takes both from what it is given."""

import random

from tests.engine.living import Ledger, Speaker, app_of
from turnlog import Engine, RealtimeSession
from turnlog.engine.clock import Clock
from turnlog.engine.sources import SYSTEM, Sources


class Standing(Clock):
    """A clock that stands."""

    def now_ns(self) -> int:
        """One second after the epoch."""
        return 1_000_000_000


async def quiet(session: RealtimeSession) -> None:
    """Ends at once."""


async def log_of(seed: int) -> list[bytes]:
    """The hashes of a session of a standing clock and seeded entropy."""
    ledger = Ledger()
    sources = Sources(clock=Standing, entropy=random.Random(seed).randbytes)
    async with Engine(app_of(quiet), store=ledger, providers={"scripted": Speaker()}, sources=sources) as engine:
        session = await engine.start("hotel.desk")
        assert session.id.startswith("sess_19700101_000001_")
        await session.ended()
    assert {recorded.at_ns for recorded in ledger.scan(session.id)} == {1_000_000_000}
    return [recorded.hash for recorded in ledger.scan(session.id)]


async def test_a_log_is_made_of_its_sources() -> None:
    """Ids, nonces and times come from the sources alone: equal ones make equal first events, others make others."""
    assert (await log_of(1))[0] == (await log_of(1))[0] != (await log_of(2))[0]


def test_the_system_is_the_default() -> None:
    """Without sources an engine reads the wall clock and the operating system's randomness."""
    assert SYSTEM.clock().now_ns() > 1_700_000_000_000_000_000
    assert SYSTEM.entropy(8) != SYSTEM.entropy(8)
