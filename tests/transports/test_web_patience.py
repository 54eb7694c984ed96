"""Connections that send nothing, or hardly anything, are let go; those that only take their time between requests are not."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from turnlog.transports.web.serving import listen, serve_app

__all__: list[str] = []

HEAD_S = 0.2


async def hello(request: object) -> PlainTextResponse:
    """Hello."""
    return PlainTextResponse("hello")


@pytest.fixture
async def listener() -> AsyncIterator[socket.socket]:
    """Where a server listens that waits 0.2 s for a head."""
    stop = asyncio.Event()

    async def leave() -> None:
        pass

    app = Starlette(routes=[Route("/", hello)])
    with listen("127.0.0.1", 0) as listening:
        serving = asyncio.create_task(serve_app(app, listening, stop, leave=leave, max_message_bytes=1_000, head_s=HEAD_S))
        yield listening
        stop.set()
        await serving


async def opened(listener: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection."""
    return await asyncio.open_connection(*listener.getsockname()[:2])


@pytest.mark.parametrize(
    ("sent", "answer"), [(b"", b""), (b"GET / HT", b"HTTP/1.1 408"), (b"GET / HTTP/1.1\r\nHost: x\r\n", b"HTTP/1.1 408")]
)
async def test_a_head_that_does_not_come_ends_the_connection(listener: socket.socket, sent: bytes, answer: bytes) -> None:
    """408 where it has begun, and nothing where there is none; a byte now and then brings no more time."""
    reader, writer = await opened(listener)
    writer.write(sent)
    async with asyncio.timeout(5):
        said = await reader.read()
    assert said.startswith(answer) and bool(said) == bool(answer)
    writer.close()


async def test_a_connection_serves_one_request_after_the_other(listener: socket.socket) -> None:
    """A pause between requests that is longer than a head may take is no trouble; a head that is cut behind it is."""
    reader, writer = await opened(listener)
    for _ in range(2):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readuntil(b"hello")
        await asyncio.sleep(HEAD_S * 1.5)  # the pause is the matter here
    writer.write(b"GET / HTTP/1.1\r\nHo")
    async with asyncio.timeout(5):
        assert (await reader.read()).startswith(b"HTTP/1.1 408")
    writer.close()
