"""What holds for every test of the engine: it leaves no task and no thread behind."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest


@pytest.fixture(autouse=True)
async def leaves_nothing() -> AsyncIterator[None]:
    """After a test no task of its loop runs any more, and no thread but the pools' idle ones."""
    threads = set(threading.enumerate())
    yield
    me = asyncio.current_task()
    left = [task for task in asyncio.all_tasks() if task is not me and not task.done()]
    assert not left, f"tasks left running: {left}"
    grown = [thread for thread in set(threading.enumerate()) - threads if not thread.name.startswith("asyncio_")]
    for thread in grown:
        thread.join(5)  # one that was told to end may still be at it
    grown = [thread for thread in grown if thread.is_alive()]
    assert not grown, f"threads left running: {grown}"
