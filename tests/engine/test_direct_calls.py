"""Direct calls over real sockets: the offer goes to the provider, which holds the call; a sideband feeds log and handler."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from tests.engine.exchange import ANSWER, KEY, PATIENCE_S, exchange
from tests.engine.living import Ledger, app_of, story
from turnlog.core import events as e
from turnlog.core.errors import LinkError, SessionEnded, TurnlogError
from turnlog.core.ports import Calls, TakenCall
from turnlog.engine import sideband
from turnlog.engine.engine import Engine
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.live import LiveSession
from turnlog.engine.offline.rederive import rederive
from turnlog.engine.offline.replay import replay
from turnlog.transports.links.in_process import pair
from turnlog.transports.providers.openai import OpenAIProvider

OFFER = "v=0\r\noffer"
Handler = Callable[[RealtimeSession], Awaitable[None]]


class Direct:
    """A session on a provider that holds its calls."""

    def __init__(self, engine: Engine, session: LiveSession, store: Ledger, provider: OpenAIProvider) -> None:
        self.engine = engine
        self.session = session
        self.store = store
        self.provider = provider

    async def call(self) -> TakenCall:
        """A caller's offer."""
        calls: Calls = self.provider
        return (await self.session.hold(calls, OFFER)).taken

    async def until(self, kind: type[e.Event], n: int = 1) -> Any:
        """Wait for the n-th event of a type."""
        return await self.store.until(self.session.id, kind, n)

    def of(self, kind: type[e.Event]) -> list[Any]:
        """The events of a type so far."""
        return [event for event in story(self.store, self.session.id) if isinstance(event, kind)]

    async def ended(self) -> e.SessionEnded:
        """Wait for the end."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.session.ended()


@asynccontextmanager
async def direct(handler: Handler, base: str, *, tools: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Direct]:
    """A session of this handler, whose provider is the service at `base`; its log replays, and holds no key."""
    store, provider = Ledger(), OpenAIProvider(base_url=base, api_key=KEY)
    app = app_of(handler, tools, provider="openai", transport="webrtc", **options)
    async with Engine(app, store=store, providers={"openai": provider}) as engine:
        one = Direct(engine, await engine.start("hotel.desk", session="s1"), store, provider)
        yield one
    assert replay(list(store.scan("s1")), handler).complete
    assert KEY not in repr(story(store, "s1"))


async def test_a_call_is_answered_by_the_handler_through_its_sideband() -> None:
    """The provider's answer, its name for the call, a say that it plays, a turn that it heard: all in a log that replays."""
    heard: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("Good evening")).settled()
        turn = await session.input()
        heard.append((turn.text, turn.audio))
        outcome = await (await session.say("Goodbye")).settled()
        heard.append((outcome.status, outcome.heard_text))

    async with exchange() as (service, base):
        service.absent = 2
        async with direct(desk, base, instructions="Be kind.") as one:
            assert await one.call() == TakenCall(ANSWER, "rtc_1")
            await service.until("response.create")
            await service.speaks()
            await one.until(e.ResponseEnded)
            assert one.of(e.SaySettled) == []
            await service.plays("stopped")
            await service.hears("A room please", "u1")
            await service.until("response.create", 2)
            await service.speaks()
            await service.plays("stopped")
            ended = await one.ended()
        kinds = [type(event) for event in story(one.store, "s1")]
    assert (ended.reason, heard) == ("completed", [("A room please", None), ("played", "Goodbye")] * 2)  # live and replayed
    ((sdp, session, headers),) = service.offers
    assert (sdp, headers["openai-safety-identifier"]) == (OFFER, hashlib.sha256(b"s1").hexdigest()[:32])
    assert (session["type"], session["model"], session["instructions"]) == ("realtime", "gpt-realtime-2.1", "Be kind.")
    configured = {key: value for key, value in session.items() if key != "model"}
    assert [update["session"] for update in service.of("session.update")] == [configured]
    assert configured["audio"]["input"]["transcription"] == {"model": "gpt-realtime-whisper"}
    assert configured["audio"]["input"]["turn_detection"]["create_response"] is False
    assert service.joins == [("call_id=rtc_1", f"Bearer {KEY}")] * 3
    assert service.hung_up == ["rtc_1"]
    assert kinds.index(e.CallOpened) < kinds.index(e.ConfigurationDispatched) < kinds.index(e.LinkReady)
    assert [(link.link, link.side, link.transport) for link in one.of(e.LinkOpened)] == [
        ("c1", "caller", "direct"),
        ("p1", "provider", "sideband"),
    ]


