"""turnlog in a service of your own that knows nothing of HTTP: `python -m turnlog.examples.embed_asyncio`.

Callers come over TCP, with a Realtime message in JSON on each line. A link is whatever has `receive`, `send` and `close`: the
engine asks for no more, and what passes is in the log as on any other way in.
"""

import asyncio
import os
import sys
from contextlib import suppress
from functools import partial

import turnlog

__all__ = ["LineLink", "hotel", "main"]

hotel = turnlog.App("hotel")
LONGEST = 1 << 20  # bytes of a line


@hotel.session("desk", provider="local", transport="in_process", modalities=["text"])
async def desk(session: turnlog.RealtimeSession) -> None:
    """Say each turn back."""
    async for turn in session.turns():
        await session.say(f"You said: {turn.text}")


class LineLink:
    """A caller's connection as a link: see turnlog.core.ports.Link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def receive(self) -> bytes:
        """The next line. Raises LinkClosed when the caller has gone, or sends what is no line."""
        try:
            return (await self._reader.readuntil(b"\n")).rstrip()
        except asyncio.IncompleteReadError:
            raise turnlog.LinkClosed(1000, "the caller has gone") from None
        except (OSError, asyncio.LimitOverrunError) as error:
            raise turnlog.LinkClosed(1006, str(error)) from error

    def send(self, message: bytes) -> None:
        """Write a line. Raises LinkClosed for a caller who does not read."""
        if self._writer.is_closing() or self._writer.transport.get_write_buffer_size() > 16 * LONGEST:
            self._writer.transport.abort()
            raise turnlog.LinkClosed(1006, "the caller does not read")
        self._writer.write(message + b"\n")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Let what was written leave, and hang up."""
        self._writer.close()


async def answer(engine: turnlog.Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A session for each connection; both end together."""
    try:
        session = await engine.start("hotel.desk")
        await engine.attach(session.id, LineLink(reader, writer), transport="tcp")
        await session.ended()
    except turnlog.TurnlogError as error:  # it could not be started, or its log could not be written
        print(error, file=sys.stderr)
    finally:
        writer.close()


async def main(port: int = 8090) -> None:
    """Serve until cancelled (Ctrl-C); leaving the engine ends what runs."""
    async with turnlog.Engine(hotel, store=os.environ.get("TURNLOG_DB", "sqlite:///turnlog.db")) as engine:
        async with await asyncio.start_server(partial(answer, engine), "127.0.0.1", port, limit=LONGEST) as server:
            print(*server.sockets[0].getsockname()[:2], flush=True)
            try:
                await asyncio.Event().wait()  # serve_forever() would, cancelled, wait for the callers: from Python 3.12 on
            finally:
                await engine.drain(0)  # before the server waits for its connections


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*map(int, sys.argv[1:])))
