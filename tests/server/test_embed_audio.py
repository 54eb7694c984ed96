"""The example that bridges raw PCM over TCP: a person who speaks into a socket is answered from it, and can cut in."""

import asyncio
from functools import partial

from turnlog import Engine
from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.examples.embed_audio import FRAME, bridge, hotel
from turnlog.store.memory import MemoryStore
from turnlog.testing import SpeakingProvider
from turnlog.testing.fake_speech import listen, speak

PATIENCE_S = 20


class Person:
    """Speaks and listens on a socket, a frame at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.heard = bytearray()
        self.to_say = bytearray()

    async def until(self, words: str) -> None:
        """Speak what there is to say, in the pace of what is heard, until these words were."""
        async with asyncio.timeout(PATIENCE_S):
            while words not in listen(bytes(self.heard)):
                self.heard += await self.reader.readexactly(FRAME)
                self.writer.write(bytes(self.to_say[:FRAME]).ljust(FRAME, b"\0"))
                del self.to_say[:FRAME]


async def test_pcm_over_tcp_is_a_call() -> None:
    """A greeting is heard, speech over it cuts it, what was said is answered, and hanging up ends the session."""
    async with Engine(hotel, store=MemoryStore(), providers={"local": SpeakingProvider()}) as engine:
        async with await asyncio.start_server(partial(bridge, engine), "127.0.0.1", 0) as server:
            person = Person(*await asyncio.open_connection(*server.sockets[0].getsockname()[:2]))
            await person.until("Front desk")
            person.to_say += speak("a room")
            await person.until("You said: a room")
            person.writer.close()
            [session] = engine.sessions.values()
            async with asyncio.timeout(PATIENCE_S):
                await session.ended()
        events = [decode(one) for one in engine.store.scan(session.id)]
    greeting = next(one for one in events if isinstance(one, e.SaySettled))
    assert (greeting.status, greeting.code, greeting.source) == ("interrupted", "speech", "ack")
    assert "help" not in listen(bytes(person.heard))
