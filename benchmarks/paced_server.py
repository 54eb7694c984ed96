"""A Realtime service that only plays: every connection gets the same turns at a steady pace. Serves bench_live_loop.

    python benchmarks/paced_server.py SESSIONS RATE SECONDS

Prints its port, waits until SESSIONS clients have connected, then sends each RATE events a second for SECONDS. 180 of the
200 events of a turn are audio deltas (2 KB of base64). The first 12 bytes of each audio payload hold the moment it was sent
(time.perf_counter_ns, which all processes of one machine share), so that whoever gets the audio can tell how long it took.
"""

import asyncio
import json
import random
import sys
import time
from base64 import b64encode
from typing import Any, NamedTuple

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

__all__ = ["AUDIO_SHARE", "EVENTS_OF_A_TURN", "STAMP_BYTES", "turn"]

AUDIO_DELTAS = 180
TRANSCRIPT_DELTAS = 4
EVENTS_OF_A_TURN = 200
AUDIO_SHARE = AUDIO_DELTAS / EVENTS_OF_A_TURN
STAMP_BYTES = 12  # 16 characters of base64, without padding
PCM = random.Random(1).randbytes(1536)
SETTLE_S = 1.0

Json = dict[str, Any]


class Frame(NamedTuple):
    """A message; `tail` is None for one that is sent as it stands, else a time stamp goes between head and tail."""

    head: bytes
    tail: bytes | None


def turn(number: int) -> list[Frame]:
    """One user turn and the model's answer to it, in the order of the protocol."""
    said, user = Turn(number), f"item_user{number:012d}"
    part: Json = {"type": "audio", "transcript": ""}
    heard = {"id": user, "object": "realtime.item", "type": "message", "status": "completed", "role": "user"}
    heard["content"] = [{"type": "input_audio", "transcript": None}]  # type: ignore[assignment] # JSON
    frames = [
        said.event("input_audio_buffer.speech_started", audio_start_ms=number * 4000, item_id=user),
        said.event("input_audio_buffer.speech_stopped", audio_end_ms=number * 4000 + 700, item_id=user),
        said.event("input_audio_buffer.committed", previous_item_id=None, item_id=user),
        said.event("conversation.item.added", previous_item_id=None, item=heard),
        said.event("conversation.item.done", previous_item_id=None, item=heard),
        said.event(
            "conversation.item.input_audio_transcription.completed", item_id=user, content_index=0, transcript=" what now",
            usage={"type": "tokens", "total_tokens": 20, "input_tokens": 14, "output_tokens": 6},
        ),
        said.event("response.created", response=said.response(done=False)),
        said.event("response.output_item.added", response_id=said.id, output_index=0, item=said.item(done=False)),
        said.event("conversation.item.added", previous_item_id=user, item=said.item(done=False)),
        said.event("response.content_part.added", **said.place, part=part),
    ]  # fmt: skip
    for n in range(AUDIO_DELTAS):
        if n % (AUDIO_DELTAS // TRANSCRIPT_DELTAS) == 0:
            frames.append(said.event("response.output_audio_transcript.delta", **said.place, delta=" hello there"))
        frames.append(said.audio())
    part = {"type": "audio", "transcript": said.words}
    return [
        *frames,
        said.event("response.output_audio.done", **said.place),
        said.event("response.output_audio_transcript.done", **said.place, transcript=said.words),
        said.event("response.content_part.done", **said.place, part=part),
        said.event("conversation.item.done", previous_item_id=user, item=said.item(done=True)),
        said.event("response.output_item.done", response_id=said.id, output_index=0, item=said.item(done=True)),
        said.event("response.done", response=said.response(done=True)),
    ]


class Turn:
    """Builds the messages of one turn."""

    words = " hello there" * TRANSCRIPT_DELTAS

    def __init__(self, number: int) -> None:
        self.number = number
        self.events = 0
        self.id = f"resp_{number:016d}"
        self.item_id = f"item_answer{number:010d}"
        self.place = {"response_id": self.id, "item_id": self.item_id, "output_index": 0, "content_index": 0}

    def event(self, type_: str, **fields: Any) -> Frame:
        """A message with an id of its own."""
        return Frame(self._json(type_, fields), None)

    def audio(self) -> Frame:
        """An audio delta, open where the stamp goes."""
        rest = b64encode(PCM[STAMP_BYTES:]).decode()
        head, tail = self._json("response.output_audio.delta", {**self.place, "delta": "|" + rest}).split(b"|")
        return Frame(head, tail)

    def item(self, *, done: bool) -> Json:
        """The answer's item."""
        content = [{"type": "output_audio", "transcript": self.words}] if done else []
        status = "completed" if done else "in_progress"
        return {"id": self.item_id, "object": "realtime.item", "type": "message", "status": status, "role": "assistant",
                "content": content}  # fmt: skip

    def response(self, *, done: bool) -> Json:
        """The response object."""
        cached = {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0}
        read = {"text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64, "cached_tokens_details": cached}
        written = {"text_tokens": 30, "audio_tokens": 91}
        usage = {"total_tokens": 253, "input_tokens": 132, "output_tokens": 121, "input_token_details": read,
                 "output_token_details": written}  # fmt: skip
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": "completed" if done else "in_progress",
            "status_details": None,
            "output": [self.item(done=True)] if done else [],
            "conversation_id": "conv_0000000000000001",
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"}},
            "usage": usage if done else None,
            "metadata": None,
        }

    def _json(self, type_: str, fields: Json) -> bytes:
        self.events += 1
        event_id = f"event_{self.number:010d}{self.events:06d}"
        return json.dumps({"type": type_, "event_id": event_id, **fields}, separators=(",", ":")).encode()


def session(kind: str) -> bytes:
    """session.created and session.updated."""
    detection = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
                 "idle_timeout_ms": None, "create_response": True, "interrupt_response": True}  # fmt: skip
    pcm = {"type": "audio/pcm", "rate": 24000}
    body = {
        "type": "realtime", "object": "realtime.session", "id": "sess_0000000000000001", "model": "gpt-realtime",
        "output_modalities": ["audio"], "instructions": "You are helpful.", "tools": [], "tool_choice": "auto",
        "max_output_tokens": "inf", "tracing": None, "truncation": "auto", "prompt": None, "expires_at": 1900000000,
        "audio": {"input": {"format": pcm, "transcription": None, "noise_reduction": None, "turn_detection": detection},
                  "output": {"format": pcm, "voice": "marin", "speed": 1.0}},
        "include": None,
    }  # fmt: skip
    return json.dumps({"type": f"session.{kind}", "event_id": f"event_{kind}", "session": body}, separators=(",", ":")).encode()


