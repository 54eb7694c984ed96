"""A link that hands messages on as they arrive: the same messages in the same order, whoever takes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from turnlog.core.errors import LinkClosed
from turnlog.core.ports import DirectLink
from turnlog.transports.links.in_process import pair
from turnlog.transports.links.websocket import DirectConnection, WebSocketLink


@asynccontextmanager
async def ends(
    create_connection: type[DirectConnection] | None = DirectConnection,
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


async def test_other_connections_are_read_as_before() -> None:
    """A link over another kind of connection takes a listener and goes on giving everything to receive()."""
    async with ends(create_connection=None) as (link, peer):
        link.listen(lambda message: pytest.fail("handed on"))
        await peer.send("as before")
        assert await link.receive() == b"as before"


def test_a_pair_is_no_direct_link() -> None:
    """Two ends in one process hand nothing on by themselves: who sends must never run the receiver's code."""
    assert not isinstance(pair()[0], DirectLink)
