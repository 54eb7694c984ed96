"""What hostile clients send, as bytes on a socket: a clear refusal each, nothing fails, and a call beside goes on."""

import asyncio
import logging
import random
import struct
from collections.abc import AsyncIterator
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect

import turnlog
from tests.server.hosting import Hosted, encode, hosted, receive, user_item
from turnlog.server.settings import ServerSettings

__all__: list[str] = []

pytestmark = pytest.mark.asyncio(loop_scope="module")

app = turnlog.App("hotel")
KEY: Final = b"X-API-Key: key-of-the-hotel\r\n"
HOST: Final = b"Host: 127.0.0.1\r\n"
UPGRADE: Final = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Repeats what it hears."""
    async for turn in session.turns():
        await session.say(f"You said {turn.text}.")


class Beside(NamedTuple):
    """A server, and a call on it that must not be disturbed."""

    server: Hosted
    caller: ClientConnection
    session: str

    async def goes_on(self) -> None:
        """The call is answered as ever."""
        await self.caller.send(encode({"type": "conversation.item.create", "item": user_item("hello")}))
        await self.caller.send(encode({"type": "response.create"}))
        async with asyncio.timeout(10):
            assert (await receive(self.caller, "response.output_text.done"))["text"] == "You said hello."
            await receive(self.caller, "response.done")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def beside(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Beside]:
    """One server for all the attacks."""
    settings = ServerSettings(keys=("key-of-the-hotel",), max_message_bytes=100_000)
    async with hosted(app, tmp_path_factory.mktemp("hostile"), settings=settings) as server:
        async with connect(server.socket_url(), additional_headers={"X-API-Key": "key-of-the-hotel"}) as caller:
            assert caller.response is not None
            yield Beside(server, caller, caller.response.headers["Turnlog-Session"])


@pytest.fixture(autouse=True)
def nothing_fails(caplog: pytest.LogCaptureFixture) -> object:
    """No attack makes the server log an error, a traceback least of all."""
    yield
    failures = [record for record in caplog.records if record.levelno >= logging.ERROR and record.name != "asyncio"]
    assert [record.getMessage() for record in failures] == []


async def raw(beside: Beside, sent: bytes) -> bytes:
    """Send bytes, and read until the server closes or has answered."""
    address = urlsplit(beside.server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), -1)
            if b" 101 " in head:
                return head
            return head + (await reader.readexactly(length) if length >= 0 else await reader.read(65536))
    finally:
        writer.close()


def request(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    """A request with the key; of a length that is said."""
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return line + b" HTTP/1.1\r\n" + HOST + KEY + b"".join(headers) + length + b"\r\n" + body


ROUNDS: Final = 200
TARGETS: Final = b"GET /v1/turnlog/targets HTTP/1.1\r\n"
SOCKET: Final = b"GET /v1/realtime?model=hotel.desk"
SECRETS: Final = b"POST /v1/realtime/client_secrets"
SESSIONS: Final = b"/v1/turnlog/sessions"
JSON: Final = b"Content-Type: application/json\r\n"
NAMED: Final = b'{"target": "hotel.desk", "session": "%s"}'
SDP: Final = b"Content-Type: application/sdp\r\n"
CALLS: Final = b"POST /v1/realtime/calls?model=hotel.desk"
START: Final = b"POST /api/v1/session-targets/hotel.desk/start"
MULTIPART: Final = b"Content-Type: multipart/form-data; boundary=b\r\n"
PART: Final = b'--b\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0\r\n'
FORM: Final = PART + b'--b\r\nContent-Disposition: form-data; name="session"\r\n\r\n'

REQUESTS: Final[dict[str, tuple[bytes, set[int]]]] = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", {400}),
    "a head of 200 kB": (request(b"GET /v1/turnlog/targets", b"X-A: " + b"a" * 200_000 + b"\r\n"), {400}),
    "a path of 80 kB": (request(b"GET /" + b"a" * 80_000), {400, 404}),
    "two lengths": (request(CALLS, SDP, b"Content-Length: 3\r\nContent-Length: 4\r\n") + b"abcd", {400}),
    "length and chunks": (request(CALLS, SDP, b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") + b"0\r\n\r\n", {400}),
    "a length that is none": (request(CALLS, SDP, b"Content-Length: -1\r\n"), {400}),
    "a length of a petabyte": (request(CALLS, SDP, b"Content-Length: 1125899906842624\r\n"), {413}),
    "chunks that are none": (request(CALLS, SDP, b"Transfer-Encoding: chunked\r\n") + b"zz\r\nhello", {400}),
    "a bare line feed in a header": (request(b"GET /healthz", b"X-A: a\nX-B: b\r\n"), {200, 400}),
    "a zero byte in a header": (request(b"GET /v1/turnlog/targets", b"X-A: a\x00b\r\n"), {400}),
    "a folded header": (request(b"GET /healthz", b"X-A: a\r\n b\r\n"), {200, 400}),
    "no host": (TARGETS + KEY + b"\r\n", {400}),
    "two hosts": (request(b"GET /v1/turnlog/targets", b"Host: evil.example\r\n"), {400}),
    "a key that is no UTF-8": (TARGETS + HOST + b"X-API-Key: \xff\xfe\xe9\r\n\r\n", {401}),
    "a bearer of 50 kB": (TARGETS + HOST + b"Authorization: Bearer " + b"k" * 50_000 + b"\r\n\r\n", {401}),
    "another method": (request(b"BREW /v1/turnlog/targets"), {405}),
    "climbing out of the files": (request(b"GET /static/../access.py"), {404}),
    "climbing, encoded": (request(b"GET /static/%2e%2e%2faccess.py"), {404}),
    "climbing, encoded twice": (request(b"GET /static/%252e%252e%252faccess.py"), {404}),
    "climbing by backslashes": (request(b"GET /static/..%5c..%5caccess.py"), {404}),
    "an absolute path": (request(b"GET //etc/passwd"), {404}),
    "an absolute path in a name": (request(b"GET /static/%2fetc%2fpasswd"), {404}),
    "a zero byte in a path": (request(b"GET /static/app.js%00.html"), {404}),
    "a path that is no UTF-8": (request(b"GET /static/%ff%fe"), {404}),
    "an absolute URL": (request(b"GET http://evil.example/v1/turnlog/targets"), {400, 404}),
    "a session id that climbs": (request(b"DELETE /v1/turnlog/sessions/..%2f..%2fsessions/tokens"), {404, 405}),
    "a session id of zero bytes": (request(b"DELETE /v1/turnlog/sessions/%00%00/tokens"), {404}),
    "a session id that is SQL": (request(b"DELETE /v1/turnlog/sessions/x'%20OR%20'1'='1/tokens"), {404}),
    "a session id that is no UTF-8": (request(b"DELETE /v1/turnlog/sessions/%ff%fe/tokens"), {404}),
    "lines in a target": (request(b"POST /api/v1/session-targets/hotel.desk%0d%0aSet-Cookie:%20a=b/start"), {404}),
    "lines in a call's id": (request(b"POST /v1/realtime/calls/rtc_%0d%0aSet-Cookie:%20a=b/hangup"), {404}),
    "lines in an origin": (request(b"GET /v1/turnlog/targets", b"Origin: http://a%0d%0aSet-Cookie: a=b\r\n"), {200, 403}),
    "an offer of noise": (request(CALLS, SDP, body=bytes(range(256)) * 20), {400}),
    "an offer as JSON": (request(CALLS, b"Content-Type: application/json\r\n", body=b"{}"), {415}),
    "a form without an end": (request(CALLS, MULTIPART, body=PART[:-2]), {400}),
    "a form's session that is no UTF-8": (request(CALLS, MULTIPART, body=FORM + b'{"voice": "\xff\xfe"}\r\n--b--\r\n'), {400}),
    "a form without a boundary": (request(CALLS, MULTIPART.partition(b";")[0] + b"\r\n", body=b"--b--"), {400}),
    "a thousand parts": (request(CALLS, MULTIPART, body=PART * 1_000 + b"--b--\r\n"), {400}),
    "a start that is no UTF-8": (request(START, body=b'{"model": "\xff\xfe"}'), {400}),
    "a start that is half a surrogate": (request(START, body=b'{"model": "\\ud800"}'), {400}),
    "a start of brackets": (request(START, body=b"[" * 100_000), {400}),
    "a start with deep metadata": (request(START, body=b'{"metadata":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001), {400}),
    "a start with a huge number": (request(START, body=b'{"metadata": {"n": ' + b"9" * 5_000 + b"}}"), {201, 400}),
    "a start that names no object": (request(START, body=b'"hotel"'), {400}),
    "an upgrade without a nonce": (request(SOCKET, UPGRADE.partition(b"Sec-")[0]), {400, 426}),
    "an upgrade of another version": (request(SOCKET, UPGRADE.replace(b"13", b"7")), {400, 426}),
    "an upgrade that is no UTF-8": (request(b"GET /v1/realtime?model=%ff%fe", UPGRADE), {404}),
    "lines in a model": (request(b"GET /v1/realtime?model=a%0d%0aSet-Cookie:%20a=b", UPGRADE), {404}),
    "lines in metadata": (request(SOCKET + b"&metadata=%0d%0aSet-Cookie", UPGRADE), {400}),
    "deep metadata": (request(SOCKET + b"&metadata=" + b'%7B"a":' * 3_000, UPGRADE), {400}),
    "a subprotocol that is none": (request(SOCKET, UPGRADE, b"Sec-WebSocket-Protocol: \xff, a b\r\n"), {400}),
    "a session id of lines": (request(b"GET /v1/realtime?session_id=a%0d%0ab", UPGRADE), {404}),
    "an upgrade of two hundred headers": (request(SOCKET, UPGRADE, b"X-A: b\r\n" * 200), {400}),
    "a secret asked for in no UTF-8": (request(SECRETS, JSON, body=b'{"session": {"model": "\xff"}}'), {400}),
    "a secret for deep settings": (request(SECRETS, JSON, body=b'{"session":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001), {400}),
    "a session asked for in no UTF-8": (request(b"POST " + SESSIONS, JSON, body=b'{"target": "\xff"}'), {400}),
    "a session asked for by a form": (request(b"POST " + SESSIONS, MULTIPART, body=FORM), {415}),
    "a session of a huge name": (request(b"POST " + SESSIONS, JSON, body=NAMED % (b"s" * 500_000)), {400, 422}),
    "a session of an empty name": (request(b"POST " + SESSIONS, JSON, body=NAMED % b""), {201, 400, 422}),
    "a session named to climb": (request(b"POST " + SESSIONS, JSON, body=NAMED % b"../../etc"), {400, 422}),
    "a session named by lines": (request(b"POST " + SESSIONS, JSON, body=NAMED % b"a\\r\\nSet-Cookie: a=b"), {400, 422}),
    "a cursor of nothing": (request(b"GET " + SESSIONS + b"?cursor=%00%ff"), {400}),
    "a limit beyond all": (request(b"GET " + SESSIONS + b"?limit=" + b"9" * 40), {400}),
    "a time beyond all": (request(b"GET " + SESSIONS + b"?since=99999-01-01T00:00:00Z"), {400}),
    "an API path that climbs": (request(b"GET " + SESSIONS + b"/..%2f..%2fetc%2fpasswd/events"), {404}),
    "events of half a surrogate": (request(b"GET " + SESSIONS + b"/%ed%a0%80/events"), {404}),
    "another protocol": (request(SOCKET, b"Connection: Upgrade\r\nUpgrade: h2c\r\n"), {426}),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_hostile_request_is_refused_clearly(beside: Beside, name: str) -> None:
    """With a status of the 400s, no header that the request has put in, and nothing of the machine in the answer."""
    sent, statuses = REQUESTS[name]
    said = await raw(beside, sent)
    head, _, _ = said.partition(b"\r\n\r\n")
    assert int(head.split(b" ")[1]) in statuses, said
    assert b"set-cookie" not in b"\r\n".join(line.partition(b":")[0] for line in head.lower().split(b"\r\n"))
    assert not [word for word in (b"Traceback", b"site-packages", b"/home/", b"root:x", b"key-of-the-hotel") if word in said]
    await beside.goes_on()


async def test_requests_with_random_faults_are_never_a_failure_of_the_server(beside: Beside) -> None:
    """Bytes of real requests, cut, changed and doubled at random (one seed): a status below 500, or a closed connection."""
    chance = random.Random(7)
    whole = [
        request(CALLS, SDP, body=PART),
        request(SOCKET, UPGRADE),
        request(START, JSON, body=b'{"metadata": {"a": [1, null]}}'),
        request(b"GET " + SESSIONS + b"?limit=3&status=ended"),
        request(SECRETS, JSON, body=b'{"session": {"model": "hotel.desk"}}'),
    ]
    for _ in range(ROUNDS):
        sent = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(sent))
            match chance.randrange(4):
                case 0:
                    sent[at] = chance.randrange(256)
                case 1:
                    del sent[at : at + chance.randrange(1, 9)]
                case 2:
                    sent[at:at] = chance.randbytes(chance.randrange(1, 9))
                case 3:
                    sent[at:at] = sent[at : at + chance.randrange(1, 40)]
        said = await finished(beside, bytes(sent))
        assert not said or int(said.split(b" ")[1]) < 500, (bytes(sent), said)
    await beside.goes_on()


async def finished(beside: Beside, sent: bytes) -> bytes:
    """Send bytes and nothing more, and read the first of the answer."""
    address = urlsplit(beside.server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read(4096)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def frame(first: int, payload: bytes, *, length: int | None = None, masked: bool = True) -> bytes:
    """A frame with this first byte; `length` is what it says that it has."""
    size = len(payload) if length is None else length
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 65536:
        head = bytes([first, bit | 126]) + struct.pack(">H", size)
    else:
        head = bytes([first, bit | 127]) + struct.pack(">Q", size)
    return head + (bytes(4) if masked else b"") + payload  # a mask of zeros leaves the payload as it is


TEXT: Final = 0x81
FRAMES: Final[dict[str, tuple[bytes, set[int]]]] = {
    "a frame of 4 EiB": (frame(TEXT, b"", length=2**62), {1009}),
    "a frame of 3 GB": (frame(TEXT, b"{", length=3_000_000_000), {1009}),
    "a message of endless parts": (frame(0x01, b"a" * 60_000) + frame(0x00, b"a" * 60_000) * 3, {1009}),
    "text that is no UTF-8": (frame(TEXT, b'{"type": "\xff\xfe"}'), {1007}),
    "text cut in a character": (frame(TEXT, '{"type": "é'.encode()[:-1]), {1007}),
    "a frame without a mask": (frame(TEXT, b"{}", masked=False), {1002}),
    "an opcode that is none": (frame(0x83, b"{}"), {1002}),
    "reserved bits": (frame(0xF1, b"{}"), {1002}),
    "a ping of 200 bytes": (frame(0x89, b"p" * 200), {1002}),
    "a ping in parts": (frame(0x09, b"p"), {1002}),
    "a part of nothing": (frame(0x80, b"{}"), {1002}),
    "a close code that is none": (frame(0x88, struct.pack(">H", 1005)), {1002}),
    "a close reason that is no UTF-8": (frame(0x88, struct.pack(">H", 1000) + b"\xff\xfe"), {1002, 1007}),
    "binary": (frame(0x82, b"{}"), {1003}),
}


@pytest.mark.parametrize("name", FRAMES)
async def test_a_hostile_frame_closes_its_own_connection(beside: Beside, name: str) -> None:
    """With the close code of the protocol; its session ends, the one beside goes on."""
    sent, codes = FRAMES[name]
    address = urlsplit(beside.server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request(SOCKET, UPGRADE))
    async with asyncio.timeout(10):
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        code = await close_code(reader)
        assert code in codes, code
    writer.close()
    await beside.goes_on()


async def close_code(reader: asyncio.StreamReader) -> int:
    """The code of the close frame that comes, past what else does."""
    while True:
        first, size = await reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack(">H", await reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await reader.readexactly(8))
        payload = await reader.readexactly(size)
        if first == 0x88:
            return int(struct.unpack(">H", payload[:2])[0])


NUMBER: Final = "9" * 5_000
JSON_FAULTS: Final = ["[" * 20_000, '{"type": "\\ud800"}', '{"type": 1e999}', f'{{"type": {NUMBER}}}', "\x00", "{}", "null", ""]


async def test_hostile_json_is_answered_by_an_error_event(beside: Beside) -> None:
    """Depth, numbers, surrogates and nothing at all; the session of who sent it goes on, too."""
    url = beside.server.socket_url()
    async with connect(url, additional_headers={"X-API-Key": "key-of-the-hotel"}) as caller:
        await receive(caller, "session.created")
        for text in JSON_FAULTS:
            await caller.send(text)
            assert (await receive(caller, "error"))["error"]["type"] == "invalid_request_error"
        await beside._replace(caller=caller).goes_on()


async def test_two_thousand_connections_that_send_nothing_hold_nobody_up(beside: Beside) -> None:
    """Nor do five hundred upgrades with a wrong key at once: each is 401, and calls go on meanwhile."""
    address = urlsplit(beside.server.url)
    idle = [await asyncio.open_connection(address.hostname, address.port) for _ in range(2_000)]
    await beside.goes_on()
    wrong = request(SOCKET, UPGRADE).replace(b"key-of-the-hotel", b"wrong")
    refused = await asyncio.gather(*(raw(beside, wrong) for _ in range(500)), beside.goes_on())
    assert all(said is None or b" 401 " in said for said in refused)
    for _, writer in idle:
        writer.close()
    async with httpx.AsyncClient(base_url=beside.server.url) as http:
        assert (await http.get("/healthz")).status_code == 200
    assert beside.session in beside.server.engine.sessions