class Pace:
    """When each session sends. Starts are spread evenly over the length of a turn, so that turns do not change all at once."""

    def __init__(self, sessions: int, rate: float, seconds: float) -> None:
        self.sessions = sessions
        self.rate = rate
        self.events = int(rate * seconds)
        self.there = 0
        self.begin: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def connected(self) -> float:
        """A session is there; returns how long after the first one it starts, in seconds."""
        self.there += 1
        if self.there == self.sessions:
            self.begin.set_result(asyncio.get_running_loop().time() + SETTLE_S)
        return EVENTS_OF_A_TURN / self.rate * self.there / self.sessions


async def play(connection: ServerConnection, pace: Pace, script: list[Frame]) -> None:
    """Serve one client."""
    await connection.send(session("created"), text=True)
    reading = asyncio.create_task(confirm(connection))
    later = pace.connected()
    loop = asyncio.get_running_loop()
    first = await asyncio.shield(pace.begin) + later
    try:
        for n in range(pace.events):
            if (wait := first + n / pace.rate - loop.time()) > 0:
                await asyncio.sleep(wait)
            head, tail = script[n % len(script)]
            await connection.send(head if tail is None else stamped(head, tail), text=True)
        await connection.wait_closed()
    except ConnectionClosed:
        pass
    finally:
        reading.cancel()


async def confirm(connection: ServerConnection) -> None:
    """Confirm configurations; everything else is read and forgotten. (Not every client configures itself at once.)"""
    try:
        async for message in connection:
            if json.loads(message).get("type") == "session.update":
                await connection.send(session("updated"), text=True)
    except ConnectionClosed:
        pass


def stamped(head: bytes, tail: bytes) -> bytes:
    """The message with the time it is sent at."""
    return b"".join((head, b64encode(time.perf_counter_ns().to_bytes(STAMP_BYTES, "little")), tail))


async def main(sessions: int, rate: float, seconds: float) -> None:
    """Serve until killed."""
    pace = Pace(sessions, rate, seconds)
    script = [frame for number in range(1, int(rate * seconds) // EVENTS_OF_A_TURN + 2) for frame in turn(number)]

    async def handle(connection: ServerConnection) -> None:
        await play(connection, pace, script)

    async with serve(handle, "127.0.0.1", 0, max_size=None, compression=None, ping_interval=None, backlog=1000) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
