"""Joining a call's sideband: how often, for how long, and what is told of it. On virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from turnlog.core import events as e
from turnlog.core.errors import LinkClosed, LinkError, TurnlogError
from turnlog.core.ports import Link, TakenCall
from turnlog.engine.inbox import Failed, OfCall
from turnlog.engine.sideband import JOIN_S, REJOIN_S, Sideband
from turnlog.testing.virtual_loop import run_virtual
from turnlog.transports.callers.direct import DirectCaller
from turnlog.transports.links.in_process import pair

GONE = LinkError("TL312", "no such call")
DOWN = LinkError("TL301", "no connection")
Outcome = TurnlogError | float
"""What a join comes to: an error, or for how long its link stands until it is lost (s)."""


class Call:
    """A call whose joins come to this, one after the other; the last one again and again."""

    def __init__(self, *outcomes: Outcome, slow_s: float = 0) -> None:
        self.outcomes = list(outcomes)
        self.slow_s = slow_s
        self.joined_s: list[float] = []
        self.told: list[tuple[float, OfCall | Failed]] = []
        self.lines: list[tuple[float, str]] = []
        self.open: list[Link] = []
        self.caller = DirectCaller(self.hang_up_now)

    async def take_call(self, offer: str, session: str, configuration: dict[str, Any]) -> TakenCall:
        """Not asked for here."""
        raise NotImplementedError

    async def hang_up(self, call_id: str) -> None:
        """Not asked for here."""
        raise NotImplementedError

    async def hang_up_now(self) -> None:
        """The caller's line is closed by us."""

    async def join_call(self, call_id: str) -> Link:
        """What is to come of it."""
        loop = asyncio.get_running_loop()
        self.joined_s.append(round(loop.time(), 3))
        await asyncio.sleep(self.slow_s)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, TurnlogError):
            raise outcome
        ours, theirs = pair()
        self.open.append(ours)
        loop.call_later(outcome, lambda: asyncio.ensure_future(theirs.close(1011, "lost")))
        return ours

    def attach(self, n: int, link: Link) -> Coroutine[Any, Any, None]:
        """What reads a line to its end."""

        async def read() -> None:
            self.lines.append((round(asyncio.get_running_loop().time(), 3), f"p{n} up"))
            try:
                while True:
                    await link.receive()
            except LinkClosed:
                self.lines.append((round(asyncio.get_running_loop().time(), 3), f"p{n} down"))

        return read()

    async def follow(self) -> None:
        """Follow it to the end."""
        began_s = asyncio.get_running_loop().time()

        def tell(what: OfCall | Failed) -> None:
            self.told.append((round(asyncio.get_running_loop().time() - began_s, 3), what))

        await Sideband(self, "rtc_1", self.caller, tell, self.attach).follow()


def followed(make: Callable[[], Call]) -> Call:
    """A call, followed to its end on virtual time."""

    async def go() -> Call:
        call = make()
        await call.follow()
        return call

    return run_virtual(go())


@pytest.mark.parametrize("error", [GONE, DOWN], ids=["unknown", "unreachable"])
def test_a_call_that_was_just_taken_is_asked_for_again_for_five_seconds(error: LinkError) -> None:
    """Less and less often; then its provider is lost."""
    call = followed(lambda: Call(error))
    began = call.joined_s[0]
    assert [round(at - began, 1) for at in call.joined_s] == [0, 0.1, 0.3, 0.7, 1.5, 3.1, 4.7]
    ((at_s, failed),) = call.told
    assert (at_s < JOIN_S, isinstance(failed, Failed) and failed.error is error, call.lines) == (True, True, [])


def test_a_refused_key_is_not_tried_again() -> None:
    """It would be refused again."""
    call = followed(lambda: Call(LinkError("TL303", "no")))
    assert (len(call.joined_s), len(call.told)) == (1, 1)


def test_a_call_that_is_not_known_any_more_has_ended_before_its_sideband_is_told_lost() -> None:
    """Once it was joined: the caller's line closes in order."""
    call = followed(lambda: Call(GONE, 3.0, GONE))
    assert [line for _, line in call.lines] == ["p1 up", "p1 down"]
    assert {type(what) for _, what in call.told} == {OfCall}
    assert call.told[0][1] == OfCall(e.CallEnded(call_id="rtc_1", reason="the provider does not know it any more"))
    with pytest.raises(LinkClosed, match="the call has ended"):
        call.caller.send(b"{}")


def test_a_gap_is_told_and_the_call_is_joined_anew() -> None:
    """As often as it is lost."""
    call = followed(lambda: Call(1.0, 1.0, DOWN, 1.0, GONE))
    assert [line for _, line in call.lines] == ["p1 up", "p1 down", "p2 up", "p2 down", "p3 up", "p3 down"]


def test_a_provider_that_is_silent_delays_the_news_by_a_second() -> None:
    """Then the gap is told, whatever comes of the call."""
    call = followed(lambda: Call(1.0, 1.0, GONE, slow_s=4.0))
    (up_s, _), (down_s, _), (again_s, _), *_ = call.lines
    assert (round(down_s - up_s, 3), round(again_s - down_s, 3)) == (2.0, 3.0)


def test_a_lost_sideband_is_tried_for_twenty_seconds() -> None:
    """Then the provider is lost."""
    call = followed(lambda: Call(1.0, DOWN))
    ((at_s, failed),) = call.told
    assert (isinstance(failed, Failed), REJOIN_S - 2 < at_s <= REJOIN_S + 2) == (True, True)


def test_a_sideband_that_we_close_is_not_joined_again() -> None:
    """The session has ended."""

    async def go() -> Call:
        call = Call(600.0)
        up: asyncio.Future[Link] = asyncio.get_running_loop().create_future()

        def attach(n: int, link: Link) -> Coroutine[Any, Any, None]:
            up.set_result(link)
            return call.attach(n, link)

        following = asyncio.create_task(Sideband(call, "rtc_1", call.caller, lambda _: None, attach).follow())
        await (await up).close(1000, "completed")
        await following
        return call

    assert len(run_virtual(go()).joined_s) == 1


def test_a_sideband_that_came_too_late_is_closed() -> None:
    """The session ended before anybody could read it."""

    async def go() -> Call:
        call = Call(1.0, 600.0)
        lost = asyncio.Event()

        async def read(link: Link) -> None:
            with pytest.raises(LinkClosed):
                await link.receive()
            lost.set()
            await asyncio.Event().wait()

        following = asyncio.create_task(Sideband(call, "rtc_1", call.caller, lambda _: None, lambda n, link: read(link)).follow())
        await lost.wait()
        following.cancel()
        await asyncio.wait([following])
        return call

    call = run_virtual(go())
    assert len(call.open) == 2
    with pytest.raises(LinkClosed):
        call.open[1].send(b"{}")
