"""Who gets in at a served model: paths, keys, subprotocols, addresses. No speech engine is needed for it."""

import json
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.requests import HTTPConnection
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from turnlog.core.errors import TurnlogError
from turnlog.transports.providers.client_secrets import ClientSecrets
from turnlog.transports.providers.gate import Gate, Refused
from turnlog.transports.providers.local import LocalProvider
from turnlog.transports.speech.engines import Speech, detect

KEY = "sk-turnlog-1"


@asynccontextmanager
async def served(key: str | None = None) -> AsyncIterator[str]:
    """A provider without engines at a free port."""
    provider = LocalProvider(speech=Speech(engines=detect(), voice_activity=None, recogniser=None, synthesiser=None))
    async with provider.server.serve(port=0, key=key) as url:
        yield url


async def greeting(connection: ClientConnection) -> str:
    """The model that the server's greeting names."""
    return str(json.loads(await connection.recv())["session"]["model"])


async def test_the_model_asked_for_is_named() -> None:
    """`?model=` says what session.model says; without it the provider's own name stands there."""
    async with served() as url:
        async with connect(url + "?model=gpt-realtime&x=1") as connection:
            assert await greeting(connection) == "gpt-realtime"
        async with connect(url) as connection:
            assert await greeting(connection) == "local"


async def test_other_paths_are_404() -> None:
    """Only the Realtime path exists; the answer says where it is."""
    async with served() as url:
        with pytest.raises(InvalidStatus) as caught:
            await connect(url.replace("/v1/realtime", "/v2/realtime"))
    assert caught.value.response.status_code == 404
    assert "/v1/realtime" in json.loads(caught.value.response.body or b"")["error"]["message"]


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {KEY}x"}, {"api-key": "ünï"}], ids=str
)
async def test_a_wrong_key_is_401(headers: dict[str, str]) -> None:
    """Where a key is configured a missing or another one is refused at the upgrade, and the right one is not told."""
    async with served(KEY) as url:
        with pytest.raises(InvalidStatus) as caught:
            await connect(url, additional_headers=headers)
    assert caught.value.response.status_code == 401
    assert KEY not in (caught.value.response.body or b"").decode()


@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {KEY}"}, {"api-key": KEY}], ids=str)
async def test_the_right_key_gets_in(headers: dict[str, str]) -> None:
    """OpenAI's header and Azure's both carry it."""
    async with served(KEY) as url, connect(url, additional_headers=headers) as connection:
        assert await greeting(connection) == "local"


async def test_a_browser_brings_its_key_as_a_subprotocol() -> None:
    """`realtime` is selected, never the one with the key in it."""
    offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{KEY}")]
    async with served(KEY) as url, connect(url, subprotocols=offered) as connection:
        assert connection.subprotocol == "realtime"


async def test_without_a_configured_key_any_key_gets_in_on_loopback() -> None:
    """A local tool needs no setup."""
    async with served() as url, connect(url, additional_headers={"Authorization": "Bearer anything"}) as connection:
        assert await greeting(connection) == "local"


@pytest.mark.parametrize(
    ("key", "given", "peer", "status"),
    [
        (None, [], "10.0.0.5", 401),
        (None, ["anything"], "2001:db8::1", 401),
        (None, [], "::1", None),
        (KEY, [KEY], "10.0.0.5", None),
        (KEY, ["wrong"], "127.0.0.1", 401),
    ],
)
def test_other_machines_need_a_configured_key(key: str | None, given: list[str], peer: str, status: int | None) -> None:
    """Without a configured key nobody gets in from elsewhere; with one everybody needs it."""
    headers = [(b"authorization", f"Bearer {one}".encode()) for one in given]
    came = HTTPConnection({"type": "http", "client": (peer, 40000), "headers": headers})
    gate = Gate(key, ClientSecrets(os.urandom, time.time))
    if status is None:
        assert gate.admit(came) == {}
        return
    with pytest.raises(Refused) as refused:
        gate.admit(came)
    assert refused.value.status == status


async def test_a_callers_key_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Not even where everything is logged."""
    quiet = logging.getLogger("test.client")
    quiet.setLevel(logging.INFO)
    headers = {"api-key": KEY}
    async with served(KEY) as url, connect(url, additional_headers=headers, logger=quiet):
        for name in ("", "turnlog", "turnlog.links", "uvicorn", "uvicorn.error", "websockets", "websockets.server"):
            caplog.set_level(logging.DEBUG, logger=name)
        async with connect(url, additional_headers=headers, logger=quiet) as connection:
            await greeting(connection)
    assert "connection open" in caplog.text
    assert KEY not in caplog.text


async def test_a_taken_port_is_tl503() -> None:
    """The address and what to do are named."""
    async with served() as url:
        port = int(url.split(":")[2].split("/")[0])
        provider = LocalProvider()
        with pytest.raises(TurnlogError) as caught:
            async with provider.server.serve(port=port):
                pass
    assert (caught.value.code, f"127.0.0.1:{port}" in caught.value.message) == ("TL503", True)
