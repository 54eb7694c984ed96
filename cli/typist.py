"""A caller who types: lines of standard input as they come, over a Realtime link in this process."""

import asyncio
import codecs
import os
import sys
import threading
from collections.abc import AsyncIterator

from ..core.errors import LinkClosed
from ..core.ports import Link
from ..transports.realtime.client import ClientProtocol
from ..transports.realtime.wire import parse

__all__ = ["TypingCaller", "typed_lines"]


class TypingCaller:
    """Sends text, and asks for an answer to it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._client = ClientProtocol()
        self._asked = 0

    def send(self, text: str) -> None:
        """One contribution of the user. Raises LinkClosed."""
        self._asked += 1
        content = [{"type": "input_text", "text": text}]
        self._link.send(self._client.create_item({"type": "message", "role": "user", "content": content}))
        self._link.send(self._client.create_response(None, f"ask_{self._asked}"))

    async def run(self) -> None:
        """Take what comes, until the link is closed: the words are read from the log."""
        try:
            while True:
                self._client.receive(parse(await self._link.receive()))
        except LinkClosed:
            return

    def stop(self) -> None:
        """Nothing is under way that would have to stop."""

    async def hang_up(self) -> None:
        """Close the link."""
        await self._link.close()


async def typed_lines() -> AsyncIterator[str]:
    """The lines of standard input until its end, without blank ones.

    Strategy: a daemon thread that reads the descriptor itself. A thread blocked inside sys.stdin holds its lock, over which
    the interpreter stumbles when it ends.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest, chunk = "", b" "
        while chunk:
            chunk = _read_some()
            *whole, rest = (rest + decoder.decode(chunk, not chunk)).split("\n")
            for line in (*whole, *([rest] if not chunk else [])):
                _hand_over(loop, lines, line)
        _hand_over(loop, lines, None)

    threading.Thread(target=read, name="turnlog demo input", daemon=True).start()
    while (line := await lines.get()) is not None:
        if line.strip():
            yield line.strip()


def _read_some() -> bytes:
    try:
        return os.read(sys.stdin.fileno(), 4096)
    except (OSError, ValueError):  # closed, or never there
        return b""


def _hand_over(loop: asyncio.AbstractEventLoop, lines: "asyncio.Queue[str | None]", line: str | None) -> None:
    try:
        loop.call_soon_threadsafe(lines.put_nowait, line)
    except RuntimeError:  # the conversation is over and its loop closed
        return
