"""A provider that is called over WebRTC: stock aiortc behind an HTTP route, with the sequences that OpenAI's service has there.

No machine of turnlog's is in it: messages are written by hand, audio goes through aiortc's own tracks. It speaks a tone,
100 ms a word, generates all of a response at once and plays it in real time; it hears loudness, and understands `understands`.
"""

import asyncio
import json
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import av
import numpy
from aiortc import MediaStreamTrack, RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from turnlog.transports.web.serving import listen, serve_app, url_of
from turnlog.transports.webrtc.inside import limit_hosts

__all__ = ["WORD_MS", "ScriptedCall", "ScriptedCalls", "scripted_calls"]

WORD_MS = 100
_RATE = 48_000
_FRAME = _RATE // 50
_LOUD = 1000
_SILENT_FRAMES = 15  # 300 ms that end a turn


class Voice(MediaStreamTrack):
    """What the provider plays: whole frames of a response, or silence."""

    kind = "audio"

    def __init__(self, call: "ScriptedCall") -> None:
        super().__init__()
        self.waiting: deque[tuple[str, Any]] = deque()
        self._call = call
        self._sounding = ""
        self._n = 0
        self._began = 0.0

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms, when they are due."""
        loop = asyncio.get_running_loop()
        self._began = self._began or loop.time()
        await asyncio.sleep(self._began + self._n * 0.02 - loop.time())
        response, samples = self.waiting.popleft() if self.waiting else ("", numpy.zeros(_FRAME, numpy.int16))
        if response != self._sounding:
            if self._sounding:
                self._call.tells("output_audio_buffer.stopped", response_id=self._sounding)
            self._sounding = response
            if response:
                self._call.starts(response)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _RATE, self._n * _FRAME, Fraction(1, _RATE)
        self._n += 1
        return frame

    def clear(self) -> None:
        """Play no more of what there is."""
        self.waiting.clear()
        if self._sounding:
            self._call.tells("output_audio_buffer.cleared", response_id=self._sounding)
            self._sounding = ""


class ScriptedCall:
    """One call: what came of it, and what it says."""

    def __init__(self, understands: list[str], *, says_stopped: bool) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.voice = Voice(self)
        self.got: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.heard: list[float] = []  # the level of each 20 ms
        self.closed = asyncio.Event()
        self._understands = understands
        self._says_stopped = says_stopped
        self._changed = asyncio.Event()
        self._channel: RTCDataChannel | None = None
        self._listening: asyncio.Task[None] | None = None
        self._tails: dict[str, list[dict[str, Any]]] = {}  # by response: what waits for its audio to begin
        self._count = 0
        self.connection.addTrack(self.voice)
        self.connection.on("datachannel", self._opened)
        self.connection.on("track", self._track)

    async def answer(self, offer: str) -> str:
        """The SDP for an offer."""
        await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        limit_hosts(self.connection, ["127.0.0.1"])  # aiortc leaves loopback out, and a machine may have nothing else
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        sdp: str = self.connection.localDescription.sdp
        return sdp

    async def close(self) -> None:
        """Hang up."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait((self._listening,))
        await self.connection.close()

    # --- messages ---

    def tells(self, type_: str, **fields: Any) -> None:
        """Send an event."""
        if self._channel is None or (type_ == "output_audio_buffer.stopped" and not self._says_stopped):
            return
        self._count += 1
        event = {"type": type_, "event_id": f"event_{self._count}", **fields}
        self.sent.append(event)
        self._channel.send(json.dumps(event))

    async def until(self, type_: str, n: int = 1) -> dict[str, Any]:
        """Wait for the n-th message of a type."""
        while len(found := [event for event in self.got if event["type"] == type_]) < n:
            self._changed.clear()
            await self._changed.wait()
        return found[n - 1]

    def _opened(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.on("message", self._received)
        channel.on("close", self.closed.set)
        self.tells("session.created", session={"id": "sess_scripted", "type": "realtime"})

    def _received(self, raw: str) -> None:
        event = json.loads(raw)
        self.got.append(event)
        self._changed.set()
        match event["type"]:
            case "session.update":
                self.tells("session.updated", session=event["session"])
            case "response.create":
                self._speak(event.get("response") or {})
            case "response.cancel":
                error = {"type": "invalid_request_error", "code": "response_cancel_not_active"}
                self.tells("error", error={**error, "message": "no active response found", "event_id": event.get("event_id")})
            case "output_audio_buffer.clear":
                self.voice.clear()
            case "input_audio_buffer.commit":
                self._commit(f"item_{len(self.got)}")

    # --- speaking ---

    def _speak(self, request: dict[str, Any]) -> None:
        """Generate all of a response at once."""
        self._count += 1
        name, item = f"resp_{self._count}", f"item_of_{self._count}"
        words = json.loads(request["instructions"].splitlines()[1]).split()
        at = numpy.arange(len(words) * WORD_MS * _RATE // 1000)
        tone = (9000 * numpy.sin(2 * numpy.pi * 440 * at / _RATE)).astype(numpy.int16)
        self.voice.waiting += [(name, tone[start : start + _FRAME]) for start in range(0, len(tone), _FRAME)]
        body = {"id": name, "conversation_id": None, "metadata": request.get("metadata")}
        message = {"id": item, "type": "message", "role": "assistant"}
        place = {"response_id": name, "item_id": item, "output_index": 0, "content_index": 0}
        part = {"type": "audio", "transcript": " ".join(words)}
        self.tells("response.created", response={**body, "status": "in_progress"})
        self.tells("response.output_item.added", response_id=name, output_index=0, item={**message, "status": "in_progress"})
        self.tells("response.content_part.added", **place, part={"type": "audio", "transcript": ""})
        for n, word in enumerate(words):
            self.tells("response.output_audio_transcript.delta", **place, delta=f"{' ' if n else ''}{word}")
        done = {**message, "status": "completed", "content": [{**part, "type": "output_audio"}]}
        self._tails[name] = [
            {"type": "response.output_audio.done", **place},
            {"type": "response.output_audio_transcript.done", **place, "transcript": part["transcript"]},
            {"type": "response.content_part.done", **place, "part": part},
            {"type": "response.output_item.done", "response_id": name, "output_index": 0, "item": done},
            {"type": "response.done", "response": {**body, "status": "completed", "output": [done]}},
        ]

    def starts(self, response: str) -> None:
        """Its first audio is sent: what ends it follows at once."""
        self.tells("output_audio_buffer.started", response_id=response)
        for event in self._tails.pop(response, []):
            self.tells(event.pop("type"), **event)

    # --- hearing ---

    def _track(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.ensure_future(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        quiet, item = 0, ""
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, av.AudioFrame)
            samples = frame.to_ndarray()[0, ::2].astype(numpy.float64)
            self.heard.append(math.sqrt(float((samples**2).mean())))
            if self.heard[-1] > _LOUD:
                quiet = 0
                if not item and self._understands:
                    item = f"item_{len(self.heard)}"
                    self.tells("input_audio_buffer.speech_started", item_id=item, audio_start_ms=20 * len(self.heard))
            elif item:
                quiet += 1
                if quiet == _SILENT_FRAMES:
                    self.tells("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=20 * len(self.heard))
                    self._commit(item)
                    item = ""

    def _commit(self, item: str) -> None:
        user = {"id": item, "type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]}
        self.tells("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        self.tells("conversation.item.added", item=user, previous_item_id=None)
        words = self._understands.pop(0) if self._understands else ""
        kind = "conversation.item.input_audio_transcription.completed"
        self.tells(kind, item_id=item, content_index=0, transcript=words)


class ScriptedCalls:
    """The HTTP side: what was asked for, and the calls that came of it. `url` is its base URL."""

    def __init__(self, url: str, understands: list[str], *, says_stopped: bool) -> None:
        self.url = url
        self.requests: list[dict[str, Any]] = []
        self.calls: list[ScriptedCall] = []
        self.hung_up: list[str] = []
        self.answers: list[Response] = []  # given in place of calls, while there are any
        self._understands = understands
        self._says_stopped = says_stopped

    async def open(self, request: Request) -> Response:
        """POST /v1/realtime/calls."""
        async with request.form() as form:
            asked = {**json.loads(str(form["session"])), "sdp": str(form["sdp"]), "headers": dict(request.headers)}
        self.requests.append(asked)
        if self.answers:
            return self.answers.pop(0)
        call = ScriptedCall(self._understands, says_stopped=self._says_stopped)
        self.calls.append(call)
        answer = await call.answer(asked["sdp"])
        return PlainTextResponse(answer, 201, {"Location": f"/v1/realtime/calls/rtc_{len(self.calls)}"})

    async def hang_up(self, request: Request) -> Response:
        """POST /v1/realtime/calls/{id}/hangup."""
        self.hung_up.append(request.path_params["id"])
        return Response()


@asynccontextmanager
async def scripted_calls(*understands: str, says_stopped: bool = True) -> AsyncIterator[ScriptedCalls]:
    """Serve on a free port of loopback; each turn of speech that is heard has the next words of `understands`."""
    stop = asyncio.Event()
    with listen("127.0.0.1", 0) as listener:
        service = ScriptedCalls(f"{url_of(listener)}/v1", list(understands), says_stopped=says_stopped)
        routes = [
            Route("/v1/realtime/calls", service.open, methods=["POST"]),
            Route("/v1/realtime/calls/{id}/hangup", service.hang_up, methods=["POST"]),
        ]

        async def leave() -> None:
            await asyncio.gather(*(call.close() for call in service.calls))

        serving = asyncio.create_task(
            serve_app(Starlette(routes=routes), listener, stop, leave=leave, max_message_bytes=1_000_000)
        )
        try:
            yield service
        finally:
            stop.set()
            await serving
