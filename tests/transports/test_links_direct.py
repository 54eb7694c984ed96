"""A link that hands messages on as they arrive: the same messages in the same order, whoever takes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from turnlog.core.errors import LinkClosed
from turnlog.core.ports import DirectLink
from turnlog.transports.links.direct import DirectConnection
from turnlog.transports.links.in_process import pair
from turnlog.transports.links.websocket import WebSocketLink


@asynccontextmanager
async def ends(
    create_connection: type[DirectConnection] | None = DirectConnection, max_size: int = 1 << 20
) -> AsyncIterator[tuple[WebSocketLink, ServerConnection]]:
    """A client's link and the server's connection."""
    found: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()

    async def handler(connection: ServerConnection) -> None:
        found.set_result(connection)
        await connection.wait_closed()

    async with (
        serve(handler, "127.0.0.1", 0, compression=None, close_timeout=1) as server,
        connect(
            f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}",
            compression=None,
            close_timeout=1,
            create_connection=create_connection,
            max_size=max_size,
        ) as client,
    ):
        yield WebSocketLink(client), await found


class Heard:
    """A listener that keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._came = asyncio.Event()

    def __call__(self, message: bytes) -> None:
        """Take a message."""
        self.messages.append(message)
        self._came.set()

    async def until(self, count: int) -> list[bytes]:
        """The messages, once there are so many."""
        async with asyncio.timeout(5):
            while len(self.messages) < count:
                self._came.clear()
                await self._came.wait()
        return self.messages


async def test_who_listens_gets_what_arrives() -> None:
    """Whole messages go to the listener in order, and nothing is left for receive()."""
    async with ends() as (link, peer):
        heard = Heard()
        link.listen(heard)
        for n in range(50):
            await peer.send(f'{{"n":{n}}}')
        assert await heard.until(50) == [b'{"n":%d}' % n for n in range(50)]
        await peer.close(4000, "over")
        with pytest.raises(LinkClosed) as closed:
            await link.receive()
        assert (closed.value.close_code, closed.value.reason) == (4000, "over")


async def test_order_holds_across_both_ways() -> None:
    """Fragments and text beyond ASCII go to receive(), and what comes behind them waits there too: order is never changed."""
    async with ends() as (link, peer):
        heard = Heard()

        async def read() -> None:
            while True:
                heard(await link.receive())

        link.listen(heard)
        sent = [["a"], ["b", "b"], ["c"], ["ü"], ["d"], ["e", "é", "e"], ["f"]] * 20
        reading = asyncio.create_task(read())
        for pieces in sent:
            await peer.send(pieces if len(pieces) > 1 else pieces[0])
        messages = await heard.until(len(sent))
        reading.cancel()
        assert messages == ["".join(pieces).encode() for pieces in sent]


async def test_what_waits_for_receive_goes_first() -> None:
    """A listener that comes late does not overtake what lies there already."""
    async with ends() as (link, peer):
        await peer.send("first")
        pong = await peer.ping()
        await pong  # the client has read it
        heard = Heard()
        link.listen(heard)
        await peer.send("second")
        await (await peer.ping())
        assert heard.messages == []
        assert [await link.receive(), await link.receive()] == [b"first", b"second"]
        await peer.send("third")
        assert await heard.until(1) == [b"third"]


async def test_who_stops_listening_gets_nothing_more() -> None:
    """After listen(None) messages go to receive()."""
    async with ends() as (link, peer):
        heard = Heard()
        link.listen(heard)
        link.listen(None)
        await peer.send("to the reader")
        assert await link.receive() == b"to the reader"
        assert heard.messages == []


async def test_a_listener_that_fails_is_heard_of() -> None:
    """What the listener raises comes out of receive(); the connection is cut."""
    async with ends() as (link, peer):

        def take(message: bytes) -> None:
            raise RuntimeError(f"cannot take {message!r}")

        link.listen(take)
        await peer.send("x")
        with pytest.raises(RuntimeError, match="cannot take b'x'"):
            await link.receive()
        await peer.wait_closed()


async def test_bad_utf8_ends_the_link_as_ever() -> None:
    """Bytes that are no UTF-8 are found by receive(), which closes the link; the listener never sees them."""
    async with ends() as (link, peer):
        heard = Heard()
        link.listen(heard)
        peer.protocol.send_text(b"\xff\xfe")
        peer.send_data()
        with pytest.raises(LinkClosed) as closed:
            await link.receive()
        assert (closed.value.close_code, heard.messages) == (1007, [])


async def test_binary_messages_are_refused_as_ever() -> None:
    """A binary message closes the link with 1003, whoever listens."""
    async with ends() as (link, peer):
        heard = Heard()
        link.listen(heard)
        await peer.send(b"\x00\x01")
        with pytest.raises(LinkClosed) as closed:
            await link.receive()
        assert (closed.value.close_code, heard.messages) == (1003, [])


def read(connection: DirectConnection, data: bytes) -> None:
    """Let a connection read `data`, as its transport would."""
    buffer = connection.get_buffer(-1)
    buffer[: len(data)] = data
    connection.buffer_updated(len(data))


class Parsed(DirectConnection):
    """Counts the bytes that go the long way."""

    parsed = 0

    def data_received(self, data: bytes) -> None:
        """Let the library parse."""
        self.parsed += len(data)
        super().data_received(data)


async def test_the_short_way_is_taken() -> None:
    """Whole text frames of either length, several in one read too, pass the library's parser by."""
    async with ends(Parsed) as (link, peer):
        connection, heard = link._connection, Heard()
        assert isinstance(connection, Parsed)
        link.listen(heard)
        sent = [b"y" * size for size in (2, 125, 126, 2200, 60_000)]
        for message in sent:
            peer.protocol.send_text(message)
        before = connection.parsed
        read(connection, b"".join(peer.protocol.data_to_send()))
        assert (heard.messages, connection.parsed) == (sent, before)


async def test_frames_may_be_cut_anywhere() -> None:
    """However a stream of frames is cut into reads, each message is handed on once and in order."""
    async with ends() as (link, peer):
        connection, sent = link._connection, [b'{"a":1}', b"y" * 126, b"{}", b"z" * 200]
        assert isinstance(connection, DirectConnection)
        for message in sent:
            peer.protocol.send_text(message)
        peer.protocol.send_ping(b"?")
        stream = b"".join(peer.protocol.data_to_send())
        for at in range(1, len(stream)):
            heard = Heard()
            link.listen(heard)
            read(connection, stream[:at])
            read(connection, stream[at:])
            assert heard.messages == sent


async def test_the_largest_message_is_the_same_on_both_ways() -> None:
    """A frame that is larger than the connection takes closes it with 1009, though it came whole."""
    async with ends(max_size=100) as (link, peer):
        heard = Heard()
        link.listen(heard)
        await peer.send("x" * 100)
        await peer.send("x" * 101)
        with pytest.raises(LinkClosed) as closed:
            await link.receive()
        assert (closed.value.close_code, heard.messages) == (1009, [b"x" * 100])


async def test_other_connections_are_read_as_before() -> None:
    """A link over another kind of connection takes a listener and goes on giving everything to receive()."""
    async with ends(create_connection=None) as (link, peer):
        link.listen(lambda message: pytest.fail("handed on"))
        await peer.send("as before")
        assert await link.receive() == b"as before"


def test_a_pair_is_no_direct_link() -> None:
    """Two ends in one process hand nothing on by themselves: who sends must never run the receiver's code."""
    assert not isinstance(pair()[0], DirectLink)
