"""Both kinds of link against one contract, and what only a WebSocket or only a pair can do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from turnlog.core.errors import LinkClosed, ProtocolError
from turnlog.core.ports import Link
from turnlog.transports.links.in_process import InProcessLink, host, pair
from turnlog.transports.links.websocket import WebSocketLink, shorten_reason


@asynccontextmanager
async def websocket_ends(
    *, max_size: int = 2**20, limit_bytes: int = 2**20
) -> AsyncIterator[tuple[WebSocketLink, ServerConnection, WebSocketLink]]:
    """A client link, and the server's connection with its link."""
    ends: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()

    async def handler(connection: ServerConnection) -> None:
        ends.set_result(connection)
        await connection.wait_closed()

    async with (
        serve(handler, "127.0.0.1", 0, compression=None, close_timeout=1) as server,
        connect(
            f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", compression=None, max_size=max_size, close_timeout=1
        ) as client,
    ):
        connection = await ends
        yield WebSocketLink(client, limit_bytes=limit_bytes), connection, WebSocketLink(connection)


@asynccontextmanager
async def in_process_ends() -> AsyncIterator[tuple[Link, Link]]:
    """A pair."""
    yield pair()


@asynccontextmanager
async def socket_ends() -> AsyncIterator[tuple[Link, Link]]:
    """Two links over one WebSocket."""
    async with websocket_ends() as (client, _, server):
        yield client, server


@pytest.fixture(params=[in_process_ends, socket_ends])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Link, Link]]:
    """Two connected links of each kind."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(request.param())


# --- the contract ---


async def test_messages_arrive_in_order_and_unchanged(ends: tuple[Link, Link]) -> None:
    """What is sent is received byte for byte, in order, in both directions."""
    messages = [b"{}", "ünï\u2028\U0001f600".encode(), b"x" * 100_000, b""]
    for message in messages:
        ends[0].send(message)
        ends[1].send(message[::-1] if message.isascii() else message)
    assert [await ends[1].receive() for _ in messages] == messages
    assert (await ends[0].receive(), (await ends[0].receive()).decode()) == (b"}{", messages[1].decode())


async def test_close_reaches_the_peer_after_what_was_queued(ends: tuple[Link, Link]) -> None:
    """The peer receives what was sent before the close, then LinkClosed with its code and reason, every time."""
    ends[0].send(b"last words")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ends[0].close(4001, "done"))
        assert await ends[1].receive() == b"last words"
        for _ in range(2):
            with pytest.raises(LinkClosed) as caught:
                await ends[1].receive()
            assert (caught.value.close_code, caught.value.reason) == (4001, "done")


async def test_a_closed_link_refuses_everything(ends: tuple[Link, Link]) -> None:
    """After close both ends raise LinkClosed on send and receive, and closing again does nothing."""
    await ends[0].close(1000, "bye")
    with pytest.raises(LinkClosed):
        await ends[1].receive()
    for end in ends:
        with pytest.raises(LinkClosed):
            end.send(b"{}")
        with pytest.raises(LinkClosed):
            await end.receive()
        await end.close(1011, "again")


async def test_a_cancelled_receive_loses_nothing(ends: tuple[Link, Link]) -> None:
    """A receive that is cancelled while it waits leaves the next message to the next one."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ends[1].receive(), 0.01)
    ends[0].send(b"kept")
    assert await ends[1].receive() == b"kept"


# --- in process ---


async def test_a_reader_too_slow_loses_the_pair() -> None:
    """A sender is told when its reader is too far behind; the reader still gets what was queued, then the reason."""
    near, far = pair(limit_bytes=100)
    near.send(b"x" * 200)
    with pytest.raises(LinkClosed, match="left 200 bytes unread; the limit is 100"):
        near.send(b"y")
    assert await far.receive() == b"x" * 200
    with pytest.raises(LinkClosed) as caught:
        await far.receive()
    assert caught.value.close_code == 1008


async def test_two_readers_of_a_pair_are_refused() -> None:
    """A second reader would get messages that the first waits for."""
    near, far = pair()
    first = asyncio.create_task(far.receive())
    await asyncio.sleep(0)
    with pytest.raises(ProtocolError, match="two tasks"):
        await far.receive()
    near.send(b"{}")
    assert await first == b"{}"


