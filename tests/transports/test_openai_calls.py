"""The HTTP client of calls against a real server on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from turnlog.core.errors import LinkError
from turnlog.server.serve import listen
from turnlog.transports.providers.dial import Credential
from turnlog.transports.providers.openai_calls import Calls

KEY = "sk-proj-7hQ2SecretSecret9x"
Endpoint = Callable[[Request], Awaitable[Response]]


@asynccontextmanager
async def service(answer: Endpoint) -> AsyncIterator[str]:
    """A service whose calls `answer` takes: its base URL."""
    paths = ("/v1/realtime/calls", "/v1/realtime/calls/{id}/hangup")
    routes = [Route(path, answer, methods=["POST"]) for path in paths]
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            await serving


def key() -> Credential:
    """A key as OpenAI's."""
    return Credential(KEY, header="Authorization", prefix="Bearer ", source="OPENAI_API_KEY")


async def test_an_offer_gets_its_answer_and_the_calls_id() -> None:
    """Both parts go as multipart form data with key and safety identifier; the id is the last segment of Location."""
    seen: list[tuple[str, str, dict[str, str]]] = []

    async def answer(request: Request) -> Response:
        async with request.form() as form:
            seen.append((str(form["sdp"]), str(form["session"]), dict(request.headers)))
        return PlainTextResponse("v=0 answer", 201, {"Location": "/v1/realtime/calls/rtc_1?x=1"})

    async with service(answer) as base:
        call = await Calls(base.replace("http", "ws") + "/", key()).open("v=0", {"type": "realtime", "model": "m"}, safety="abc")
    ((sdp, session, headers),) = seen
    assert (call.sdp, call.call_id) == ("v=0 answer", "rtc_1")
    assert (sdp, session) == ("v=0", '{"type":"realtime","model":"m"}')
    assert (headers["authorization"], headers["openai-safety-identifier"]) == (f"Bearer {KEY}", "abc")


async def test_a_location_that_names_no_call_is_none() -> None:
    """What a service writes there would stand in our own headers and addresses: only what a call's name can be is taken."""
    locations = ["", "/", "http://[bad/rtc_1", "/calls/rtc_\u00e9", "/calls/rtc 1", "/calls/rtc%0d%0aX:1", "/calls/" + "r" * 300]
    given = iter(locations)

    async def answer(request: Request) -> Response:
        return PlainTextResponse("v=0 answer", 201, {"Location": next(given)})

    async with service(answer) as base:
        calls = Calls(base)
        assert [(await calls.open("v=0", {})).call_id for _ in locations] == [""] * len(locations)


async def test_hanging_up_names_the_call() -> None:
    """Its id stands in the path, quoted; one that has ended is an error that says so."""
    paths: list[str] = []

    async def answer(request: Request) -> Response:
        paths.append(request.url.path)
        return PlainTextResponse("no such call", 404 if "ended" in request.url.path else 200)

    async with service(answer) as base:
        await Calls(base).hang_up("rtc_1")
        with pytest.raises(LinkError, match=r"OpenAI realtime call failed \(404\): no such call") as caught:
            await Calls(base).hang_up("rtc_ended")
    assert caught.value.code == "TL312"
    assert paths == ["/v1/realtime/calls/rtc_1/hangup", "/v1/realtime/calls/rtc_ended/hangup"]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_tl303_and_not_shown(status: int) -> None:
    """The key is neither in the error nor in what it came from, even where the server repeats it."""

    async def refuse(request: Request) -> Response:
        return PlainTextResponse(f"bad key {request.headers['authorization']}", status)

    async with service(refuse) as base:
        with pytest.raises(LinkError) as caught:
            await Calls(base, key()).open("v=0", {})
    error = caught.value
    assert (error.code, "OPENAI_API_KEY" in error.hint, KEY in str(error)) == ("TL303", True, False)
    assert (error.__cause__, error.__context__) == (None, None)


async def test_what_keeps_a_call_from_being_taken_is_tl301(unused_tcp_port: int) -> None:
    """A redirect is not followed, an endless answer is not read, and nobody listening is told as such."""

    async def redirect(request: Request) -> Response:
        return Response(status_code=307, headers={"Location": "http://127.0.0.1:9/"})

    async def endless(request: Request) -> Response:
        return PlainTextResponse("x" * 300_000, 201)

    for answer, problem in ((redirect, r"failed \(307\)"), (endless, "larger than")):
        async with service(answer) as base:
            with pytest.raises(LinkError, match=problem) as caught:
                await Calls(base, key()).open("v=0", {})
            assert caught.value.code == "TL301"
    with pytest.raises(LinkError, match=r"no connection to 127\.0\.0\.1") as caught:
        await Calls(f"http://127.0.0.1:{unused_tcp_port}/v1").open("v=0", {})
    assert caught.value.code == "TL301"
