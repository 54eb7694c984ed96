"""Requests to OpenRouter over httpx. Needs the extra `http`.

Invariant: the key reaches the service and nothing else (see dial.py): exceptions of the library are never chained, a redirect is
never followed with the key, and what the service answers is shown only after the key has been cut out of it.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx
import msgspec

from ...core.errors import LinkError, TurnlogError
from .dial import Credential, is_loopback
from .openrouter_wire import Chunk, Events, Refusal, failure, read_refusal, speech_rate

__all__ = ["Service"]

_SILENCE_S: Final = 60.0
"""How long an answer may bring nothing, or nothing but comments, which the service sends while a model has not begun."""
_TIMEOUT: Final = httpx.Timeout(_SILENCE_S, connect=10.0)
_MAX_BODY_BYTES: Final = 256 * 1024


class Service:
    """OpenRouter for one session: its connections live until `close`. `base` is the URL up to the version."""

    def __init__(self, base: str, credential: Credential | None, tls: ssl.SSLContext | None) -> None:
        self._base = base.rstrip("/")
        self._credential = credential
        headers = {"Content-Type": "application/json"} | ({} if credential is None else credential.headers())
        trusted = not is_loopback(urlsplit(base).hostname)
        self._client = httpx.AsyncClient(verify=tls or False, trust_env=trusted, timeout=_TIMEOUT, headers=headers)

    async def transcribe(self, body: dict[str, Any]) -> str:
        """The words of a recording. Raises LinkError TL340."""
        answer = b""
        async with aclosing(self._pieces("/audio/transcriptions", body, "to transcribe", _any)) as pieces:
            async for _, piece in pieces:
                answer += piece
                if len(answer) > _MAX_BODY_BYTES:
                    raise failure("a transcription has no end")
        try:
            return msgspec.json.decode(answer, type=_Transcription).text.strip()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        raise self._refused("to transcribe", read_refusal(200, answer))

    async def speech(self, body: dict[str, Any]) -> AsyncGenerator[tuple[bytes, int], None]:
        """The samples of spoken words as they come, with their rate: PCM16 mono, cut anywhere. Raises LinkError TL340."""
        async with aclosing(self._pieces("/audio/speech", body, "to speak", _is_no_json)) as pieces:
            async for kind, piece in pieces:
                yield piece, speech_rate(kind)

    async def chat(self, body: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        """The chunks of a streamed answer, to its end. Raises LinkError TL340, also for an error inside of the stream."""
        finished = False
        async with aclosing(self._events(body)) as events:
            async for data in events:
                if data == b"[DONE]":
                    return
                chunk = _decode(data)
                if (refusal := _refusal_in(chunk)) is not None:
                    raise self._refused("to answer", refusal)
                finished = finished or any(choice.finish_reason for choice in chunk.choices)
                yield chunk
        if not finished:
            raise failure("its answer broke off")

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    async def _events(self, body: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        events, now = Events(), asyncio.get_running_loop().time
        heard = now()
        async with aclosing(self._pieces("/chat/completions", body, "to answer", _is_stream)) as pieces:
            async for _, piece in pieces:
                for data in events.feed(piece):
                    heard = now()
                    yield data
                if now() - heard > _SILENCE_S:
                    raise failure(f"no answer within {_SILENCE_S:g} s")

    async def _pieces(
        self, path: str, body: dict[str, Any], wish: str, fits: Callable[[str], bool]
    ) -> AsyncGenerator[tuple[str, bytes], None]:
        """The answer's body with its content type, which must fit. Raises LinkError TL340 for a refusal and a loss."""
        head, refusal = _Head(0, "", ""), b""
        async with aclosing(self._parts(path, body)) as parts:
            async for part in parts:
                if isinstance(part, TurnlogError):
                    raise part
                if isinstance(part, _Head):
                    head = part
                elif head.ok and fits(head.kind):
                    yield head.kind, part
                elif len(refusal := refusal + part) > _MAX_BODY_BYTES:
                    break
        if not (head.ok and fits(head.kind)):
            raise self._refused(wish, read_refusal(head.status, refusal), head.retry_after)

    async def _parts(self, path: str, body: dict[str, Any]) -> "AsyncGenerator[_Head | bytes | TurnlogError, None]":
        """The head of the answer, then its body. What the library raises comes last, as a value: it is nobody's context."""
        lost: TurnlogError | None = None
        try:
            async with self._client.stream("POST", self._base + path, content=_encode(body)) as response:
                headers = response.headers
                yield _Head(response.status_code, headers.get("content-type", "").lower(), headers.get("retry-after", ""))
                async for piece in response.aiter_bytes():
                    yield piece
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            timed_out = isinstance(error, httpx.TimeoutException)
            lost = failure(self._clean("timed out" if timed_out else f"{type(error).__name__} {error}".strip()))
        if lost is not None:
            yield lost

    def _refused(self, wish: str, refusal: Refusal, retry_after: str = "") -> TurnlogError:
        # Cleaned before the text is cut: half a key is a secret too.
        whole = msgspec.json.encode(refusal).decode()
        cleaned = msgspec.json.decode(self._clean(whole), type=Refusal)
        error = failure(wish, cleaned, retry_after=retry_after)
        return LinkError(error.code, self._clean(error.message), error.hint)

    def _clean(self, text: str) -> str:
        return text if self._credential is None else self._credential.redact(text)


class _Head(NamedTuple):
    status: int
    kind: str  # the content type
    retry_after: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


def _any(kind: str) -> bool:
    return True


def _is_no_json(kind: str) -> bool:
    return "json" not in kind


def _is_stream(kind: str) -> bool:
    return "text/event-stream" in kind


class _Transcription(msgspec.Struct):
    text: str


_encode: Final = msgspec.json.Encoder().encode
_chunks: Final = msgspec.json.Decoder(Chunk, strict=False)


def _decode(data: bytes) -> Chunk:
    try:
        return _chunks.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    raise failure("an event of its answer is none of a chat completion")


def _refusal_in(chunk: Chunk) -> Refusal | None:
    if chunk.error is not None:
        return chunk.error
    for choice in chunk.choices:
        if choice.error is not None or choice.finish_reason == "error":
            return choice.error or Refusal(message="it ended in an error that is not told")
    return None
