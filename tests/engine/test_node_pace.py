"""Tests for how far an engine reads ahead of a node's sessions."""

import asyncio
import logging

import pytest

from tests.engine.projecting import started
from turnlog.core import commands as c
from turnlog.engine.app import App
from turnlog.engine.nodes import wire
from turnlog.engine.nodes.hub import Nodes
from turnlog.engine.nodes.pace import WAITING_BYTES
from turnlog.engine.nodes.remote import Shore
from turnlog.engine.nodes.worker import hello_of
from turnlog.engine.toolbox import Toolbox
from turnlog.transports.links.in_process import pair

__all__: list[str] = []

SIZE = 256 * 1024


async def test_no_more_is_read_than_sessions_have_not_taken_up(caplog: pytest.LogCaptureFixture) -> None:
    """Reading stops where the bound is reached, goes on once the session has followed, and does not wait for one that is over."""
    nodes, app = Nodes("hub"), App("hotel")
    app.session("desk", provider="scripted", transport="in_process")(_desk)
    engine, link = pair(limit_bytes=1 << 30)
    serving = asyncio.create_task(nodes.serve(engine))
    link.send(wire.packed(hello_of(app, Toolbox("hotel", {}))))
    await link.receive()
    connection = nodes.newest("hotel")
    assert connection is not None
    run, _ = connection.open(started("one"), 0)
    asked: list[object] = []
    idle, looked, more = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def ask(one: object) -> None:
        asked.append(one)
        more.set()

    def is_idle() -> bool:
        looked.set()
        return idle.is_set()

    run.connect(Shore(ask, lambda: None, asked.append, lambda after, until: iter(()), is_idle))
    run.start(1)
    most = WAITING_BYTES // SIZE + 2
    for index in range(1, 4 * most):
        command = c.encode_command(c.AwaitSignal(name="x" * SIZE))
        link.send(wire.packed(wire.AskedFor(session="one", index=index, command=command, site=c.Site("", 1), cause=1)))
    await looked.wait()
    behind = len(asked)
    for _ in range(100):
        await asyncio.sleep(0)
    assert 1 < behind <= most and len(asked) == behind
    more.clear()
    idle.set()
    async with asyncio.timeout(10):
        await more.wait()
        idle.clear()
        run.close()  # the rest is of a session that is over
        link.send(wire.packed(wire.Seen(session="never was", seq=1)))
        await link.close()
        await serving
    assert [one for one in caplog.records if one.levelno == logging.WARNING] == caplog.records[:1]
    assert caplog.messages[0].startswith(f"TL322 node hotel sent more than {WAITING_BYTES} bytes")


async def _desk(session: object) -> None:
    """Runs nowhere."""
