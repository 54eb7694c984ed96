"""The inbox: nothing put into it is ever slept over, and its taker never spins."""

import asyncio

import pytest

from turnlog.core import events as e
from turnlog.engine.inbox import Ending, Inbox


def item(reason: str) -> Ending:
    """Something to put in."""
    return Ending(e.SessionEnding(reason=reason))


def is_idle(inbox: Inbox) -> bool:
    """Whether it is, now: asked anew each time."""
    return inbox.idle


async def test_everything_that_lies_there_is_taken_at_once() -> None:
    """take gives all items, in order, without waiting."""
    inbox = Inbox()
    inbox.put(item("a"))
    inbox.put(item("b"))
    assert await inbox.take(None) == [item("a"), item("b")]


async def test_an_item_wakes_the_taker() -> None:
    """A taker that waits without a deadline gets what is put in later."""
    inbox = Inbox()
    taking = asyncio.create_task(inbox.take(None))
    await asyncio.sleep(0)
    assert is_idle(inbox)
    inbox.put(item("a"))
    assert not is_idle(inbox)
    assert await taking == [item("a")]


async def test_a_wake_between_two_takes_is_kept() -> None:
    """wake() while nobody takes lets the next take return at once; only the next one."""
    inbox = Inbox()
    inbox.wake()
    assert await inbox.take(None) == []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await inbox.take(None)


async def test_an_item_put_in_during_a_round_is_not_slept_over() -> None:
    """What arrives between two takes is there for the second, whatever its deadline."""
    inbox = Inbox()
    inbox.put(item("a"))
    await inbox.take(None)
    inbox.put(item("b"))
    assert await inbox.take(100) == [item("b")]


async def test_a_taker_that_was_cancelled_leaves_the_items() -> None:
    """A cancelled take loses nothing: the next one gets the items."""
    inbox = Inbox()
    taking = asyncio.create_task(inbox.take(5))
    await asyncio.sleep(0)
    inbox.put(item("a"))
    taking.cancel()
    await asyncio.wait([taking])
    assert await inbox.take(None) == [item("a")]


async def test_a_deadline_wakes_the_taker() -> None:
    """With a deadline take returns without items once it has passed, not before."""
    loop = asyncio.get_running_loop()
    inbox = Inbox()
    began = loop.time()
    assert await inbox.take(0.02) == []
    assert loop.time() - began >= 0.019


async def test_a_deadline_that_is_due_lets_others_run() -> None:
    """take with nothing left to wait returns at once, but gives the loop a turn: no session can hold the others up."""
    inbox = Inbox()
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)
    assert await inbox.take(0) == []
    assert ran.is_set()


async def test_idle_means_waiting_with_nothing_to_do() -> None:
    """idle is false while nobody takes, so that media cannot overtake what a round has in its hands."""
    inbox = Inbox()
    assert not is_idle(inbox)
    taking = asyncio.create_task(inbox.take(None))
    await asyncio.sleep(0)
    assert is_idle(inbox)
    inbox.wake()
    inbox.wake()
    assert not is_idle(inbox)
    assert await taking == []
    assert not is_idle(inbox)
