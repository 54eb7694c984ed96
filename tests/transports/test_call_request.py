"""Bodies of calls as clients may send them: one that stops halfway is refused by name, and nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from turnlog.core.errors import ProtocolError
from turnlog.transports.web import call_request


def request(messages: AsyncIterator[dict[str, Any]]) -> Request:
    """A request whose body comes in these messages."""
    return Request({"type": "http", "method": "POST", "headers": []}, messages.__anext__)


async def begun(*then: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """The beginning of a body, and what comes then."""
    yield {"type": "http.request", "body": b"v=0", "more_body": True}
    for message in then:
        yield message
    await asyncio.get_running_loop().create_future()


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stops halfway holds no request for ever."""
    monkeypatch.setattr(call_request, "BODY_S", 0.01)
    with pytest.raises(ProtocolError, match="TL504 the body did not come within"):
        await call_request.read_body(request(begun()))


async def test_a_client_that_leaves_halfway_is_named() -> None:
    """It is refused like any other, and is no fault of the server."""
    with pytest.raises(ProtocolError, match="TL504 the client left before"):
        await call_request.read_body(request(begun({"type": "http.disconnect"})))
