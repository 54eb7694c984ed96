"""`/metrics`: what Prometheus reads is what the logs hold."""

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

import turnlog
from tests.engine.living import Speaker, living
from tests.server.hosting import encode, hosted, receive, user_item
from turnlog.core import events as e
from turnlog.core.core import Staged
from turnlog.core.definition import SessionDefinition
from turnlog.core.errors import StoreError, TurnlogError
from turnlog.core.secrets import digest
from turnlog.server.figures import Buckets, Figures
from turnlog.server.settings import ServerSettings
from turnlog.store.access import ApiKey

S = 1_000_000_000
app = turnlog.App("hotel")


@app.tool
async def find_guest() -> str:
    """A tool that works."""
    return "ann"


@app.session("desk", provider="local", transport="in_process", modalities=["text"])
async def desk(session: turnlog.RealtimeSession) -> None:
    """Answer each turn with a guest."""
    async for turn in session.turns():
        await session.say(f"{turn.text} {await session.call('find_guest')}")


def samples(text: str) -> dict[tuple[str, ...], float]:
    """What Prometheus makes of the page: by name and the labels' values, the target's first."""
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    found: dict[tuple[str, ...], float] = {}
    for one in (one for family in families for one in family.samples):
        labels = dict(one.labels)
        target = [labels.pop("target")] if "target" in labels else []
        found[one.name, *target, *labels.values()] = one.value
    return found


async def test_the_page_counts_what_the_log_holds(tmp_path: Path) -> None:
    """Sessions, events by type, turns, says, calls, appends and latency; a gauge of sessions; for keys of all tenants."""
    async with hosted(app, tmp_path, settings=ServerSettings(keys=("k",))) as server:
        async with httpx.AsyncClient(base_url=server.url, headers={"X-API-Key": "k"}) as http:
            assert (await http.get("/metrics", headers={"X-API-Key": "guess"})).status_code == 401
            for id_, scope, tenant in (("start", "start", ""), ("of_one", "observe", "inn")):
                of_one = ApiKey(id=id_, name="", scopes=(scope,), tenant=tenant, created_ns=1)
                await server.store.access.add_key(digest(id_), of_one)
                assert (await http.get("/metrics", headers={"X-API-Key": id_})).status_code == 403
            headers = {"X-API-Key": "k"}
            async with connect(server.socket_url(), additional_headers=headers) as caller:
                await caller.send(encode({"type": "conversation.item.create", "item": user_item("hello")}))
                await caller.send(encode({"type": "response.create"}))
                await receive(caller, "response.done")
                session = await server.only_session()
                during = samples((await http.get("/metrics")).text)
                await caller.close()
            await server.ended(session)
            answer = await http.get("/metrics", headers={"Accept": "application/openmetrics-text"})
            after = samples((await http.get("/metrics")).text)
        log = await server.events(session)
    assert answer.headers["content-type"].startswith("application/openmetrics-text") and answer.text.endswith("# EOF\n")
    assert (during["turnlog_sessions", "hotel.desk"], after["turnlog_sessions", "hotel.desk"]) == (1, 0)
    assert after["turnlog_draining",] == 0
    kinds = {type(event).__name__ for event in log}
    counted = {kind: after["turnlog_events_total", kind] for kind in kinds}
    assert counted == {kind: sum(type(event).__name__ == kind for event in log) for kind in kinds}
    assert after["turnlog_sessions_started_total", "hotel.desk"] == 1
    assert after["turnlog_sessions_ended_total", "hotel.desk", "caller_gone"] == 1
    assert after["turnlog_turns_total", "hotel.desk", "text"] == 1
    assert after["turnlog_says_total", "hotel.desk", "played"] == 1
    assert after["turnlog_calls_total", "hotel.desk", "completed"] == 1
    assert after["turnlog_turn_latency_seconds_count", "hotel.desk"] == 1
    assert 0 < after["turnlog_turn_latency_seconds_sum", "hotel.desk"] < 10
    assert 1 < after["turnlog_append_seconds_count",] <= len(log)
    assert after["turnlog_append_seconds_bucket", "+Inf"] == after["turnlog_append_seconds_count",]
    assert after["process_cpu_seconds_total",] > 0


