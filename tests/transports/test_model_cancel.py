"""Cancel, truncate and clear at a served model, by the official SDK: the model stops, its history holds what was heard."""

import asyncio
import threading
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from turnlog.transports.providers.local import LocalProvider
from turnlog.transports.providers.model import Ask, Audio, Delta, Words
from turnlog.transports.providers.model_server import ModelServer
from turnlog.transports.realtime.say_form import compose
from turnlog.transports.speech.engines import Speech, detect
from turnlog.transports.speech.vad import VoiceActivity

SECOND = b64encode(bytes(48_000))
CANCELLED = {"type": "cancelled", "reason": "client_cancelled"}


class Talker:
    """A model that says one word a second of audio, and goes on when it is let; it keeps what it was asked."""

    takes_audio = False

    def __init__(self) -> None:
        self.asks: list[Ask] = []
        self.said = 0
        self.silenced = asyncio.Event()
        self.pace = asyncio.Event()

    def voice_activity(self) -> VoiceActivity | None:
        """It cannot hear."""
        return None

    async def transcribe(self, pcm16: bytes) -> str:
        """Nothing."""
        return ""

    async def respond(self, ask: Ask) -> AsyncGenerator[Delta, None]:
        """Four words at once, then as many as it is given time for."""
        self.asks.append(ask)
        try:
            for word in ("one ", "two ", "three ", "four "):
                yield Words(text=word)
                yield Audio(base64_text=SECOND)
            await self.pace.wait()
            yield Words(text="five")
            self.said += 1
        finally:
            self.silenced.set()

    async def close(self) -> None:
        """Nothing to close."""


@asynccontextmanager
async def sdk(server: ModelServer) -> AsyncIterator[AsyncRealtimeConnection]:
    """The official SDK at a served model."""
    async with server.serve(port=0) as url:
        base = url.removesuffix("/realtime")
        async with AsyncOpenAI(api_key="x", base_url=base.replace("ws", "http"), websocket_base_url=base) as client:
            async with client.realtime.connect(model="talker") as connection:
                yield connection


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[Talker, AsyncRealtimeConnection]]:
    """A talker and the SDK."""
    talker = Talker()

    async def open_model() -> Talker:
        return talker

    async with sdk(ModelServer(open_model, name="talker")) as connection:
        yield talker, connection


async def until(connection: AsyncRealtimeConnection, type_: str, times: int = 1) -> list[Any]:
    """All events up to the one of this type that was awaited."""
    seen: list[Any] = []
    async with asyncio.timeout(20):
        while sum(event.type == type_ for event in seen) < times:
            seen.append(await connection.recv())
    return seen


async def write(connection: AsyncRealtimeConnection, text: str) -> None:
    """A typed question."""
    await connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    )


async def begin(connection: AsyncRealtimeConnection) -> tuple[str, str]:
    """Ask, and hear four words: the ids of the response and of its item."""
    await write(connection, "Count!")
    await connection.response.create()
    heard = await until(connection, "response.output_audio.delta", 4)
    return heard[-1].response_id, heard[-1].item_id


@pytest.mark.parametrize("named", [True, False])
async def test_the_sdk_cancels_an_answer(named: bool) -> None:
    """The tail and one response.done, client_cancelled; the model is stopped, and the next answer is free to begin."""
    async with talking() as (talker, connection):
        response, item = await begin(connection)
        await (connection.response.cancel(response_id=response) if named else connection.response.cancel())
        events = await until(connection, "response.done")
        done = events[-1].response
        assert (done.id, done.status, done.status_details.model_dump(exclude_none=True)) == (response, "cancelled", CANCELLED)
        assert [(one.id, one.status) for one in done.output] == [(item, "incomplete")]
        async with asyncio.timeout(5):
            await talker.silenced.wait()
        assert talker.said == 0
        await connection.response.cancel(event_id="again")
        (refused,) = await until(connection, "error")
        assert (refused.error.code, refused.error.event_id) == ("response_cancel_not_active", "again")
        talker.pace.set()
        await connection.response.create()
        assert (await until(connection, "response.done"))[-1].response.status == "completed"


