"""A reasoner of a node that registered over HTTP: one POST to the node, the arguments as its JSON body, the result as its answer.

Exceptions of the HTTP library are never chained, redirects are not followed, and an answer is bounded.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from ..core.errors import LinkError

__all__ = ["NodeHttp", "NodeRefused"]

_MAX_BYTES: Final = 16 * 1024 * 1024
_SHOWN: Final = 500
_CONNECT_S: Final = 5.0


class NodeRefused(Exception):
    """A node answered that a reasoner failed; the words are its own."""


class NodeHttp:
    """One node's address. A client is made for each call: calls are rare, and a node may go at any time."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")

    async def run(self, path: str, given: Mapping[str, Any], headers: Mapping[str, str], timeout_s: float | None) -> Any:
        """What `POST {base_url}/{path}` answers, decoded. Raises LinkError TL320 if the node is not reached, NodeRefused."""
        url = f"{self.base_url}/{quote(path)}"
        problem = ""
        try:
            limits = httpx.Timeout(timeout_s, connect=_CONNECT_S)
            async with httpx.AsyncClient(timeout=limits, follow_redirects=False) as client:
                async with client.stream("POST", url, json=dict(given), headers=dict(headers)) as answer:
                    return _result(path, answer.status_code, await _body(answer))
        except httpx.HTTPError as error:
            problem = str(error) or type(error).__name__
        raise LinkError("TL320", f"the node at {self.base_url} is not reached: {problem}", "is it running?")


async def _body(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise NodeRefused(f"the node's answer is larger than {_MAX_BYTES} bytes")
    return bytes(body)


def _result(path: str, status: int, body: bytes) -> Any:
    if status != 200:
        words = " ".join(body.decode(errors="replace").split())[:_SHOWN]
        raise NodeRefused(f"{path} was answered with HTTP {status}: {words}")
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise NodeRefused(f"{path} was answered with what is no JSON: {error}") from None
