"""Tests for nodes that send without end, and for links whose other end has vanished without a word."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

import turnlog
from tests.server.hosting import Hosted, hosted
from tests.server.noding import PATIENCE_S, bare_node, hears, node, says, shouts
from turnlog.engine.nodes import wire
from turnlog.engine.nodes.dialling import run_node
from turnlog.engine.nodes.worker import hello_of
from turnlog.engine.toolbox import Toolbox
from turnlog.server.settings import ServerSettings

__all__: list[str] = []

PING_S = 0.2

hub = turnlog.App("hub")
hotel = turnlog.App("hotel")
evil = turnlog.App("evil")
hotel.session("desk", provider="local", transport="in_process")(shouts)
evil.session("desk", provider="local", transport="in_process")(shouts)


async def test_a_node_that_sends_without_end_is_read_slowly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """So many a second, told once by TL322; nothing of it is lost, and a caller of another node is answered meanwhile."""
    rate, sent = 500, 900
    loop = asyncio.get_running_loop()
    settings = ServerSettings(node_messages_s=rate)
    async with hosted(hub, tmp_path, elsewhere=(hotel, evil), settings=settings) as server, node(server, hotel):
        async with connect(server.socket_url("hotel.desk")) as caller, bare_node(server, evil) as made:
            assert await hears(caller) == "Good evening."
            await made.hears(wire.Welcome)
            live = await server.engine.start("evil.desk")
            begun = loop.time()
            for _ in range(sent):
                await made.say(wire.Seen(session=live.id, seq=1))
            await made.say(wire.Diverged(session=live.id, code="TL101", message="the last"))
            last = asyncio.create_task(live.ended())
            await says(caller, "one")
            assert await hears(caller) == "ONE" and not last.done()
            assert (await last).detail == "the last"
            assert loop.time() - begun >= (sent - rate) / rate
            await says(caller, "bye")
            await server.ended(next(one for one in server.engine.sessions))
    (told,) = [one for one in caplog.messages if one.startswith("TL322")]
    assert "node evil sent more than 500 messages a second" in told


class Cable:
    """A TCP proxy. Once it is cut nothing passes through what stands, and neither end is told; what connects then passes."""

    def __init__(self, port: int) -> None:
        self.made = 0
        self.ends: list[asyncio.StreamWriter] = []
        self._port = port
        self._cut = asyncio.Event()
        self._pumps = asyncio.TaskGroup()

    def cut(self) -> None:
        """Let what stands pass nothing any more."""
        self._cut.set()
        self._cut = asyncio.Event()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """The URL at which it can be reached."""
        async with self._pumps:
            server = await asyncio.start_server(self._join, "127.0.0.1", 0)
            try:
                yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            finally:
                server.close()
                self.cut()
                for end in self.ends:
                    end.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.ends += [writer, far_writer]
        self.made += 1
        cut = self._cut
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._pumps.create_task(self._pump(source, sink, cut))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: asyncio.Event) -> None:
        over = asyncio.create_task(cut.wait())
        while not over.done():
            reading = asyncio.create_task(source.read(65536))
            await asyncio.wait([reading, over], return_when=asyncio.FIRST_COMPLETED)
            if over.done() or reading.exception() or not reading.result():
                if not reading.cancel() and not over.done():
                    sink.close()
                break
            sink.write(reading.result())
        over.cancel()


def port_of(server: Hosted) -> int:
    """Where it listens."""
    return int(server.url.rpartition(":")[2])


async def test_a_vanished_peer_is_noticed_at_both_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The node dials anew without being told, the engine lets its old link go by itself, and the session goes on.

    2 s of it are the time that a WebSocket has to be closed in, after which a peer that does not answer is left.
    """
    caplog.set_level(logging.INFO, "turnlog")
    connected: asyncio.Queue[None] = asyncio.Queue()
    async with hosted(hub, tmp_path, elsewhere=hotel, settings=ServerSettings(ping_s=PING_S)) as server:
        cable = Cable(port_of(server))
        async with asyncio.timeout(PATIENCE_S), cable.laid() as url, asyncio.TaskGroup() as tasks:
            beside = run_node(hotel, url, on_connected=lambda: connected.put_nowait(None), ping_s=PING_S)
            running = tasks.create_task(beside)
            await connected.get()
            async with connect(server.socket_url("hotel.desk"), ping_interval=None) as caller:
                assert await hears(caller) == "Good evening."
                cable.cut()
                await says(caller, "one")
                assert await hears(caller) == "ONE"
                assert connected.qsize() == 1 == cable.made - 1
                await says(caller, "bye")
                assert (await server.ended(await server.only_session())).reason == "completed"
            running.cancel()
    told = [one for one in caplog.messages if "is gone" in one]
    assert any(one.startswith("the engine is gone: ") for one in told)
    assert any(one.startswith("node hotel is gone: ") for one in told)


async def test_an_engine_gives_up_a_peer_that_takes_nothing_any_more(tmp_path: Path) -> None:
    """Also where so much waits to be sent that no orderly close would ever come to its end."""
    async with hosted(hub, tmp_path, settings=ServerSettings(ping_s=PING_S)) as server:
        cable = Cable(port_of(server))
        async with asyncio.timeout(PATIENCE_S), cable.laid() as url:
            address = url.replace("http", "ws", 1) + "/v1/turnlog/node"
            async with connect(address, ping_interval=None, close_timeout=0.01) as socket:
                await socket.send(wire.packed(hello_of(hotel, Toolbox("hotel", {}))).decode())
                await socket.recv()
                there = server.engine.nodes.newest("hotel")
                assert there is not None
                cable.cut()
                for _ in range(16):
                    there.link.send(b"x" * 1024 * 1024)
                while server.engine.nodes.newest("hotel"):  # noqa: ASYNC110 # the hub tells nobody
                    await asyncio.sleep(0.01)
