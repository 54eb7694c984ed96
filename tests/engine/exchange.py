"""A provider that holds its callers' calls itself: HTTP for offers and hanging up, a WebSocket beside each call.

Real sockets on loopback. What it speaks is the server machine's; what it plays, and what goes wrong, a test says.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from turnlog.core import signals as s
from turnlog.transports.realtime.say_form import recognise
from turnlog.transports.realtime.server import ServerProtocol
from turnlog.transports.realtime.wire import parse
from turnlog.transports.web.serving import listen

__all__ = ["ANSWER", "KEY", "PATIENCE_S", "Exchange", "exchange"]

KEY = "sk-proj-7hQ2SecretSecret9x"
ANSWER = "v=0\r\nanswer"
PATIENCE_S = 10


class Exchange:
    """One service with at most one call."""

    def __init__(self) -> None:
        count = itertools.count(1)
        self.server = ServerProtocol(ids=lambda kind: f"{kind}_{next(count)}", model="m")
        self.refusal: Response | None = None  # of the next offer
        self.absent = 0  # so many joins are answered 404
        self.gone = False  # the call has ended
        self.offers: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.hung_up: list[str] = []
        self.joins: list[tuple[str, str]] = []  # of sidebands, also of refused ones: the query and the key
        self.received: list[dict[str, Any]] = []
        self.response = ""  # the last one that was begun
        self._socket: WebSocket | None = None
        self._changed = asyncio.Event()

    # --- HTTP ---

    async def take(self, request: Request) -> Response:
        """POST /v1/realtime/calls."""
        async with request.form() as form:
            self.offers.append((str(form["sdp"]), json.loads(str(form["session"])), dict(request.headers)))
        refusal, self.refusal = self.refusal, None
        self._changed.set()
        return refusal or PlainTextResponse(ANSWER, 201, {"Location": "/v1/realtime/calls/rtc_1"})

    async def hang_up(self, request: Request) -> Response:
        """POST /v1/realtime/calls/{id}/hangup."""
        self.hung_up.append(request.path_params["id"])
        self._changed.set()
        return PlainTextResponse("", 404 if self.gone else 200)

    # --- the sideband ---

    async def beside(self, socket: WebSocket) -> None:
        """One sideband: it greets nobody."""
        self.joins.append((str(socket.url.query), socket.headers.get("authorization", "")))
        self._changed.set()
        if self.gone or self.absent:
            self.absent = max(0, self.absent - 1)
            await socket.send_denial_response(PlainTextResponse("no such call", 404))
            return
        await socket.accept()
        self._socket = socket
        try:
            while True:
                raw = (await socket.receive_text()).encode()
                self.received.append(json.loads(raw))
                for signal in self.server.receive(parse(raw)):
                    if isinstance(signal, s.AnswerRequested):
                        self.response = self.server.start_response(signal)
                        self.last = signal
                    elif isinstance(signal, s.CancelRequested):
                        self.server.cancel_response(signal.response)
                await self.flush()
                self._changed.set()
        except WebSocketDisconnect:
            self._socket = None
            self._changed.set()

    async def flush(self) -> None:
        """Send what the machine owes; nobody gets it while no sideband stands."""
        for raw in self.server.messages_to_send():
            if self._socket is not None:
                await self._socket.send_text(raw.decode())

    async def tell(self, **event: Any) -> None:
        """Send an event as it is."""
        assert self._socket is not None
        await self._socket.send_text(json.dumps({"event_id": "ev_x", **event}))

    async def speaks(self) -> None:
        """Play the last response that was asked for, and generate it to its end."""
        await self.plays("started")
        self.server.output_transcript(self.response, recognise(self.last.request) or "(model)")
        self.server.finish_response(self.response)
        await self.flush()

    async def plays(self, state: str) -> None:
        """output_audio_buffer.started, .stopped or .cleared."""
        await self.tell(type=f"output_audio_buffer.{state}", response_id=self.response)

    async def hears(self, text: str, item: str) -> None:
        """The caller has said this."""
        self.server.speech_started(item, 100)
        self.server.speech_stopped(item, 600)
        self.server.commit_audio(item)
        self.server.transcription_completed(item, text, {"type": "duration", "seconds": 0.5})
        await self.flush()

    async def client_sends(self, event: dict[str, Any]) -> None:
        """The caller's own client sends something, past whoever listens on the sideband."""
        for signal in self.server.receive(parse(json.dumps(event).encode())):
            if isinstance(signal, s.AnswerRequested):
                self.response = self.server.start_response(signal)
        await self.flush()

    async def lose(self, *, gone: bool = False) -> None:
        """Close the sideband; `gone`: because the call has ended."""
        assert self._socket is not None
        self.gone = gone
        socket, self._socket = self._socket, None
        await socket.close(1000 if gone else 1011)

    # --- what it got ---

    def of(self, type_: str) -> list[dict[str, Any]]:
        """The messages of a type that came by the sideband."""
        return [event for event in self.received if event["type"] == type_]

    async def until(self, type_: str, n: int = 1) -> dict[str, Any]:
        """Wait for the n-th message of a type."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := self.of(type_)) < n:
                self._changed.clear()
                await self._changed.wait()
        return found[n - 1]


@asynccontextmanager
async def exchange() -> AsyncIterator[tuple[Exchange, str]]:
    """A running one, and its base URL."""
    one = Exchange()
    routes = [
        Route("/v1/realtime/calls", one.take, methods=["POST"]),
        Route("/v1/realtime/calls/{id}/hangup", one.hang_up, methods=["POST"]),
        WebSocketRoute("/v1/realtime", one.beside),
    ]
    with listen("127.0.0.1", 0) as listener:
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off", ws="websockets-sansio")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield one, f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            await serving