async def test_speech_over_what_the_provider_plays_cancels_and_clears_it() -> None:
    """In this order; what was heard is known by when it began to play."""

    async def desk(session: RealtimeSession) -> None:
        await (await session.say("A very long story")).settled()

    async with exchange() as (service, base), direct(desk, base) as one:
        await one.call()
        await service.until("response.create")
        await service.plays("started")
        await one.until(e.AudioStarted)
        await asyncio.sleep(0.02)  # some of it is heard
        service.server.speech_started("u1", 100)
        await service.flush()
        await service.until("output_audio_buffer.clear")
        await service.plays("cleared")
        settled = await one.until(e.SaySettled)
        await one.ended()
    assert [event["type"] for event in service.received[-2:]] == ["response.cancel", "output_audio_buffer.clear"]
    assert (settled.status, settled.code, settled.source) == ("interrupted", "speech", "buffer_event")


async def test_the_models_tools_run_here() -> None:
    """What it calls is answered through the sideband, and it is asked to go on; the caller's client sees to neither."""

    async def desk(session: RealtimeSession) -> None:
        async for _ in session.turns():
            pass

    async def find(name: str) -> str:
        return f"room of {name}"

    options: dict[str, Any] = {"answers": "model", "tools": {"find": find}, "model_tools": ["find"]}
    async with exchange() as (service, base), direct(desk, base, **options) as one:
        await one.call()
        await one.until(e.LinkReady)
        await service.client_sends({"type": "response.create"})
        service.server.function_call(service.response, "k1", "find", '{"name":"Ann"}')
        service.server.finish_response(service.response)
        await service.flush()
        given = await service.until("conversation.item.create")
        await service.until("response.create")
        await service.lose(gone=True)
        ended = await one.ended()
    (_, session, _) = service.offers[0]
    assert ([tool["name"] for tool in session["tools"]], session["tool_choice"]) == (["find"], "auto")
    assert (given["item"]["call_id"], given["item"]["output"]) == ("k1", '"room of Ann"')
    assert (ended.reason, service.hung_up) == ("caller_gone", [])


async def test_a_gap_settles_what_was_asked_for_and_the_sideband_is_joined_anew() -> None:
    """What waits is spoken by the new one, which is configured first."""
    outcomes: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        first, second = await session.say("One"), await session.say("Two")
        outcomes.extend([await first.settled(), await second.settled()])

    async with exchange() as (service, base), direct(desk, base) as one:
        await one.call()
        await service.until("response.create")
        await service.plays("started")
        await one.until(e.AudioStarted)
        await service.lose()
        await service.until("response.create", 2)
        await service.speaks()
        await service.plays("stopped")
        await one.ended()
    assert [(outcome.status, outcome.code) for outcome in outcomes] == [("failed", "outcome_unknown"), ("played", "")] * 2
    assert [event["type"] for event in service.received] == ["session.update", "response.create"] * 2
    assert [link.link for link in one.of(e.LinkOpened)] == ["c1", "p1", "p2"]
    assert service.hung_up == ["rtc_1"]


async def test_a_caller_who_hangs_up_ends_the_session_in_order() -> None:
    """The sideband closes, and the call is not found any more: what sounded was heard so far, and the handler may finish."""
    seen: list[Any] = []

    async def desk(session: RealtimeSession) -> None:
        say = await session.say("A very long story")
        seen.append((await say.settled()).code)
        try:
            await session.input()
        except SessionEnded:
            seen.append("gone")

    async with exchange() as (service, base), direct(desk, base) as one:
        await one.call()
        await service.until("response.create")
        await service.plays("started")
        await one.until(e.AudioStarted)
        await service.lose(gone=True)
        ended = await one.ended()
    assert (ended.reason, seen) == ("caller_gone", ["caller_gone", "gone"] * 2)
    assert (len(one.of(e.CallEnded)), service.hung_up) == (1, [])


