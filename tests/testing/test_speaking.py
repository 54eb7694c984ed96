"""The provider of the kit: what it hears and speaks, and each thing that it can be made to do wrong."""

import asyncio
import base64
from typing import Any

import msgspec
import pytest

from tests.testing.desk import GREETING, app
from turnlog import App, LinkError, RealtimeSession, SessionDefinition
from turnlog.core import events as e
from turnlog.core.errors import LinkClosed
from turnlog.core.ports import Link
from turnlog.testing import Kit, Pace, SpeakingProvider, listen, speak, virtual_time
from turnlog.transports.realtime.audio import decode_base64
from turnlog.transports.realtime.say_form import SAY_KEY, compose


class Client:
    """The other end of a provider's link: sends events, and keeps what comes."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.got: list[dict[str, Any]] = []

    def send(self, type_: str, **fields: Any) -> None:
        """Send an event."""
        self.link.send(msgspec.json.encode({"type": type_, **fields}))

    def ask(self, text: str) -> None:
        """Ask for a say."""
        say = {"conversation": "none", "instructions": compose(text), "metadata": {SAY_KEY: "say_1"}}
        self.send("response.create", event_id="ask_1", response=say)

    async def until(self, type_: str) -> dict[str, Any]:
        """Read up to the next message of a type."""
        async with asyncio.timeout(30):
            while True:
                self.got.append(msgspec.json.decode(await self.link.receive()))
                if self.got[-1]["type"] == type_:
                    return self.got[-1]

    def types(self) -> list[str]:
        """What came, without the deltas' numbers."""
        return [event["type"] for event in self.got]

    def heard(self) -> str:
        """The words in all audio that came."""
        deltas = [event["delta"] for event in self.got if event["type"] == "response.output_audio.delta"]
        return listen(b"".join(decode_base64(delta, "delta") for delta in deltas))


async def connected(provider: SpeakingProvider) -> Client:
    """A client with a greeted link."""
    definition = SessionDefinition(name="b", provider="openai", transport="websocket")
    client = Client(await provider.connect(definition, "s"))
    await client.until("session.created")
    return client


@virtual_time
async def test_it_speaks_a_say_at_its_pace() -> None:
    """300 ms of fake speech a word, told by a transcript, in as much time as speed allows."""
    provider = SpeakingProvider(pace=Pace(speed=2.0, created_ms=20, audio_ms=80))
    client = await connected(provider)
    client.ask("one two three four")
    await client.until("response.done")
    assert asyncio.get_running_loop().time() == pytest.approx(0.1 + 1.2 / 2)
    assert client.heard() == "one two three four" == client.got[-1]["response"]["output"][0]["content"][0]["transcript"]
    assert provider.says == ["one two three four"]
    await client.link.close()


@virtual_time
async def test_it_hears_a_turn_and_answers_it() -> None:
    """Speech in the input becomes a transcribed item, and where the session asks for it an answer."""
    provider = SpeakingProvider(reply=lambda text: f"answer to {text}")
    client = await connected(provider)
    transcription = {"audio": {"input": {"transcription": {"model": "m"}}}}
    client.send("session.update", session={"type": "realtime", **transcription})
    for pcm16 in (speak("any rooms"), bytes(48 * 700)):
        client.send("input_audio_buffer.append", audio=base64.b64encode(pcm16).decode())
    heard = await client.until("conversation.item.input_audio_transcription.completed")
    assert heard["transcript"] == "any rooms"
    await client.until("response.done")
    assert client.heard() == "answer to any rooms"
    await client.link.close()


@virtual_time
async def test_a_cancelled_response_ends_at_once() -> None:
    """response.cancel ends the response as cancelled; a second one is response_cancel_not_active."""
    client = await connected(SpeakingProvider(pace=Pace(speed=1.0)))
    client.ask("one two three four five six")
    created = await client.until("response.created")
    await asyncio.sleep(0.8)
    for _ in range(2):
        client.send("response.cancel", response_id=created["response"]["id"])
    done = await client.until("response.done")
    assert (done["response"]["status"], done["response"]["status_details"]["reason"]) == ("cancelled", "client_cancelled")
    assert (await client.until("error"))["error"]["code"] == "response_cancel_not_active"
    assert client.heard() in ("one two", "one")
    await client.link.close()


@virtual_time
async def test_a_dead_response_can_go_on_sending() -> None:
    """With late_ms audio of a cancelled response comes behind its response.done."""
    provider = SpeakingProvider()
    provider.mishaps.late_ms = 300
    client = await connected(provider)
    client.ask("one two three")
    created = await client.until("response.created")
    await client.until("response.output_audio.delta")
    client.send("response.cancel", response_id=created["response"]["id"])
    await client.until("response.done")
    late = [await client.until("response.output_audio.delta") for _ in range(3)]
    assert {event["response_id"] for event in late} == {created["response"]["id"]}
    await client.link.close()