async def test_the_sdk_clears_what_sounds() -> None:
    """output_audio_buffer.clear stops the answer too."""
    async with talking() as (talker, connection):
        response, _ = await begin(connection)
        await connection.output_audio_buffer.clear()
        events = await until(connection, "response.done")
        assert events[0].type == "output_audio_buffer.cleared" and events[0].response_id == response
        assert events[-1].response.status == "cancelled"
        await talker.silenced.wait()


async def test_the_sdk_truncates_and_the_model_knows_what_was_heard() -> None:
    """item.truncated; the item has no transcript any more; the model's next question stands behind the words heard."""
    async with talking() as (talker, connection):
        _, item = await begin(connection)
        await connection.response.cancel()
        await until(connection, "response.done")
        await connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=2400)
        (truncated,) = await until(connection, "conversation.item.truncated")
        assert (truncated.item_id, truncated.audio_end_ms) == (item, 2400)
        await connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=9999, event_id="far")
        (refused,) = await until(connection, "error")
        assert (refused.error.code, refused.error.event_id) == ("invalid_value", "far")
        assert refused.error.message == "Audio content of 2400ms is already shorter than 9999ms"
        await connection.conversation.item.retrieve(item_id=item)
        (retrieved,) = await until(connection, "conversation.item.retrieved")
        assert [part.transcript for part in retrieved.item.content] == [None]
        talker.pace.set()
        await write(connection, "And?")
        await connection.response.create()
        await until(connection, "response.done")
        said = [(one["role"], one["content"][0].get("transcript") or one["content"][0]["text"]) for one in talker.asks[-1].items]
        assert said == [("user", "Count!"), ("assistant", "one two"), ("user", "And?")]


async def test_a_say_in_the_conversation_and_one_beside_it() -> None:
    """In band it becomes an item, and a second one is refused meanwhile; out of band it is neither, nor cut without its id."""
    async with talking() as (talker, connection):

        def request(say: str, conversation: str) -> dict[str, Any]:
            return {
                "conversation": conversation,
                "input": [],
                "instructions": compose("Hi."),
                "metadata": {"turnlog_say": say},
            }

        send: Callable[..., Awaitable[None]] = connection.response.create
        await send(response=request("say_1", "auto"))
        opened = await until(connection, "conversation.item.added")
        await send(response=request("say_2", "auto"), event_id="say_2:1")
        refused = (await until(connection, "error"))[-1].error
        assert (refused.code, refused.event_id) == ("conversation_already_has_active_response", "say_2:1")
        await send(response=request("say_3", "none"))
        beside = (await until(connection, "response.created"))[-1].response
        assert (beside.conversation_id, beside.metadata) == (None, {"turnlog_say": "say_3"})
        await connection.response.cancel()
        cut = (await until(connection, "response.done"))[-1].response
        assert (cut.id, cut.status) == (opened[1].response.id, "cancelled")
        talker.pace.set()
        whole = (await until(connection, "response.done"))[-1].response
        assert (whole.id, whole.status) == (beside.id, "completed")


class EndlessVoice:
    """A synthesiser that speaks until it is closed."""

    rate = 24_000

    def __init__(self) -> None:
        self.spoken = 0
        self.closed = threading.Event()

    def synthesise(self, text: str) -> Iterator[bytes]:
        """A tenth of a second after the other, for ever."""
        try:
            while True:
                self.spoken += 1
                yield bytes(4_800)
        finally:
            self.closed.set()


async def test_a_cancelled_local_answer_is_synthesised_no_further() -> None:
    """What the voice has in hand it finishes; then it is closed, and its thread speaks the next say."""
    voice = EndlessVoice()
    provider = LocalProvider(speech=Speech(engines=detect(), voice_activity=None, recogniser=None, synthesiser=voice))
    async with sdk(provider.server) as connection:
        request = {"conversation": "none", "input": [], "instructions": compose("On and on."), "metadata": {"turnlog_say": "s"}}
        send: Callable[..., Awaitable[None]] = connection.response.create
        for _ in range(2):
            voice.closed.clear()
            await send(response=request)
            heard = await until(connection, "response.output_audio.delta", 3)
            await connection.response.cancel(response_id=heard[-1].response_id)
            assert (await until(connection, "response.done"))[-1].response.status == "cancelled"
            assert await asyncio.to_thread(voice.closed.wait, 5)
            spoken = voice.spoken
            await write(connection, "Still there?")
            await until(connection, "conversation.item.done")
            assert voice.spoken == spoken
