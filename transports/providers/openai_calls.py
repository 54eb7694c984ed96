"""Calls of a Realtime service over HTTP: an SDP offer goes in, the answer and the call's id come out; and hanging up.

Invariant: a secret given here reaches the peer and nothing else (see dial.py): exceptions of the HTTP library are never chained,
a redirect is never followed with the secret, and what the peer answers is shown only after the secret has been cut out of it.
"""

import asyncio
import re
import ssl
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from ...core.errors import LinkError, MissingExtra, TurnlogError
from .dial import Credential, is_loopback

if TYPE_CHECKING:
    import httpx

__all__ = ["Calls", "OpenedCall"]

_BODY_SHOWN: Final = 1000  # characters
_MAX_ANSWER_BYTES: Final = 256 * 1024
_CALL_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,200}")  # it goes into our own addresses and headers
_SCHEMES: Final = {"ws": "http", "wss": "https", "http": "http", "https": "https"}


class OpenedCall(NamedTuple):
    """A call that the service has taken: its SDP answer, and the last segment of the Location it gave ("" if that names none)."""

    sdp: str
    call_id: str


class Calls:
    """The calls of one service. `base` is its URL up to the version, with http(s) or ws(s): https://api.openai.com/v1."""

    def __init__(self, base: str, credential: Credential | None = None, *, timeout_s: float = 10.0) -> None:
        parts = urlsplit(base)
        path = parts.path.rstrip("/") + "/realtime/calls"
        self._url = parts._replace(scheme=_SCHEMES[parts.scheme], path=path, fragment="")
        self._credential = credential
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | None = None  # made when first needed, and kept: it costs 20 ms

    async def open(self, offer: str, session: dict[str, Any], *, safety: str = "") -> OpenedCall:
        """Send an offer with the session's configuration. `safety`: the value of OpenAI-Safety-Identifier, if any.

        Raises LinkError TL303 (the service answered 401 or 403) or TL301, MissingExtra without httpx.
        """
        parts = {
            "sdp": (None, offer, "application/sdp"),
            "session": (None, msgspec.json.encode(session), "application/json"),
        }
        headers = {"OpenAI-Safety-Identifier": safety} if safety else {}
        answer = await self._post("", headers, parts)
        return OpenedCall(answer.body.decode(errors="replace"), _named(answer.headers.get("location", "")))

    async def hang_up(self, call_id: str) -> None:
        """End a call. Raises as `open` does, and LinkError TL312 for a call that has ended."""
        await self._post(f"/{quote(call_id, safe='')}/hangup", {}, None)

    async def _post(self, path: str, headers: dict[str, str], parts: Any) -> "_Answer":
        outcome = await self._try(path, headers, parts)
        if isinstance(outcome, TurnlogError):
            raise outcome  # outside the except block: the library's exception is not its context
        return outcome

    async def _try(self, path: str, headers: dict[str, str], parts: Any) -> "_Answer | TurnlogError":
        library, host = await asyncio.to_thread(_httpx), self._url.hostname
        url = self._url._replace(path=self._url.path + path).geturl()
        try:
            if self._credential is not None:
                headers = headers | self._credential.headers()
            # Making a TLS context reads files; a plain connection needs none.
            if self._tls is None and self._url.scheme == "https":
                self._tls = await asyncio.to_thread(ssl.create_default_context)
            proxied = not is_loopback(host)
            async with (
                library.AsyncClient(verify=self._tls or False, trust_env=proxied, timeout=self._timeout_s) as client,
                client.stream("POST", url, headers=headers, files=parts) as response,
            ):
                answer = await _read(response)
        except LinkError as error:
            return error
        except (library.HTTPError, library.InvalidURL, OSError, ValueError) as error:
            reason = "timed out" if isinstance(error, library.TimeoutException) else str(error) or type(error).__name__
            return self._unreachable(f"no connection to {host}: {reason}")
        if 200 <= answer.status < 300:
            return answer
        return self._refused(answer)

    def _refused(self, answer: "_Answer") -> LinkError:
        body = " ".join(answer.body[:4096].decode(errors="replace").split())
        if self._credential is not None:
            body = self._credential.redact(body)  # before it is cut: half a key is a secret too
        text = f"OpenAI realtime call failed ({answer.status}): {body[:_BODY_SHOWN]}"  # AgentField's words
        if answer.status not in (401, 403):
            return self._unreachable(text, "TL312" if answer.status == 404 else "TL301")
        if self._credential is None:
            return LinkError("TL303", text, "this provider wants a key and none is configured")
        return LinkError("TL303", text, f"check {self._credential.source}: the key, and what it may use")

    def _unreachable(self, text: str, code: str = "TL301") -> LinkError:
        hint = "check the base URL, the network and any proxy settings"
        return LinkError(code, text if self._credential is None else self._credential.redact(text), hint)


class _Answer(NamedTuple):
    status: int
    headers: "httpx.Headers"
    body: bytes


def _named(location: str) -> str:
    try:
        name = urlsplit(location).path.rstrip("/").rpartition("/")[2]
    except ValueError:  # a bracket that does not close
        return ""
    return name if _CALL_ID.fullmatch(name) else ""


async def _read(response: "httpx.Response") -> _Answer:
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > _MAX_ANSWER_BYTES:
            raise ValueError(f"its answer is larger than {_MAX_ANSWER_BYTES} bytes")
    return _Answer(response.status_code, response.headers, body)


def _httpx() -> ModuleType:
    try:
        import httpx
    except ImportError as error:
        raise MissingExtra("webrtc", "calls over WebRTC (httpx)") from error
    return httpx