async def test_closing_a_hosted_link_ends_its_service() -> None:
    """close() returns when the task behind the link has returned."""
    ended = []

    async def serve_far(link: InProcessLink) -> None:
        try:
            while True:
                link.send((await link.receive()).upper())
        except LinkClosed as closed:
            ended.append(closed.reason)

    link = host(serve_far)
    link.send(b"echo")
    assert await link.receive() == b"ECHO"
    await link.close(1000, "enough")
    assert ended == ["enough"]


@pytest.mark.parametrize(("fails", "code"), [(True, 1011), (False, 1000)])
async def test_a_service_that_ends_closes_its_link(fails: bool, code: int, caplog: pytest.LogCaptureFixture) -> None:
    """A service that returns closes with 1000, one that fails with 1011; the failure is in the log, not in the reason."""

    async def serve_far(link: InProcessLink) -> None:
        if fails:
            raise RuntimeError("secret detail")

    with pytest.raises(LinkClosed) as caught:
        await host(serve_far).receive()
    assert caught.value.close_code == code
    assert "secret" not in caught.value.reason
    assert ("secret detail" in caplog.text) == fails


# --- WebSocket ---


async def test_a_binary_message_closes_with_1003() -> None:
    """Realtime messages are text: both sides learn what was wrong."""
    async with websocket_ends() as (client, connection, server):
        await connection.send(b"\x00\x01")
        with pytest.raises(LinkClosed) as caught:
            await client.receive()
        assert (caught.value.close_code, getattr(caught.value.__cause__, "code", "")) == (1003, "TL304")
        with pytest.raises(LinkClosed, match="text, not binary") as peer:
            await server.receive()
        assert peer.value.close_code == 1003


async def test_a_message_too_large_closes_with_1009() -> None:
    """The maximum is enforced while reading; the error names the code, both sizes and what to do."""
    async with websocket_ends(max_size=1000) as (client, _, server):
        server.send(b"x" * 1000)
        assert len(await client.receive()) == 1000
        server.send(b"x" * 1001)
        with pytest.raises(LinkClosed, match=r"TL306.*1001.*1000") as caught:
            await client.receive()
        assert (caught.value.close_code, getattr(caught.value.__cause__, "code", "")) == (1009, "TL306")
        with pytest.raises(LinkClosed) as peer:
            await server.receive()
        assert peer.value.close_code == 1009


async def test_broken_utf8_closes_with_1007() -> None:
    """A text frame that is not UTF-8 never reaches the protocol."""
    async with websocket_ends() as (client, connection, _):
        await connection.send(b"\xff\xfe", text=True)
        with pytest.raises(LinkClosed) as caught:
            await client.receive()
        assert caught.value.close_code == 1007


async def test_a_dropped_connection_is_1006() -> None:
    """A connection lost without a close frame says so on receive and on send."""
    async with websocket_ends() as (client, connection, _):
        connection.transport.abort()
        with pytest.raises(LinkClosed, match="lost") as caught:
            await client.receive()
        assert caught.value.close_code == 1006
        with pytest.raises(LinkClosed) as again:
            client.send(b"{}")
        assert again.value.close_code == 1006


async def test_a_peer_that_does_not_read_is_cut_off() -> None:
    """Sending never blocks: beyond the limit the link ends with 1008 and says how much was left unread."""
    async with websocket_ends(limit_bytes=1000) as (client, connection, _):
        connection.transport.pause_reading()
        with pytest.raises(LinkClosed, match="bytes unread; the limit is 1000") as caught:
            for _ in range(1000):
                client.send(b"x" * 100_000)
        assert caught.value.close_code == 1008
        for use in (client.receive, client.receive):
            with pytest.raises(LinkClosed) as again:
                await use()
            assert again.value.close_code == 1008
        connection.transport.abort()


async def test_sending_switches_no_task() -> None:
    """A message is on its way when send returns: the event loop is not needed in between."""
    async with websocket_ends() as (client, _, server):
        client.send(b"now")
        assert client._connection.transport.get_write_buffer_size() == 0
        assert await server.receive() == b"now"


async def test_a_long_reason_is_cut_at_a_character() -> None:
    """A close frame holds 123 bytes of reason."""
    assert shorten_reason("ü" * 100) == "ü" * 61
    async with websocket_ends() as (client, _, server):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client.close(1000, "ü" * 100))
            with pytest.raises(LinkClosed) as caught:
                await server.receive()
        assert caught.value.reason == "ü" * 61
