"""OpenRouter's documented API on loopback: streamed chat completions with audio, transcriptions, speech, and their errors.

It refuses what the real one refuses: audio without stream=true or in another format than pcm16, forms where JSON is due, no key.
It hears and speaks fake speech, so that what it was sent and what it sent can be read back.
"""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from turnlog.testing.fake_speech import listen, pieces
from turnlog.transports.realtime.audio import PCM16
from turnlog.transports.web.serving import listen as listen_on

__all__ = ["KEY", "Emulator", "emulator", "refusal"]

KEY = "sk-or-v1-0123456789abcdef"
Json = dict[str, Any]


def refusal(code: int, message: str, **metadata: Any) -> Json:
    """An error as the service writes it."""
    return {"error": {"code": code, "message": message, **({"metadata": metadata} if metadata else {})}}


class Emulator:
    """What it was asked, and what it is to do next."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Json]] = []
        self.reply = "it is nine"
        self.refuse: dict[str, Response] = {}  # by path: what is answered instead
        self.instead: list[Json | str] = []  # events that take the place of the reply from its second word on
        self.hold = False  # the reply stops after its first word, and the stream stays open
        self.hear_slowly: asyncio.Event | None = None  # a transcription waits for it
        self.speech_type = "audio/pcm;rate=24000;channels=1"
        self.closed = asyncio.Event()  # a held stream was closed by the client
        self.changed = asyncio.Event()

    def bodies(self, path: str) -> list[Json]:
        """What was asked of this path."""
        return [body for at, body in self.asked if at == path]

    async def until(self, path: str, count: int = 1) -> Json:
        """Wait for the request of this number."""
        async with asyncio.timeout(10):
            while len(self.bodies(path)) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.bodies(path)[count - 1]

    async def answer(self, request: Request) -> Response:
        """Any request."""
        path = request.url.path.removeprefix("/api/v1")
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse(refusal(401, "No auth credentials found"), 401)
        if request.headers.get("content-type") != "application/json":
            return JSONResponse(refusal(400, "No number after minus sign in JSON at position 1"), 400)
        body = await request.json()
        self.asked.append((path, body))
        self.changed.set()
        if path in self.refuse:
            return self.refuse[path]
        known = {"/chat/completions": self._chat, "/audio/transcriptions": self._hear, "/audio/speech": self._speak}
        return await known[path](body)

    async def _hear(self, body: Json) -> Response:
        if self.hear_slowly is not None:
            await self.hear_slowly.wait()
        wav = b64decode(body["input_audio"]["data"])
        assert (wav[:4], wav[8:16], body["input_audio"]["format"]) == (b"RIFF", b"WAVEfmt ", "wav")
        return JSONResponse({"text": listen(wav[44:], rate=16000), "usage": {"seconds": (len(wav) - 44) / 32000, "cost": 0.0001}})

    async def _speak(self, body: Json) -> Response:
        assert body["response_format"] == "pcm" and body["voice"]
        spoken = b"".join(audio for _, audio in pieces(body["input"], word_ms=300, form=PCM16))

        async def stream() -> AsyncIterator[bytes]:
            for at in range(0, len(spoken), 4801):  # cut inside a sample
                yield spoken[at : at + 4801]

        return StreamingResponse(stream(), media_type=self.speech_type)

    async def _chat(self, body: Json) -> Response:
        spoken = "audio" in body.get("modalities", [])
        if spoken and not body.get("stream"):
            return JSONResponse(refusal(400, "Audio output requires stream: true"), 400)
        if spoken and body["audio"]["format"] != "pcm16":
            return JSONResponse(refusal(400, "'audio.format' when stream=true. Supported values are: 'pcm16'."), 400)
        return StreamingResponse(self._events(spoken), media_type="text/event-stream")

    async def _events(self, spoken: bool) -> AsyncIterator[bytes]:
        yield b": OPENROUTER PROCESSING\n\n"
        for number, (words, audio) in enumerate(pieces(self.reply, word_ms=300, form=PCM16)):
            if self.instead and number == 1:
                break
            if not spoken:
                yield _event(_chunk({"content": words}))
                continue
            yield _event(_chunk({"audio": {"id": "audio_1", "transcript": words}})) if words else b""
            yield _event(_chunk({"audio": {"data": b64encode(audio).decode()}}))
            if self.hold:
                await self._held()
        for event in self.instead:
            yield event.encode() if isinstance(event, str) else _event(event)
        if not self.instead:
            yield _event(_chunk({"content": ""}, "stop"))
            yield _event({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42}})
            yield b"data: [DONE]\n\n"

    async def _held(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.closed.set()


def _chunk(delta: Json, finish: str | None = None) -> Json:
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
    return {"id": "gen-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def _event(data: Json) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


@asynccontextmanager
async def emulator() -> AsyncIterator[tuple[Emulator, str]]:
    """A running one, and its base URL."""
    one = Emulator()
    with listen_on("127.0.0.1", 0) as listener:
        routes = [Route("/api/v1/{path:path}", one.answer, methods=["POST"])]
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off", access_log=False))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield one, f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"
        finally:
            server.should_exit = True
            await serving
