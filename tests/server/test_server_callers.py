"""Caller tokens: what each opens, and what it does not; with real sockets, stores and sessions."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedOK, InvalidStatus
from websockets.typing import Subprotocol

import turnlog
from tests.server.hosting import Hosted, encode, hosted, receive, user_item
from turnlog.core import events as e
from turnlog.core.errors import TurnlogError
from turnlog.server.access import Access
from turnlog.server.callers import TOKEN_S, CallerTokens
from turnlog.server.settings import DEFAULTS, ServerSettings

app = turnlog.App("hotel")


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Repeats what it hears, until bye."""
    async for turn in session.turns():
        await session.say(f"You said {turn.text}.")
        if turn.text == "bye":
            return


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Hosted]:
    """With one key."""
    async with hosted(app, tmp_path, settings=ServerSettings(keys=("key-one",))) as running:
        yield running


def start(server: Hosted) -> connect:
    """A call of a new session."""
    return connect(server.socket_url(), additional_headers={"X-API-Key": "key-one"})


def rejoin(server: Hosted, session: str, token: str | None = None, **options: Any) -> connect:
    """A call of a session that runs."""
    if token is not None:
        options["additional_headers"] = {"Authorization": f"Bearer {token}"}
    return connect(f"{server.socket_url(None)}?session_id={session}", **options)


def papers(caller: ClientConnection) -> tuple[str, str]:
    """The session and the token that the upgrade named."""
    assert caller.response is not None
    return caller.response.headers["Turnlog-Session"], caller.response.headers["Turnlog-Token"]


async def says(caller: ClientConnection, text: str) -> str:
    """Type a turn; the answer."""
    await caller.send(encode({"type": "conversation.item.create", "item": user_item(text)}))
    await caller.send(encode({"type": "response.create"}))
    answer: str = (await receive(caller, "response.output_text.done"))["text"]
    await receive(caller, "response.done")
    return answer


async def refused(call: connect) -> tuple[int, str, str]:
    """The status with which a call is refused, and the error's code and message."""
    with pytest.raises(InvalidStatus) as caught:
        await call
    error = json.loads(caught.value.response.body or b"null")["error"]
    return caught.value.response.status_code, error["code"], error["message"]


async def test_who_comes_with_the_token_takes_the_place_over(server: Hosted) -> None:
    """The connection before is closed with 1001, the session goes on with the new one, and the token stays the same."""
    async with start(server) as before:
        session, token = papers(before)
        assert await says(before, "one") == "You said one."
        async with rejoin(server, session, token) as after:
            assert papers(after) == (session, token)
            with pytest.raises(ConnectionClosedOK):
                await receive(before, "never")
            assert (before.close_code, before.close_reason) == (1001, "taken over")
            assert await says(after, "bye") == "You said bye."
    assert (await server.ended(session)).reason == "completed"
    closed = [one for one in await server.events(session) if isinstance(one, e.LinkClosed) and one.link == "c1"]
    assert [(one.code, one.reason) for one in closed] == [(1001, "taken over")]


async def test_a_browser_shows_the_token_as_a_subprotocol_and_x_api_key_is_no_place_for_it(server: Hosted) -> None:
    """openai-insecure-api-key.TOKEN opens the session; the same token as X-API-Key is 401."""
    async with start(server) as before:
        session, token = papers(before)
        offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{token}")]
        async with rejoin(server, session, subprotocols=offered) as after:
            assert after.subprotocol == "realtime"
            await receive(after, "session.created")
            status, code, _ = await refused(rejoin(server, session, additional_headers={"X-API-Key": token}))
            assert (status, code) == (401, "TL501")


async def test_whoever_has_a_key_of_the_server_joins_beside(server: Hosted) -> None:
    """It gets a token of its own, and nobody loses a place."""
    async with start(server) as one:
        session, token = papers(one)
        async with rejoin(server, session, "key-one") as other:
            assert papers(other)[0] == session and papers(other)[1] not in (token, "key-one")
            assert await says(one, "hello") == "You said hello."
            assert (await receive(other, "response.output_text.done"))["text"] == "You said hello."
            await receive(other, "response.done")
            assert await says(other, "there") == "You said there."


