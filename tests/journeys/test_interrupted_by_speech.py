"""A say of more than ten seconds, cut short by recorded words: with real engines, in real time, over all kinds of links."""

import asyncio
import math
import statistics
from pathlib import Path
from typing import Any

import pytest

import turnlog
from benchmarks.bench_heard_words import TEXTS, TellingSynthesiser
from tests.journeys.phone import PER_MS, RATE, Flush, Phone, calling, calmly, recording
from tests.server.hosting import Hosted, hosted
from turnlog.core import events as e
from turnlog.core.explain import Trail, why_stopped
from turnlog.transports.speech.engines import Speech

pytestmark = pytest.mark.realtime

TOUR = (
    "Let me tell you about the house. The garden behind it has four hundred old trees, and the restaurant looks over the "
    "harbour, where fishing boats come in every morning before six. The oldest tree was planted by the first owner's daughter."
)
POOL = "The pool is on the roof."
MOST_MS = 100  # of audio that may reach a caller behind the detection
CALM_MS = 100  # over WebRTC the provider's audio comes in real time and nothing is ahead: what stands still is heard

app = turnlog.App("hotel")
heard: list[tuple[turnlog.SayOutcome, turnlog.SessionTurn]] = []


async def tour(session: turnlog.RealtimeSession) -> None:
    """Talks for long; who interrupts gets an answer."""
    said = await session.say(TOUR)
    turn = await session.input()
    heard.append((await said.settled(), turn))
    answer = await session.say(POOL)
    await answer.settled()


async def news(session: turnlog.RealtimeSession) -> None:
    """Tells one thing after another, each until it is interrupted."""
    for text in NEWS[int(session.definition.name[-1])]:
        await session.say(text)
        await session.input()


for _name, _echo in (("default", None), ("aec", "client_aec")):
    app.session(_name, provider="local", transport="in_process", echo=_echo)(tour)
app.session("called", provider="openai", transport="webrtc")(tour)

LONG = [text for text in TEXTS if len(text) > 100]
PLACES_MS = [(700, 5900, 3100), (1500, 4700, 2300), (5300, 900, 3900, 2700)]  # where each call's says are interrupted
NEWS = [LONG[0:3], LONG[3:6], LONG[6:10]]
for _n in range(len(NEWS)):
    app.session(f"news{_n}", provider="local", transport="in_process")(news)


def test_the_say_is_a_long_one(speech: Speech) -> None:
    """Ten seconds at least, as the voice speaks it."""
    assert speech.synthesiser is not None
    assert sum(map(len, speech.synthesiser.synthesise(TOUR))) / 2 / speech.synthesiser.rate > 10


@pytest.mark.parametrize(
    ("wire", "session"), [("sockets", "default"), ("sockets", "aec"), ("in_process", "default"), ("sockets", "called")]
)
async def test_a_say_is_cut_at_once(tmp_path: Path, speech: Speech, wire: str, session: str) -> None:
    """Behind the detection at most 100 ms of samples reach the caller; the say is interrupted, the words are the next turn."""

    async def held(folder: Path) -> tuple[tuple[Phone, float, list[Any], Trail], float]:
        call = await hold(folder, speech, wire, session)
        return call, call[0].late_ms

    (phone, begun_ms, log, trail), calm = await calmly(held, tmp_path, CALM_MS if session == "called" else math.inf)
    if not calm:
        pytest.skip(f"this machine stands still for more than {CALM_MS} ms again and again: no call is in real time")
    first, answer = phone.of("response.done")
    (flush,) = phone.flushes
    (cut,) = [event for event in log if isinstance(event, e.PlayoutCut) and event.reason == "speech"]
    print(f"{wire} {session}: stopped {flush.at_ms - begun_ms:.0f} ms behind the voice's first sound, {flush}")
    print(f"  a tick of the caller's clock was {phone.late_ms:.0f} ms late at worst")
    assert flush.response == first["response"]["id"]
    assert phone.late.get(flush.response, 0) == 0  # of what the engine sent
    assert flush.played_ms - cut.heard[0].heard_ms <= MOST_MS  # of what was audible
    assert flush.dropped_ms <= 300 + MOST_MS  # the lead, in pieces of at most so much
    assert (first["response"]["status"], answer["response"]["status"]) == ("cancelled", "completed")
    outcome, turn = heard[0]
    assert (outcome.status, outcome.code) == ("interrupted", "speech")
    assert TOUR.startswith(outcome.heard_text) and 2 <= len(outcome.heard_text.split()) <= 12
    assert abs(outcome.heard_ms - flush.played_ms) <= outcome.error_ms
    assert "swimming pool" in turn.text.lower()
    assert turn.metadata["interrupted"] == ["say_1"]
    assert [event.say for event in log if isinstance(event, e.SaySettled)] == ["say_1", "say_3"]
    told = why_stopped(trail, "say_1")
    assert [step.type for step in told.chain[:3]] == ["SaySettled", "PlayoutEnded", "PlayoutCut"]
    assert (told.chain[-1].type, told.outside) in (("TransportReceived", "wire"), ("SpeechSustained", "wire"))


