"""turnlog behind audio of your own: `python -m turnlog.examples.embed_audio`, then connect anything that carries PCM over TCP.

Raw PCM16, 24 kHz, mono, little-endian, both ways, in real time. From a terminal, with a headset on:

    arecord -q -t raw -f S16_LE -r 24000 | nc 127.0.0.1 8091 | aplay -q -t raw -f S16_LE -r 24000
"""

import asyncio
import os
import sys
from contextlib import suppress
from functools import partial

import turnlog

__all__ = ["Speaker", "bridge", "hotel", "main"]

hotel = turnlog.App("hotel")
FRAME_S = 0.02
FRAME = 960  # bytes of it
MOST_UNSENT = 48_000  # a second: who does not even take what is due does not listen


@hotel.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Say each turn back."""
    await session.say("Front desk, how can I help?")
    async for turn in session.turns():
        await session.say(f"You said: {turn.text}")


class Speaker:
    """What the person hears: sent as it is due, so that what was not can still be thrown away. A turnlog.AudioPlayer."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._waiting = bytearray()
        self._ms: dict[turnlog.AudioPart, float] = {}  # that came of each part
        self._part: turnlog.AudioPart | None = None

    def audio(self, pcm16: bytes, part: turnlog.AudioPart) -> None:
        """Keep it until it is due."""
        self._waiting += pcm16
        self._ms[part] = self._ms.get(part, 0.0) + len(pcm16) / 48
        self._part = part

    def text(self, text: str, part: turnlog.AudioPart) -> None:
        """Nobody reads along here."""

    def cleared(self, response: str) -> None:
        """Fall silent."""
        if self._part is not None and self._part.response == response:
            self._waiting.clear()

    def finished(self, response: str) -> None:
        """What came of it is played to its end."""

    async def run(self, caller: turnlog.AudioCaller) -> None:
        """Send a frame each 20 ms, and tell how much was: our clock is nearer to the person than the engine's."""
        loop = asyncio.get_running_loop()
        due, frames = loop.time(), 0
        while caller.closed is None and self._writer.transport.get_write_buffer_size() < MOST_UNSENT:
            frame = bytes(self._waiting[:FRAME])
            del self._waiting[:FRAME]
            self._writer.write(frame.ljust(FRAME, b"\0"))  # silence, where there is nothing to say
            frames += 1
            if frame and frames % 10 == 0 and self._part is not None:
                caller.played(self._part, max(0, round(self._ms[self._part] - len(self._waiting) / 48)))
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - loop.time()))
        await caller.close(1006, "the caller does not listen")


async def bridge(engine: turnlog.Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A session for each connection; both end together."""
    caller = turnlog.AudioCaller(speaker := Speaker(writer))
    playing = asyncio.create_task(speaker.run(caller))
    try:
        session = await engine.start("hotel.desk")
        await engine.attach(session.id, caller, peer="tcp")
        with suppress(asyncio.IncompleteReadError, ConnectionError, turnlog.LinkClosed):
            while True:
                caller.speak(await reader.readexactly(FRAME))
        await caller.close()  # hung up
        await session.ended()
    except turnlog.TurnlogError as error:  # it could not be started, or its log could not be written
        print(error, file=sys.stderr)
    finally:
        playing.cancel()
        writer.close()


async def main(port: int = 8091) -> None:
    """Serve until cancelled (Ctrl-C); leaving the engine ends what runs."""
    async with turnlog.Engine(hotel, store=os.environ.get("TURNLOG_DB", "sqlite:///turnlog.db")) as engine:
        async with await asyncio.start_server(partial(bridge, engine), "127.0.0.1", port) as server:
            print(*server.sockets[0].getsockname()[:2], flush=True)
            try:
                await asyncio.Event().wait()
            finally:
                await engine.drain(0)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*map(int, sys.argv[1:])))
