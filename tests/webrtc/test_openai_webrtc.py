"""A provider's line over WebRTC against stock aiortc: what is said arrives, what is spoken comes as by WebSocket."""

import asyncio
import base64
import hashlib
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from tests.webrtc.peers import LOOPBACK, level, tone
from tests.webrtc.scripted_calls import WORD_MS, ScriptedCall, ScriptedCalls, scripted_calls
from tests.webrtc.test_webrtc_ends import nothing_is_left
from turnlog.core.definition import SessionDefinition
from turnlog.core.errors import LinkClosed, LinkError, ProtocolError, TurnlogError
from turnlog.core.ports import Link
from turnlog.transports.providers.openai import OpenAIProvider
from turnlog.transports.realtime.client import ClientProtocol
from turnlog.transports.webrtc.peer import Peer

pytestmark = pytest.mark.realtime
OPENAI = SessionDefinition(name="s", provider="openai", transport="webrtc", model="gpt-realtime-2.1")


def provider_of(service: ScriptedCalls) -> OpenAIProvider:
    """The provider at this address, with a key."""
    return OpenAIProvider(base_url=service.url, api_key="sk-1", ice=LOOPBACK)


@asynccontextmanager
async def dialled(service: ScriptedCalls) -> AsyncIterator[tuple[Link, ScriptedCall]]:
    """A link that has been greeted, and the other end of it; no task of either is left."""
    before = asyncio.all_tasks()
    link = await provider_of(service).connect(OPENAI, "sess_1")
    try:
        assert (await next_of(link, "session.created"))["session"]["id"] == "sess_scripted"
        yield link, service.calls[-1]
    finally:
        await link.close()
        await service.calls[-1].close()
    assert asyncio.all_tasks() - before == set()


async def next_of(link: Link, type_: str) -> dict[str, Any]:
    """The next message of a type."""
    async with asyncio.timeout(10):
        while True:
            event: dict[str, Any] = json.loads(await link.receive())
            if event["type"] == type_:
                return event


async def all_until(link: Link, type_: str) -> list[dict[str, Any]]:
    """The messages up to one of a type."""
    got: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while not got or got[-1]["type"] != type_:
            got.append(json.loads(await link.receive()))
    return got


def append(pcm16: bytes) -> bytes:
    """input_audio_buffer.append."""
    return ClientProtocol().append_audio(base64.b64encode(pcm16))


async def test_a_call_says_who_calls_and_hears_what_is_spoken() -> None:
    """The model goes with the offer; a response's audio comes as deltas of its length, words among it, its ends behind it."""
    words = "The room is ready whenever you are, and breakfast is from seven."
    async with scripted_calls() as service, dialled(service) as (link, _):
        (asked,) = service.requests
        assert (asked["type"], asked["model"]) == ("realtime", "gpt-realtime-2.1")
        assert asked["headers"]["authorization"] == "Bearer sk-1"
        assert asked["headers"]["openai-safety-identifier"] == hashlib.sha256(b"sess_1").hexdigest()[:32]
        link.send(ClientProtocol().speak("say_1", 1, words))
        got = await all_until(link, "response.done")
    types = [event["type"] for event in got]
    audio = b"".join(base64.b64decode(event["delta"]) for event in got if event["type"] == "response.output_audio.delta")
    ms = len(audio) / 48
    assert len(words.split()) * WORD_MS - 60 <= ms <= len(words.split()) * WORD_MS + 160
    assert level(audio[4800:-9600]) == pytest.approx(9000 / 2, rel=0.15)  # a stock peer spreads mono over two channels at -3 dB
    last = len(types) - 1 - types[::-1].index("response.output_audio.delta")
    first = types.index("response.output_audio.delta")
    spoken = [n for n, type_ in enumerate(types) if type_ == "response.output_audio_transcript.delta"]
    assert "".join(got[n]["delta"] for n in spoken) == words
    assert first < spoken[1] < spoken[2] < last
    assert types[last + 1 :][-5:] == [
        *("response.output_audio.done", "response.output_audio_transcript.done", "response.content_part.done"),
        *("response.output_item.done", "response.done"),
    ]
    assert types.index("output_audio_buffer.started") < first


async def test_a_recording_that_is_sent_at_once_is_said_in_real_time_and_then_committed() -> None:
    """All of it is heard, in order, and the commit arrives behind its last sound."""
    async with scripted_calls() as service, dialled(service) as (link, call):
        link.send(append(tone(400) + bytes(48 * 200) + tone(400)))
        link.send(ClientProtocol().commit())
        link.send(b'{"type":"conversation.item.delete","item_id":"x"}')
        link.send(ClientProtocol().cancel("resp_1"))
        async with asyncio.timeout(10):
            await call.until("input_audio_buffer.commit")
            loud = [n for n, one in enumerate(call.heard) if one > 2000]
            await call.until("conversation.item.delete")
        assert [event["type"] for event in call.got] == [
            *("response.cancel", "input_audio_buffer.commit", "conversation.item.delete"),
        ]
        assert 36 <= len(loud) <= 44
        pauses = [after - before for before, after in itertools.pairwise(loud) if after - before > 1]
        assert len(pauses) == 1 and 8 <= pauses[0] <= 13