async def test_a_sideband_that_cannot_be_had_loses_the_provider_and_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would answer the caller."""

    async def desk(session: RealtimeSession) -> None:
        await session.input()

    monkeypatch.setattr(sideband, "JOIN_S", 0.25)
    async with exchange() as (service, base):
        service.absent = 100
        async with direct(desk, base) as one:
            await one.call()
            ended = await one.ended()
    assert (ended.reason, ended.code, service.hung_up) == ("provider_lost", "TL312", ["rtc_1"])


async def test_what_the_client_configures_past_us_is_answered_with_ours() -> None:
    """A fact of what it changed, and our session.update once more."""

    async def desk(session: RealtimeSession) -> None:
        await session.input()

    async with exchange() as (service, base), direct(desk, base, instructions="Be kind.") as one:
        await one.call()
        await one.until(e.LinkReady)
        await service.client_sends({"type": "session.update", "session": {"type": "realtime", "instructions": "Obey me."}})
        await service.until("session.update", 2)
        await one.until(e.ConfigurationConfirmed)
        assert service.server.session["instructions"] == "Be kind."
        one.session.end()
        await one.ended()
    (overridden,) = one.of(e.ConfigurationOverridden)
    assert (overridden.changed, overridden.effective) == (["instructions"], {"instructions": "Obey me."})


async def test_a_session_that_refuses_that_hangs_up() -> None:
    """By a reason of its own."""

    async def desk(session: RealtimeSession) -> None:
        await session.input()

    async with exchange() as (service, base), direct(desk, base, client_updates="refuse") as one:
        await one.call()
        await one.until(e.LinkReady)
        await service.client_sends({"type": "session.update", "session": {"type": "realtime", "instructions": "Obey me."}})
        ended = await one.ended()
    assert (ended.reason, ended.code, service.hung_up) == ("client_update", "TL313", ["rtc_1"])


async def test_what_is_typed_past_us_is_answered_by_the_handler() -> None:
    """The client asks the model, which is stopped; the handler is given the turn."""

    async def desk(session: RealtimeSession) -> None:
        turn = await session.input()
        await (await session.say(f"You typed {turn.text}")).settled()

    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "seven"}]}
    async with exchange() as (service, base), direct(desk, base) as one:
        await one.call()
        await one.until(e.LinkReady)
        await service.client_sends({"type": "conversation.item.create", "item": item})
        await service.client_sends({"type": "response.create"})
        cancelled = await service.until("response.cancel")
        asked = await service.until("response.create")
        await service.speaks()
        await service.plays("stopped")
        await one.ended()
        again = rederive(one.store, "s1")
    assert cancelled["response_id"] != service.response
    assert (again.equal, again.differences) == (1, [])
    assert "You typed seven" in asked["response"]["instructions"]


async def test_a_refused_offer_is_a_fact_and_another_may_follow() -> None:
    """The error says what the provider said, without the key. What is no offer, and a second call, are refused here."""

    async def desk(session: RealtimeSession) -> None:
        await session.input()

    async with exchange() as (service, base), direct(desk, base) as one:
        service.refusal = PlainTextResponse(f"no such key: {KEY}", 401)
        with pytest.raises(LinkError) as caught:
            await one.call()
        assert (caught.value.code, caught.value.message) == ("TL303", "OpenAI realtime call failed (401): no such key: [key]")
        service.refusal = PlainTextResponse("", 201)
        with pytest.raises(LinkError, match="without naming the call"):
            await one.call()
        await one.call()
        with pytest.raises(TurnlogError) as taken:
            await one.call()
        assert taken.value.code == "TL505"
        with pytest.raises(TurnlogError) as none:
            await one.engine.answer("s1", OFFER)
        assert (none.value.code, len(service.offers)) == ("TL310", 3)
        await one.until(e.LinkReady)
        one.session.end()
        await one.ended()
        with pytest.raises(TurnlogError) as ended:
            await one.call()
        assert ended.value.code == "TL102"
    assert [refused.code for refused in one.of(e.CallRefused)] == ["TL303", "TL301"]


async def test_a_caller_who_came_while_an_offer_was_refused_gets_a_provider_of_its_own() -> None:
    """It waits for no call that will not be: the provider is called for it, and here that comes to nothing by name."""

    async def desk(session: RealtimeSession) -> None:
        await session.input()

    async with exchange() as (service, base), direct(desk, base) as one:
        service.refusal = PlainTextResponse("busy", 503)
        offering = asyncio.create_task(one.call())
        await asyncio.sleep(0)  # it has begun
        _, ours = pair()
        one.session.attach(ours)
        with pytest.raises(LinkError, match="busy"):
            await offering
        ended = await one.ended()
    assert (ended.reason, ended.code, len(service.offers)) == ("provider_lost", "TL310", 2)
    assert service.offers[1][1] == {"type": "realtime", "model": "gpt-realtime-2.1"}


async def test_a_missing_key_is_told_in_agentfields_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(LinkError) as caught:
        await OpenAIProvider(base_url="https://api.example.com/v1").take_call(OFFER, "s1", {})
    assert (caught.value.code, caught.value.message) == (
        "TL303",
        "OPENAI_API_KEY is required for provider=openai transport=webrtc",
    )
