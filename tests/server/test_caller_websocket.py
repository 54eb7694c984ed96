"""The link of a caller: order, bounds and ends, between a real client and a real server that runs no session."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK

from turnlog.core.errors import LinkClosed, ProtocolError
from turnlog.server.serve import listen
from turnlog.transports.callers.websocket import CallerSocket

LIMIT = 1_000_000


@asynccontextmanager
async def linked(max_queue: int | None = None) -> AsyncIterator[tuple[ClientConnection, CallerSocket, "asyncio.Task[None]"]]:
    """A client that stops reading after `max_queue` messages, the link at the server's end, and the task that runs it."""
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[tuple[CallerSocket, asyncio.Task[None]]] = loop.create_future()

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        link = CallerSocket(socket, max_bytes=1000, limit_bytes=LIMIT, close_s=0.05)
        running = asyncio.current_task()
        assert running is not None
        accepted.set_result((link, running))
        await link.run()

    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    options = {"ws": "websockets-sansio", "ws_per_message_deflate": False, "lifespan": "off", "log_config": None}
    config = uvicorn.Config(app, **options, timeout_graceful_shutdown=1)  # type: ignore[arg-type] # each is right
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        async with connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/", max_queue=max_queue) as client:
            link, running = await accepted
            yield client, link, running
        server.should_exit = True
        await serving


async def test_text_passes_both_ways_exactly_and_in_order() -> None:
    """UTF-8 bytes at our end, text at theirs."""
    async with linked() as (client, link, _):
        for n in range(50):
            link.send(f'{{"é":{n}}}'.encode())
        assert [await client.recv() for _ in range(50)] == [f'{{"é":{n}}}' for n in range(50)]
        for n in range(50):
            await client.send(f'{{"ж":{n}}}')
        assert [await link.receive() for _ in range(50)] == [f'{{"ж":{n}}}'.encode() for n in range(50)]


async def test_a_close_flushes_what_is_queued_and_ends_both_directions() -> None:
    """The caller reads everything, then our code and reason; afterwards nothing can be sent or received."""
    async with linked() as (client, link, running):
        for n in range(100):
            link.send(b"%d" % n)
        await link.close(4000, "over")
        await link.close(4001, "again")
        with pytest.raises(ConnectionClosedError) as caught:
            for n in range(101):
                assert await client.recv() == str(n)
        assert n == 100 and caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4000, "over")
        with pytest.raises(LinkClosed, match="4000: over"):
            link.send(b"late")
        with pytest.raises(LinkClosed, match="4000: over"):
            await link.receive()
        await running


async def test_a_close_ends_a_receive_that_waits() -> None:
    """The reader is not left behind."""
    async with linked() as (_, link, _running):
        waiting = asyncio.create_task(link.receive())
        await asyncio.sleep(0)
        await link.close(1000, "done")
        with pytest.raises(LinkClosed) as caught:
            await waiting
        assert (caught.value.close_code, caught.value.reason) == (1000, "done")


async def test_a_long_reason_is_cut_at_a_whole_character() -> None:
    """A close frame holds 123 bytes."""
    async with linked() as (client, link, _):
        await link.close(1000, "ж" * 100)
        with pytest.raises(ConnectionClosedOK):
            await client.recv()
        assert client.close_reason == "ж" * 61


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "leaving"), (4999, "own")])
async def test_the_callers_close_is_told_with_its_code_and_reason(code: int, reason: str) -> None:
    """What was sent before is received first; the link then runs out."""
    async with linked() as (client, link, running):
        await client.send("last words")
        await client.close(code, reason)
        assert await link.receive() == b"last words"
        with pytest.raises(LinkClosed) as caught:
            await link.receive()
        assert (caught.value.close_code, caught.value.reason) == (code, reason)
        with pytest.raises(LinkClosed):
            link.send(b"late")
        await running


async def test_a_lost_connection_is_1006() -> None:
    """No close frame at all."""
    async with linked() as (client, link, running):
        client.transport.abort()
        with pytest.raises(LinkClosed, match="1006: the connection was lost"):
            await link.receive()
        await running


async def test_a_connection_lost_while_writing_is_1006_too() -> None:
    """The writer meets the loss first; the reader tells it."""
    async with linked() as (client, link, running):
        client.transport.abort()
        while not running.done():
            link.send(b"hello?")
            await asyncio.sleep(0)
        with pytest.raises(LinkClosed, match="1006"):
            await link.receive()


async def test_a_message_over_the_maximum_closes_with_1009() -> None:
    """At the maximum it passes; one byte more, counted in UTF-8, is TL306."""
    async with linked() as (client, link, _):
        await client.send("A" * 1000)
        assert len(await link.receive()) == 1000
        await client.send("ж" * 501)
        with pytest.raises(LinkClosed, match="1009: TL306 a message of 1002 bytes exceeds the maximum of 1000") as caught:
            await link.receive()
        assert isinstance(caught.value.__cause__, ProtocolError) and caught.value.__cause__.code == "TL306"
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1009


async def test_a_binary_message_closes_with_1003() -> None:
    """Realtime messages are text."""
    async with linked() as (client, link, _):
        await client.send(b"{}")
        with pytest.raises(LinkClosed, match="1003: TL304") as caught:
            await link.receive()
        assert isinstance(caught.value.__cause__, ProtocolError)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1003


async def test_a_caller_that_does_not_read_is_cut_off() -> None:
    """At the limit: send raises with 1008, the reader ends, nothing waits for the caller."""
    async with linked(max_queue=1) as (client, link, running):
        reading = asyncio.create_task(link.receive())
        with pytest.raises(LinkClosed, match="1008: the caller left more than 1000000 bytes unread"):
            while True:
                link.send(b"A" * 50_000)
                await asyncio.sleep(0)
        with pytest.raises(LinkClosed, match="1008"):
            await reading
        await running
        client.transport.abort()


async def test_a_close_does_not_wait_for_a_caller_that_does_not_read() -> None:
    """After the time for it the link ends without a close frame."""
    async with linked(max_queue=1) as (client, link, running):
        while link._writer.waiting_bytes < LIMIT // 2:
            link.send(b"A" * 50_000)
            await asyncio.sleep(0)
        await link.close(1000, "done")
        await running
        client.transport.abort()