@virtual_time
async def test_messages_can_come_twice() -> None:
    """What stands in `repeats` is sent twice, byte for byte."""
    provider = SpeakingProvider()
    provider.mishaps.repeats.add("response.done")
    client = await connected(provider)
    client.ask("one")
    assert await client.until("response.done") == await client.until("response.done")
    await client.link.close()


@virtual_time
async def test_a_truncation_is_confirmed() -> None:
    """conversation.item.truncate is answered with what it asked for."""
    client = await connected(SpeakingProvider())
    client.send("response.create")
    done = await client.until("response.done")
    place = {"item_id": done["response"]["output"][0]["id"], "content_index": 0, "audio_end_ms": 120}
    client.send("conversation.item.truncate", **place)
    assert place.items() <= (await client.until("conversation.item.truncated")).items()
    await client.link.close()


@virtual_time
async def test_it_can_be_cut_off_and_expire() -> None:
    """A broken link closes with its code; an expired session says so first and closes with 1001."""
    provider = SpeakingProvider()
    client = await connected(provider)
    await provider.disconnects(1006, "gone")
    with pytest.raises(LinkClosed) as closed:
        await client.until("error")
    assert closed.value.close_code == 1006
    client = await connected(provider)
    await provider.expires()
    assert (await client.until("error"))["error"]["code"] == "session_expired"
    with pytest.raises(LinkClosed) as closed:
        await client.until("error")
    assert closed.value.close_code == 1001


@virtual_time
async def test_a_response_can_be_cancelled_before_it_is_created() -> None:
    """A cancel that comes before response.created ends the response with no audio at all."""
    client = await connected(SpeakingProvider(pace=Pace(created_ms=500)))
    client.send("response.create")
    client.send("response.cancel")
    done = await client.until("response.done")
    assert done["response"]["status"] == "cancelled"
    await asyncio.sleep(5)
    assert client.heard() == ""
    await client.link.close()


@virtual_time
async def test_keys_are_told() -> None:
    """Each key that is dialled comes as the protocol's event."""
    provider = SpeakingProvider()
    client = await connected(provider)
    provider.dials("5#")
    assert [(await client.until("input_audio_buffer.dtmf_event_received"))["event"] for _ in range(2)] == ["5", "#"]
    await client.link.close()


async def test_a_refused_say_is_asked_for_again(turnlog: Kit) -> None:
    """The refusal reaches the engine with its code, and the say is spoken all the same."""
    provider = SpeakingProvider()
    provider.mishaps.refusals.append("conversation_already_has_active_response")
    async with turnlog.call(app, "hotel.desk", provider=provider) as call:
        await call.caller.hears(GREETING)
        assert provider.says == [GREETING, GREETING]


async def test_it_can_answer_a_turn_that_is_not_its_own(turnlog: Kit) -> None:
    """With races it answers although the session said not to; the caller hears the handler's answer."""
    provider = SpeakingProvider(reply="I am the model")
    provider.mishaps.races = True
    async with turnlog.call(app, "hotel.desk", provider=provider) as call:
        await call.caller.hears(GREETING)
        await call.caller.says("who is there")
        await call.caller.hears("you said who is there")
        assert "model" not in " ".join(utterance.heard for utterance in call.caller.heard)
        assert any(started.say is None for started in call.of(e.ResponseStarted))


async def test_connecting_can_fail(turnlog: Kit) -> None:
    """What stands in mishaps.connect is raised instead of connecting."""
    provider = SpeakingProvider()
    provider.mishaps.connect.append(LinkError("TL301", "no route"))
    async with turnlog.call(app, "hotel.desk", provider=provider) as call:
        call.may_fail = True
        assert (await call.ended()).reason == "provider_lost"


async def test_waiting_for_what_does_not_come_is_named(turnlog: Kit) -> None:
    """gets() fails with what was received instead."""
    async with turnlog.call(app, "hotel.desk") as call:
        with pytest.raises(AssertionError, match=r"got no 1\. response\.cancel within 5 s; it got: session\.update, response\.c"):
            await call.provider.gets("response.cancel", within_s=5)


async def test_a_model_answers_where_it_is_declared_to(turnlog: Kit) -> None:
    """With answers="model" the provider's own reply is what the caller hears."""
    chat = App("chat")

    @chat.session("desk", provider="openai", transport="websocket", answers="model")
    async def desk(session: RealtimeSession) -> None:
        async for _ in session.turns():
            pass

    async with turnlog.call(chat, "chat.desk", provider=SpeakingProvider(reply="we have rooms")) as call:
        await call.caller.gets("session.created")
        await call.caller.says("any rooms")
        await call.caller.hears("we have rooms")
