"""A session's words and audio by the API: its transcript in three forms, its recording as WAV with ranges."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ...core.errors import StoreError
from ...core.ports import SessionRow
from ...engine.engine import Engine
from ...engine.recording import Side, record
from ...engine.scratch import Scratch
from ...engine.transcript import Transcript, as_text, as_vtt, transcript_of
from ..access import Access, Principal
from .operations import Answer, Operation, json_answer
from .problems import refused
from .reading import query_of
from .sessions import ONE

__all__ = ["AudioQuery", "Media", "TranscriptQuery"]

Format = Literal["json", "text", "vtt"]
_MEDIA: Final[dict[str, Format]] = {"application/json": "json", "text/plain": "text", "text/vtt": "vtt"}
_WAV: Final = "audio/wav"
_KEPT: Final = 4  # recordings that are kept for the next range of them
_CHUNK: Final = 1 << 18
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class TranscriptQuery(msgspec.Struct, frozen=True, kw_only=True):
    """format goes before what the client accepts."""

    format: Format | None = None


class AudioQuery(msgspec.Struct, frozen=True, kw_only=True):
    """side: the caller, the agent (whoever answered), or both: the caller is the left channel."""

    side: Annotated[Side, Meta()] = "both"


class Media:
    """Operations on what was said in the sessions of one engine's store."""

    def __init__(self, engine: Engine, access: Access, one_at_a_time: asyncio.Semaphore) -> None:
        self._engine = engine
        self._access = access
        self._turn = one_at_a_time
        self._kept: OrderedDict[tuple[str, Side, int], Scratch] = OrderedDict()
        texts = Answer(200, "What was said, as it was heard.", Transcript, tuple(_MEDIA))
        self.operations = [
            Operation(
                "GET", ONE + "/transcript", "getTranscript", "The words of both sides with their times", "observe",
                self.transcript, (texts,), query=TranscriptQuery, headers=("Accept",),
            ),
            Operation(
                "GET", ONE + "/audio", "getAudio", "The recording, on the session's own time", "observe", self.audio,
                (
                    Answer(200, "All of it.", None, (_WAV,)),
                    Answer(206, "The range that was asked for.", None, (_WAV,)),
                    Answer(416, "There is no such range."),
                ),
                query=AudioQuery, headers=("Range", "If-Range"),
            ),
        ]  # fmt: skip

    # --- words ---

    async def transcript(self, request: Request, principal: Principal) -> Response:
        """200: JSON, text or WebVTT."""
        row = await self._access.row_for(principal, request.path_params["session"])
        form = query_of(request, TranscriptQuery).format or _accepted(request.headers.get("accept", "*/*"))
        store = self._engine.store
        made = await asyncio.to_thread(lambda: transcript_of(row.session, store.scan(row.session, semantic=True)))
        headers = {"Cache-Control": "no-store", "Vary": "Accept"}
        match form:
            case "json":
                return json_answer(made, headers=headers)
            case "text":
                return Response(as_text(made), 200, headers, "text/plain")
            case "vtt":
                return Response(as_vtt(made), 200, headers, "text/vtt")

    # --- audio ---

    async def audio(self, request: Request, principal: Principal) -> Response:
        """200, or 206 and the range that was asked for."""
        row = await self._access.row_for(principal, request.path_params["session"])
        side = query_of(request, AudioQuery).side
        try:
            file = await self._recording(row, side)
        except StoreError as error:
            if error.code == "TL418":
                raise refused(404, error.message, error.hint) from error
            raise
        tag = f'"{row.head_seq}-{side}"'
        headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, no-cache", "ETag": tag}
        span = _range(request, tag, file.size)
        if span is None:
            return _sent(file, 0, file.size, 200, headers)
        start, end = span
        if start >= end:
            return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{file.size}"})
        return _sent(file, start, end, 206, {**headers, "Content-Range": f"bytes {start}-{end - 1}/{file.size}"})

    async def _recording(self, row: SessionRow, side: Side) -> Scratch:
        """The file: made once for all the ranges that a player asks for, until the log has grown."""
        key = (row.session, side, row.head_seq)
        async with self._turn:
            if key not in self._kept:
                tracks = await self._engine.store.tracks(row.session)
                self._kept[key] = await asyncio.to_thread(record, self._engine.store, row.session, side, tracks)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


def _accepted(accept: str) -> Format:
    """The form that a client wants most. Raises ApiRefused: 406."""
    wanted: list[tuple[float, Format]] = []
    for one in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in one.split(";"))
        quality = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            continue
        known = [form for media, form in _MEDIA.items() if kind in ("*/*", media, media.partition("/")[0] + "/*")]
        if known and weight > 0:
            wanted.append((weight, known[0]))
    if not wanted:
        raise refused(406, "none of what the client accepts is made of a transcript", f"accept one of {', '.join(_MEDIA)}")
    return max(wanted, key=lambda one: one[0])[1]


def _range(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one behind the last that are asked for; None for all of it, an empty span for what is not there.

    One range is answered; of several, of another unit, or of a recording that has changed since, all of it is sent.
    """
    given = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if given is None or request.headers.get("if-range", tag) != tag or given.groups() == ("", ""):
        return None
    first, last = given.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size


def _sent(file: Scratch, start: int, end: int, status: int, headers: dict[str, str]) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(start, end, _CHUNK):
            yield await asyncio.to_thread(file.read, at, min(_CHUNK, end - at))

    return StreamingResponse(chunks(), status, {**headers, "Content-Length": str(end - start)}, _WAV)
