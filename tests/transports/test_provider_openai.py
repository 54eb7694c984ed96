"""The OpenAI and Azure providers against real WebSocket servers on loopback."""

import asyncio
import logging
import ssl
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from turnlog.core.definition import SessionDefinition
from turnlog.core.errors import LinkClosed, LinkError
from turnlog.transports.providers.dial import Credential, DialSettings, is_loopback
from turnlog.transports.providers.openai import AzureProvider, OpenAIProvider

KEY = "sk-proj-7hQ2SecretSecret9x"
OPENAI = SessionDefinition(name="s", provider="openai", transport="websocket", model="gpt-realtime-2.1")
AZURE = SessionDefinition(name="s", provider="azure", transport="websocket", model="my deployment&1")
VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT")

Hook = Callable[[ServerConnection, Request], Response | None]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the developer's own reaches a test."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def service(hook: Hook | None = None) -> AsyncIterator[tuple[str, list[Request]]]:
    """A server that greets and echoes: its host:port, and the upgrade requests it saw."""
    requests: list[Request] = []

    def process(connection: ServerConnection, request: Request) -> Response | None:
        requests.append(request)
        return hook(connection, request) if hook else None

    async def handler(connection: ServerConnection) -> None:
        await connection.send('{"type":"session.created"}')
        async for message in connection:
            await connection.send(message)

    async with serve(handler, "127.0.0.1", 0, process_request=process, max_size=None) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", requests


def everything(error: BaseException) -> str:
    """All that a traceback of this error could show: messages, causes, contexts, and the local variables of every frame."""
    shown = [repr(vars(error))]
    seen: list[BaseException | None] = [error]
    for one in seen:
        if one is not None:
            shown += traceback.TracebackException.from_exception(one, capture_locals=True).format()
            seen += [other for other in (one.__cause__, one.__context__) if other not in seen]
    return "".join(shown)


async def fails(provider: OpenAIProvider | AzureProvider, definition: SessionDefinition = OPENAI) -> LinkError:
    """The error of a connect that must fail."""
    with pytest.raises(LinkError) as caught:
        await provider.connect(definition, "sess_1")
    # Of the test itself only the call is of interest; its own frame names the key.
    caught.value.__traceback__ = caught.tb.tb_next
    return caught.value


async def test_openai_is_reached_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Base URL and key come from the environment, http becomes ws, the path and the model are OpenAI's."""
    async with service() as (address, requests):
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://{address}/v1/")
        monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
        link = await OpenAIProvider().connect(OPENAI, "sess_1")
        assert await link.receive() == b'{"type":"session.created"}'
        link.send(b'{"type":"x"}')
        assert await link.receive() == b'{"type":"x"}'
        await link.close()
    assert requests[0].path == "/v1/realtime?model=gpt-realtime-2.1"
    assert requests[0].headers["Authorization"] == f"Bearer {KEY}"
    assert "Sec-WebSocket-Extensions" not in requests[0].headers


async def test_azure_is_reached_by_its_endpoint() -> None:
    """Azure has its own path and header, the deployment is quoted, and a query of the endpoint is kept."""
    async with service() as (address, requests):
        provider = AzureProvider(endpoint=f"http://{address}/?api-version=1", api_key=KEY)
        await (await provider.connect(AZURE, "sess_1")).close()
    assert requests[0].path == "/openai/v1/realtime?api-version=1&model=my+deployment%261"
    assert requests[0].headers["api-key"] == KEY
    assert "Authorization" not in requests[0].headers


async def test_a_missing_key_names_its_variable() -> None:
    """Without a key nothing is dialled: the error says which variable to set."""
    assert "OPENAI_API_KEY is not set" in str(await fails(OpenAIProvider()))
    error = await fails(AzureProvider(endpoint="https://x.openai.azure.com"), AZURE)
    assert (error.code, "AZURE_OPENAI_API_KEY" in str(error)) == ("TL303", True)
    error = await fails(AzureProvider(api_key=KEY), AZURE)
    assert (error.code, "AZURE_OPENAI_ENDPOINT" in str(error)) == ("TL301", True)


async def test_a_service_on_this_machine_needs_no_key() -> None:
    """`turnlog provider` is usable without inventing a key, and none is sent."""
    async with service() as (address, requests):
        await (await OpenAIProvider(base_url=f"ws://{address}/v1").connect(OPENAI, "sess_1")).close()
    assert "Authorization" not in requests[0].headers


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_tl303_and_never_shown(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """The key is in no message, cause, context, local variable, repr or log, even if the server repeats it."""
    caplog.set_level(logging.DEBUG)
    for name in ("websockets", "websockets.client", "turnlog", "turnlog.providers"):
        caplog.set_level(logging.DEBUG, logger=name)

    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(status, f"{'x' * 290} incorrect key {request.headers['Authorization']}")

    async with service(refuse) as (address, requests):
        provider = OpenAIProvider(base_url=f"http://{address}/v1", api_key=KEY)
        error = await fails(provider)
    assert requests[0].headers["Authorization"] == f"Bearer {KEY}"  # it was sent
    assert (error.code, str(status) in str(error), "OPENAI_API_KEY" in error.hint) == ("TL303", True, True)
    client_log = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("websockets.server"))
    shown = everything(error) + repr(provider) + client_log
    assert KEY not in shown and KEY[:12] not in shown