async def test_what_closes_no_audio_waits_for_none() -> None:
    """A commit of nothing, and one behind a clear, leave at once; a clear takes back what was not said."""
    async with scripted_calls() as service, dialled(service) as (link, call):
        link.send(ClientProtocol().commit())
        link.send(append(tone(2000)))
        link.send(ClientProtocol().clear())
        link.send(ClientProtocol().commit())
        async with asyncio.timeout(1):
            await call.until("input_audio_buffer.commit", 2)
        assert sum(one > 2000 for one in call.heard) < 10


async def test_minutes_of_audio_that_pile_up_end_the_link() -> None:
    """A caller that sends faster than it is said is cut off by name, not by memory."""
    async with scripted_calls() as service, dialled(service) as (link, _):
        minute = append(b"\x00\x20" * (24 * 60_000))
        with pytest.raises(LinkClosed, match="wait to be said in real time") as caught:
            for _ in range(6):
                link.send(minute)
        assert caught.value.close_code == 1008
        with pytest.raises(LinkClosed, match="wait to be said"):
            link.send(b'{"type":"x"}')
        with pytest.raises(LinkClosed, match="wait to be said"):
            await next_of(link, "x")


async def test_a_clear_stops_what_is_played() -> None:
    """Audio stops within a moment, the response ends, and the words that nobody heard stand behind its end."""
    words = " ".join(["word"] * 30)
    async with scripted_calls() as service, dialled(service) as (link, _):
        link.send(ClientProtocol().speak("say_1", 1, words))
        begun = await next_of(link, "response.output_audio.delta")
        link.send(b'{"type":"output_audio_buffer.clear"}')
        got = await all_until(link, "response.done")
        behind = [json.loads(await link.receive())["type"] for _ in range(2)]
    audio = [event for event in got if event["type"] == "response.output_audio.delta"]
    assert len(audio) * 20 < 400
    assert begun["response_id"] == got[-1]["response"]["id"]
    assert set(behind) == {"response.output_audio_transcript.delta"}


async def test_a_provider_that_hangs_up_ends_the_link() -> None:
    """The reason is told, and nothing of the call is left."""
    async with scripted_calls() as service, dialled(service) as (link, call):
        await call.close()
        with pytest.raises(LinkClosed, match="closed") as caught:
            await next_of(link, "never")
        assert caught.value.close_code == 1006


async def test_binary_is_no_message() -> None:
    """A provider that sends it is left with 1003, as over a WebSocket."""
    async with scripted_calls() as service, dialled(service) as (link, call):
        assert call._channel is not None
        call._channel.send(b"\x00\x01")
        with pytest.raises(LinkClosed, match="TL304") as caught:
            await next_of(link, "never")
        assert caught.value.close_code == 1003


@pytest.mark.parametrize(
    ("answer", "code", "kind"),
    [
        (PlainTextResponse("no", 401), "TL303", LinkError),
        (PlainTextResponse("busy", 503), "TL301", LinkError),
        (PlainTextResponse("hello", 201, {"Location": "/v1/realtime/calls/rtc_9"}), "TL310", ProtocolError),
    ],
)
async def test_a_call_that_is_not_taken_is_named_and_leaves_nothing(
    answer: PlainTextResponse, code: str, kind: type[TurnlogError]
) -> None:
    """Refused, unreachable or answered with no SDP; one that was answered is hung up again."""
    before = asyncio.all_tasks()
    async with scripted_calls() as service:
        service.answers.append(answer)
        with pytest.raises(kind) as caught:
            await provider_of(service).connect(OPENAI, "sess_1")
        assert caught.value.code == code
        assert service.hung_up == (["rtc_9"] if code == "TL310" else [])
    assert asyncio.all_tasks() == before


async def test_a_call_of_which_no_connection_comes_is_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answered, and then nobody is there: the error says where to look, and the provider is not left with a call."""
    monkeypatch.setattr(Peer.__init__, "__kwdefaults__", {**(Peer.__init__.__kwdefaults__ or {}), "connect_s": 0.3})
    answer = ScriptedCall.answer

    async def answer_and_leave(call: ScriptedCall, offer: str) -> str:
        sdp = await answer(call, offer)
        await call.close()
        return sdp

    monkeypatch.setattr(ScriptedCall, "answer", answer_and_leave)
    async with nothing_is_left(), scripted_calls() as service:
        with pytest.raises(LinkError, match=r"no connection came of it: not connected within 0\.3 s") as caught:
            await provider_of(service).connect(OPENAI, "sess_1")
        assert service.hung_up == ["rtc_1"]
    assert (caught.value.code, "TURNLOG_ICE_SERVERS" in caught.value.hint) == ("TL301", True)


async def test_an_answer_without_a_data_channel_is_none_of_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audio alone is no Realtime session."""
    answer = ScriptedCall.answer

    async def answer_audio_only(call: ScriptedCall, offer: str) -> str:
        sdp = await answer(call, offer)
        return sdp[: sdp.index("m=application")]

    monkeypatch.setattr(ScriptedCall, "answer", answer_audio_only)
    async with nothing_is_left(), scripted_calls() as service:
        with pytest.raises(LinkError, match="takes no data channel"):
            await provider_of(service).connect(OPENAI, "sess_1")
        assert service.hung_up == ["rtc_1"]