async def hold(folder: Path, speech: Speech, wire: str, session: str) -> tuple[Phone, float, list[Any], Trail]:
    """One call, interrupted after 1.6 s: its caller, when that began to speak, and the log."""
    heard.clear()
    async with hosted(app, folder, speech=speech) as server:
        async with calling(server, f"hotel.{session}", wire) as phone:
            await phone.until_played(1600)
            begun_ms = phone.now_ms
            phone.says(recording("3-pool"))
            await phone.until_done(2)
            await phone.until_heard_out()
        name = await server.only_session()
        log = await server.events(name)
        trail = Trail.of([recorded async for recorded in server.store.read(name)])
    return phone, begun_ms, log, trail


async def test_heard_text_is_what_was_heard(tmp_path: Path, speech: Speech) -> None:
    """At ten cuts heard_text is 2 words (median), at worst 4, from the synthesiser's sample at which the caller stopped."""
    voice = TellingSynthesiser()
    telling = Speech(
        engines=speech.engines, voice_activity=speech.voice_activity, recogniser=speech.recogniser, synthesiser=voice
    )
    async with hosted(app, tmp_path, speech=telling) as server:
        cuts = await asyncio.gather(*(interrupted(server, n) for n in range(len(NEWS))))
        logs = {row.target: await server.events(row.session) for row in await server.store.sessions()}
    errors = []
    for n, flushes in enumerate(cuts):
        settled = [one for one in logs[f"hotel.news{n}"] if isinstance(one, e.SaySettled)]
        for text, (flush, audio), outcome in zip(NEWS[n], flushes, settled, strict=True):
            ends, _ = voice.spoken[text]
            truth = sum(end <= flush.played_ms for end in ends)
            errors.append(len(outcome.heard_text.split()) - int(truth))
            read = await asyncio.to_thread(speech.recogniser.recognise, audio, RATE) if speech.recogniser else ""
            print(f"cut at {flush.played_ms:.0f} ms: {truth} words spoken")
            print(f"  heard_text {errors[-1]:+d}: {outcome.heard_text}\n  a recogniser:  {read}")
            assert outcome.status == "interrupted" and text.startswith(outcome.heard_text)
    off = sorted(map(abs, errors))
    print(f"words off: {off}, median {statistics.median(off):g}")
    assert len(off) == 10
    assert statistics.median(off) <= 2
    assert off[-1] <= 4


async def interrupted(server: Hosted, n: int) -> list[tuple[Flush, bytes]]:
    """One call: each say interrupted at its place. Where the caller stopped, and what it had played of the say."""
    async with calling(server, f"hotel.news{n}", "sockets") as phone:
        for at, place_ms in enumerate(PLACES_MS[n]):
            await phone.until_played(place_ms, response=at)
            phone.says(recording("2-breakfast"))
            await phone.until_done(at + 1)
        await phone.until_hung_up()
    return [(flush, bytes(phone.got[flush.response][: round(flush.played_ms) * PER_MS])) for flush in phone.flushes]
