"""Both ends of the sessions of bench_sessions, each in a process of its own: a provider that plays, and callers that talk.

    python benchmarks/sessions_peers.py provider TALKING RATE SECONDS
    python benchmarks/sessions_peers.py callers URL

The provider prints its port. Sessions of the model "talking" get the turns of paced_server (RATE events a second, from when all
TALKING of them are there); sessions of any other model are confirmed and left alone. Callers are told over stdin, a line of
JSON each ({"target", "count", "talks"}), how many are to come; every line is answered by one, once they all have their session.
A talking caller sends 100 ms of audio ten times a second.
"""

import asyncio
import contextlib
import json
import sys
from base64 import b64encode
from random import Random

from paced_server import EVENTS_OF_A_TURN, Pace, confirm, play, session, turn
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

__all__ = ["CHUNK_MS"]

CHUNK_MS = 100
AUDIO = b64encode(Random(2).randbytes(24 * 2 * CHUNK_MS)).decode()
APPEND = json.dumps({"type": "input_audio_buffer.append", "audio": AUDIO})
AT_ONCE = 20  # callers that connect at the same time


class Spread(Pace):
    """As Pace, and between two events of one session all others have theirs: those who talk do not talk in step."""

    def connected(self) -> float:
        """A session is there; returns how long after the first one it starts, in seconds."""
        return super().connected() + self.there / self.sessions / self.rate


async def provide(talking: int, rate: float, seconds: float) -> None:
    """Serve until killed."""
    pace = Spread(talking, rate, seconds)
    script = [frame for number in range(1, int(rate * seconds) // EVENTS_OF_A_TURN + 2) for frame in turn(number)]

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        if "model=talking" in connection.request.path:
            await play(connection, pace, script)
            return
        await connection.send(session("created"), text=True)
        await confirm(connection)

    async with serve(handle, "127.0.0.1", 0, max_size=None, compression=None, ping_interval=None, backlog=1000) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


async def call(url: str) -> None:
    """Open callers as told, until stdin ends; then all of them hang up."""
    loop, opening = asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            told = json.loads(line)

            async def one(target: str, talks: bool, there: asyncio.Future[None]) -> None:
                async with opening:
                    connection = await connect(f"{url}?model={target}", max_size=None, compression=None, ping_interval=None)
                    await connection.recv(decode=False)  # session.created
                there.set_result(None)
                await talk(connection, speaks=talks)

            coming = [loop.create_future() for _ in range(told["count"])]
            callers = [tasks.create_task(one(told["target"], told["talks"], there)) for there in coming]
            await asyncio.wait([asyncio.gather(*coming), *callers], return_when=asyncio.FIRST_COMPLETED)
            if not all(there.done() for there in coming):
                raise SystemExit("a caller was not let in")
            print(json.dumps(told), flush=True)
        raise SystemExit  # the sockets close with the process


async def talk(connection: ClientConnection, *, speaks: bool) -> None:
    """Read what comes, and speak."""
    async with contextlib.AsyncExitStack() as stack:
        if speaks:
            speaking = asyncio.create_task(speak(connection))
            stack.callback(speaking.cancel)
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.recv(decode=False)


async def speak(connection: ClientConnection) -> None:
    """A chunk at each multiple of its length."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.send(APPEND)
            due += CHUNK_MS / 1000
            await asyncio.sleep(due - loop.time())


if __name__ == "__main__":
    if sys.argv[1] == "provider":
        asyncio.run(provide(int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
    else:
        asyncio.run(call(sys.argv[2]))