async def test_a_key_that_no_header_can_carry_is_never_shown() -> None:
    """A key with a line break inside is refused before anything is sent."""
    broken = "sk-line\nbreak"
    error = await fails(OpenAIProvider(base_url="http://127.0.0.1:9/v1", api_key=broken))
    assert (error.code, "sk-line" in everything(error)) == ("TL303", False)
    assert "sk-" not in repr(Credential("sk-1", header="api-key", source="X"))


async def test_other_statuses_are_tl301_with_an_excerpt() -> None:
    """The host, the status and the start of the answer are named."""

    def unavailable(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(503, "overloaded,\ntry later" + "!" * 5000)

    async with service(unavailable) as (address, _):
        error = await fails(OpenAIProvider(base_url=f"http://{address}/v1", api_key=KEY))
    assert error.code == "TL301"
    assert "127.0.0.1 answered HTTP 503" in error.message and "overloaded, try later!" in error.message
    assert len(error.message) < 500


async def test_a_redirect_is_not_followed() -> None:
    """The key of one host is never carried to another, whatever the first one says."""
    async with service() as (target, target_requests):

        def redirect(connection: ServerConnection, request: Request) -> Response:
            response = connection.respond(307, "elsewhere")
            response.headers["Location"] = f"ws://{target}/v1/realtime"
            return response

        async with service(redirect) as (address, _):
            error = await fails(AzureProvider(endpoint=f"http://{address}", api_key=KEY), AZURE)
    assert (error.code, "HTTP 307" in error.message, target_requests) == ("TL301", True, [])


async def test_nobody_listening_is_tl301(unused_tcp_port: int) -> None:
    """A refused connection names the host and shows no key."""
    error = await fails(OpenAIProvider(base_url=f"http://127.0.0.1:{unused_tcp_port}/v1", api_key=KEY))
    assert (error.code, "127.0.0.1" in error.message, KEY in everything(error)) == ("TL301", True, False)


async def test_an_unknown_host_is_tl301(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is named."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    error = await fails(OpenAIProvider(base_url="http://no-such-host.invalid/v1", api_key=KEY))
    assert (error.code, "no-such-host.invalid" in error.message) == ("TL301", True)


async def test_a_silent_server_times_out() -> None:
    """A server that accepts and says nothing is given up after open_timeout_s."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        error = await fails(OpenAIProvider(base_url=url, api_key=KEY, settings=DialSettings(open_timeout_s=0.05)))
        assert (error.code, "timed out" in error.message) == ("TL301", True)
        for writer in held:
            writer.close()


async def test_a_server_that_is_no_websocket_is_tl301() -> None:
    """An HTTP answer that is no upgrade, and bytes that are no HTTP, are both told plainly."""
    for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"SSH-2.0-OpenSSH_9\r\n"):

        async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes = answer) -> None:
            writer.write(answer)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        async with server:
            error = await fails(OpenAIProvider(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", api_key=KEY))
        assert (error.code, KEY in everything(error)) == ("TL301", False)


async def test_tls_to_a_plain_server_is_tl301() -> None:
    """https means TLS: a server without it is refused, not downgraded to."""
    async with service() as (address, _):
        error = await fails(OpenAIProvider(base_url=f"https://{address}/v1", api_key=KEY))
    assert error.code == "TL301"
    assert not isinstance(error.__context__, ssl.SSLError)


@pytest.mark.parametrize("url", ["api.openai.com", "ftp://x/v1", "http://", "http://[::1/v1", "http://x:port/v1"])
async def test_a_base_url_that_is_none_is_tl301(url: str) -> None:
    """What is no URL is refused by the name of its variable."""
    error = await fails(OpenAIProvider(base_url=url, api_key=KEY))
    assert (error.code, "OPENAI_BASE_URL" in error.message) == ("TL301", True)


async def test_the_message_limit_is_configurable() -> None:
    """A message over max_message_bytes closes the link with 1009."""
    async with service() as (address, _):
        provider = OpenAIProvider(base_url=f"http://{address}/v1", settings=DialSettings(max_message_bytes=2000))
        link = await provider.connect(OPENAI, "sess_1")
        await link.receive()
        link.send(b"x" * 2001)
        with pytest.raises(LinkClosed) as caught:
            await link.receive()
        assert caught.value.close_code == 1009


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(("localhost", True), ("127.0.0.2", True), ("::1", True), ("::ffff:127.0.0.1", True)),
        *(("api.openai.com", False), ("10.0.0.1", False), (None, False), ("127.0.0.1.example.com", False)),
    ],
)
def test_what_is_loopback(host: str | None, expected: bool) -> None:
    """Only this machine's own names and addresses count; nothing is resolved."""
    assert is_loopback(host) is expected