async def test_another_sessions_token_no_token_and_a_wrong_one_are_401_with_one_text(server: Hosted) -> None:
    """A bad token learns nothing: neither whether the session exists nor what is wrong with the token."""
    async with start(server) as one, start(server) as other:
        session, token = papers(one)
        _, elsewhere = papers(other)
        refusals = {await refused(rejoin(server, session, shown)) for shown in (None, elsewhere, "wrong", token[:-1])}
        refusals |= {await refused(rejoin(server, unknown, shown)) for unknown in ("", "sess_0") for shown in (None, token)}
        assert refusals == {(401, "TL501", "no token of this session was shown")}
        assert await says(one, "still here") == "You said still here."


async def test_a_token_starts_no_session(server: Hosted) -> None:
    """P8: it opens the one session that it was made for."""
    async with start(server) as one:
        _, token = papers(one)
        status, code, _ = await refused(connect(server.socket_url(), additional_headers={"Authorization": f"Bearer {token}"}))
        assert (status, code) == (401, "TL501")
        await server.only_session()


async def test_a_session_that_has_ended_is_404_to_its_own_token_and_to_a_key(server: Hosted) -> None:
    """TL408; the key learns the same of a session that never was."""
    async with start(server) as caller:
        session, token = papers(caller)
        await says(caller, "bye")
    await server.ended(session)
    assert (await refused(rejoin(server, session, token)))[:2] == (404, "TL408")
    assert (await refused(rejoin(server, session, "key-one")))[:2] == (404, "TL408")
    assert (await refused(rejoin(server, "sess_0", "key-one")))[:2] == (404, "TL408")
    assert (await refused(rejoin(server, session, "wrong")))[:2] == (401, "TL501")


async def test_a_caller_that_drops_comes_back_to_the_conversation(server: Hosted) -> None:
    """Its connection is cut; with its token it finds the session as it is now and what was said, and the talk goes on."""
    async with start(server) as before:
        session, token = papers(before)
        text_only = {"type": "realtime", "output_modalities": ["text"]}
        await before.send(encode({"type": "session.update", "session": text_only}))
        assert await says(before, "one") == "You said one."
        before.transport.abort()
    async for entry in server.engine.feed(types=[e.CallerAwaited]):
        assert entry.session == session
        break
    async with rejoin(server, session, token) as after:
        assert (await receive(after, "session.created"))["session"]["output_modalities"] == ["text"]
        told = [await receive(after, "conversation.item.added", "conversation.item.done") for _ in range(4)]
        assert [one["type"].rpartition(".")[2] for one in told] == ["added", "done"] * 2
        said = [(one["item"]["role"], one["item"]["content"]) for one in told[::2]]
        assert said == [
            ("user", [{"type": "input_text", "text": "one"}]),
            ("assistant", [{"type": "output_text", "text": "You said one."}]),
        ]
        assert told[2]["previous_item_id"] == told[0]["item"]["id"]
        assert await says(after, "bye") == "You said bye."
    assert (await server.ended(session)).reason == "completed"


def shows(token: str) -> HTTPConnection:
    """A request with a bearer token."""
    return HTTPConnection({"type": "http", "headers": [(b"authorization", b"Bearer " + token.encode())]})


async def test_a_token_opens_until_it_expires() -> None:
    """To the nanosecond, and each return begins its time anew; without keys configured nothing opens but the token."""
    now = [1_000]
    async with turnlog.Engine(app, store="memory://") as engine:
        live = await engine.start("hotel.desk")
        tokens = CallerTokens(engine, Access(engine, DEFAULTS), now_ns=lambda: now[0])
        admitted = await tokens.admit(live)
        for _ in range(2):
            now[0] += TOKEN_S * 1_000_000_000 - 1
            assert await tokens.readmit(shows(admitted.token), live.id) == admitted
        now[0] += TOKEN_S * 1_000_000_000
        with pytest.raises(TurnlogError, match="TL501 no token of this session was shown"):
            await tokens.readmit(shows(admitted.token), live.id)
