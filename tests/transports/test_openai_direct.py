"""What the provider "openai" gives a direct call: the offer passed on, the sideband, hanging up. No failure shows the key."""

import logging

import pytest
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.transports.test_openai_calls import service as http_service
from tests.transports.test_provider_openai import KEY, everything, service
from turnlog.core.errors import LinkError
from turnlog.core.ports import Calls
from turnlog.transports.providers.openai import AzureProvider, OpenAIProvider

SECRET = KEY[:12]


def test_who_takes_calls() -> None:
    """OpenAI's; Azure's is reached by WebSocket only."""
    assert isinstance(OpenAIProvider(), Calls)
    assert not isinstance(AzureProvider(), Calls)


async def test_a_sideband_is_joined_by_the_calls_id_with_the_servers_key() -> None:
    """The base's own query stays; the model is the call's."""
    async with service() as (address, requests):
        provider = OpenAIProvider(base_url=f"http://{address}/v1?tenant=7&call_id=other&model=none", api_key=KEY)
        link = await provider.join_call("rtc_1 &")
        await link.close()
    assert requests[0].path == "/v1/realtime?tenant=7&call_id=rtc_1+%26"
    assert requests[0].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(("status", "code"), [(404, "TL312"), (401, "TL303"), (403, "TL303"), (500, "TL301")])
async def test_a_sideband_that_is_refused_is_named(status: int, code: str, caplog: pytest.LogCaptureFixture) -> None:
    """A call that is not there is another matter than a key or a service; none of it shows the key."""
    caplog.set_level(logging.DEBUG)

    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(status, f"no: {request.headers['Authorization']}")

    async with service(refuse) as (address, _):
        with pytest.raises(LinkError) as caught:
            await OpenAIProvider(base_url=f"http://{address}/v1", api_key=KEY).join_call("rtc_1")
        caught.value.__traceback__ = caught.tb.tb_next
    assert caught.value.code == code
    client_log = "".join(one.getMessage() for one in caplog.records if not one.name.startswith("websockets.server"))
    assert SECRET not in everything(caught.value) + client_log


@pytest.mark.parametrize(("status", "code"), [(400, "TL301"), (401, "TL303"), (500, "TL301")])
async def test_an_offer_that_is_refused_is_named(status: int, code: str, caplog: pytest.LogCaptureFixture) -> None:
    """With what the service said, in the words that AgentField's clients know, without the key."""
    caplog.set_level(logging.DEBUG)

    async def refuse(request: HttpRequest) -> PlainTextResponse:
        return PlainTextResponse(f"no: {request.headers['authorization']}", status)

    async with http_service(refuse) as base:
        with pytest.raises(LinkError) as caught:
            await OpenAIProvider(base_url=base, api_key=KEY).take_call("v=0", "s1", {})
        caught.value.__traceback__ = caught.tb.tb_next
    assert (caught.value.code, caught.value.message) == (code, f"OpenAI realtime call failed ({status}): no: Bearer [key]")
    assert SECRET not in everything(caught.value) + caplog.text


async def test_a_call_that_has_ended_is_hung_up_already() -> None:
    """Anything else that keeps it from ending is told."""
    paths: list[str] = []

    async def answer(request: HttpRequest) -> PlainTextResponse:
        paths.append(request.url.path)
        return PlainTextResponse("", 404 if len(paths) == 1 else 500)

    async with http_service(answer) as base:
        provider = OpenAIProvider(base_url=base, api_key=KEY)
        await provider.hang_up("rtc_1")
        with pytest.raises(LinkError) as caught:
            await provider.hang_up("rtc_1")
    assert (caught.value.code, paths) == ("TL301", ["/v1/realtime/calls/rtc_1/hangup"] * 2)


async def test_a_service_on_this_machine_takes_calls_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `turnlog provider` does; nobody else is asked without one."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    async def answer(request: HttpRequest) -> PlainTextResponse:
        assert "authorization" not in request.headers
        return PlainTextResponse("v=0 answer", 201, {"Location": "/v1/realtime/calls/rtc_9"})

    async with http_service(answer) as base:
        assert (await OpenAIProvider(base_url=base).take_call("v=0", "s1", {})).call_id == "rtc_9"
    for refused in (OpenAIProvider(base_url="https://api.example.com/v1"), OpenAIProvider(base_url="nonsense")):
        with pytest.raises(LinkError) as caught:
            await refused.join_call("rtc_1")
        assert caught.value.code in ("TL303", "TL301")