async def test_speech_and_its_answer_are_counted() -> None:
    """A spoken turn by its channel, the audio of both sides, and a wait that ends with the first audio."""
    figures = Figures()

    async def handler(session: turnlog.RealtimeSession) -> None:
        turn = await session.input()
        await (await session.say(turn.text)).settled()

    provider = Speaker(ms=40)
    async with living(handler, provider=provider, modalities=["audio"]) as alive:
        alive.engine.observers.add(figures)
        figures.appended(alive.session.id, [Staged(1, 0, -4, next(iter(alive.of(e.SessionStarted))))], 0.0)
        await alive.until(e.LinkReady)
        alive.caller.append(100)
        provider.hear("hello", "item_1")
        await alive.ended()
    assert figures.counts["turns", "hotel.desk", "audio"] == 1
    assert figures.counts["audio_ms", "hotel.desk", "provider"] == figures.counts["audio_ms", "hotel.desk", "delivered"] == 40
    assert figures.counts["audio_ms", "hotel.desk", "caller"] == 100
    assert sum(figures.turn_s["hotel.desk"].counts) == 1


def told(*events: tuple[float, e.Event]) -> Figures:
    """Figures of a session that saw these events at these seconds."""
    figures = Figures()
    definition = SessionDefinition(name="desk", provider="openai", transport="websocket", model="gpt-realtime-2.1")
    started = e.SessionStarted(session="s", target="hotel.desk", definition=definition)
    staged = [Staged(n, int(at_s * S), -1, event) for n, (at_s, event) in enumerate([(0.0, started), *events], 1)]
    figures.appended("s", staged, 0.001)
    return figures


def waits(figures: Figures) -> list[float]:
    """The number and the sum of the waits."""
    buckets = figures.turn_s.get("hotel.desk", Buckets(()))
    return [sum(buckets.counts), round(buckets.sum, 3)]


def test_a_wait_begins_with_the_end_of_the_speech() -> None:
    """The model answers before the words are known; a handler behind the turn; a button ends speech by its commit."""
    stopped, turn = e.SpeechStopped(item="i", audio_end_ms=1), e.TurnEnded(turn=1, item="i", text="hello")
    committed, audio = e.InputCommitted(item="i"), e.AudioStarted(response="r")
    model = (1.2, e.ResponseStarted(response="r"))
    assert waits(told((1.0, stopped), (1.0, committed), model, (1.5, audio), (2.0, turn), (2.5, audio))) == [1, 0.5]
    assert waits(told((1.0, stopped), (1.1, committed), (1.5, turn), (2.0, audio), (3.0, audio))) == [1, 1.0]
    assert waits(told((1.1, committed), (1.5, turn), (2.0, audio))) == [1, 0.9]
    assert waits(told((1.0, stopped), (1.2, e.TurnDiscarded(item="i", reason="echo")), (2.0, audio))) == [0, 0.0]
    assert waits(told((1.0, stopped), (1.4, audio), (1.5, turn))) == [0, 0.0]  # the end of what was being said before


def test_labels_do_not_grow_with_what_is_said() -> None:
    """A reason of the user's own is "other"; an odd usage counts nothing; speech that cuts is a barge-in, other cuts are not."""
    odd = e.ResponseEnded(response="r", status="completed", usage={"input_tokens": "many", "output_tokens": 7})
    cuts = [(1.0, e.PlayoutCut(response="r", reason=reason)) for reason in ("speech", "cancelled")]
    spoken = [(1.0, e.SaySpoken(say="s", requested="a", spoken="b", similarity=alike)) for alike in (0.1, 0.9)]
    refused = e.ToolRequested(response="r", item="i", call_id="c", name="none", arguments="{}", allowed=False)
    counts = told((1.0, odd), *cuts, *spoken, (1.0, refused), (2.0, e.SessionEnded(reason="fed up: 12"))).counts
    assert counts["sessions_ended", "hotel.desk", "other"] == 1
    assert counts["tokens", "hotel.desk", "openai", "gpt-realtime-2.1", "output"] == 7
    assert counts["tokens", "hotel.desk", "openai", "gpt-realtime-2.1", "input"] == 0
    assert (counts["barge_ins", "hotel.desk"], counts["say_mismatches", "hotel.desk"]) == (1, 1)
    assert counts["calls", "hotel.desk", "refused"] == 1


def test_a_session_without_an_end_is_told_apart() -> None:
    """failed where its log could not be written, left where it was left on purpose; nothing of it is remembered."""
    figures = told()
    figures.closed("s", StoreError("TL406", "the disk is full"))
    figures.closed("unknown", None)
    other = told()
    other.closed("s", TurnlogError("TL508", "left"))
    assert figures.counts["sessions_ended", "hotel.desk", "failed"] == 1
    assert other.counts["sessions_ended", "hotel.desk", "left"] == 1
    figures.appended("s", [Staged(9, S, -1, e.TurnEnded(turn=1, item="i", text=""))], 0.0)
    assert not figures.counts["turns", "hotel.desk", "audio"]
