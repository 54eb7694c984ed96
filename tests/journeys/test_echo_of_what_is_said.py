"""A caller without echo cancellation: its microphone hears its loudspeaker at -10 dB and 120 ms late, real engines listen."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import turnlog
from tests.journeys.phone import RATE, calling, calmly
from tests.journeys.test_interrupted_by_speech import TOUR
from tests.server.hosting import Hosted, hosted
from turnlog.core import events as e
from turnlog.transports.speech.engines import Speech
from turnlog.transports.speech.resample import read_audio

pytestmark = pytest.mark.realtime

ECHO_DB = -10
CALM_MS = 150
app = turnlog.App("hotel")


async def desk(session: turnlog.RealtimeSession) -> None:
    """Talks, and then listens for a while."""
    for text in ("Welcome.", TOUR):
        said = await session.say(text)
        await said.settled()
    try:
        await session.input(timeout=8 if session.definition.name == "patient" else 2)
    except TimeoutError:
        return


for _name, _echo in (("default", None), ("patient", None), ("half", "half_duplex"), ("aec", "client_aec")):
    app.session(_name, provider="local", transport="in_process", echo=_echo)(desk)


class Call(NamedTuple):
    """A call that is over. late_ms: by how much the caller's clock was late at worst, which makes its echo as late."""

    log: list[Any]
    late_ms: float


async def call(server: Hosted, session: str, interrupter: bytes = b"") -> Call:
    """A caller with an echo; somebody speaks in the middle of the second say, if wanted."""
    async with calling(server, f"hotel.{session}", "sockets", echo_db=ECHO_DB) as phone:
        if interrupter:
            await phone.until_played(3000, response=1)
            phone.says(interrupter)
        await phone.until_hung_up()
        assert len(phone.flushes) == len(phone.of("input_audio_buffer.speech_started"))
    (row,) = [row for row in await server.store.sessions() if row.target == f"hotel.{session}"]
    return Call(await server.events(row.session), phone.late_ms)


async def in_real_time(hold: Callable[[Hosted], Awaitable[list[Call]]], folder: Path, speech: Speech) -> list[list[Any]]:
    """The logs of calls that were held while the machine did not stand still: guard knows echoes of up to 400 ms."""

    async def held(place: Path) -> tuple[list[Call], float]:
        async with hosted(app, place, speech=speech) as server:
            calls = await hold(server)
        return calls, max(one.late_ms for one in calls)

    calls, calm = await calmly(held, folder, CALM_MS)
    if not calm:
        pytest.skip(f"this machine stands still for more than {CALM_MS} ms again and again: no call is in real time")
    return [one.log for one in calls]


def kinds(log: list[Any], *types: type[e.Event]) -> list[Any]:
    """The events of these types."""
    return [event for event in log if isinstance(event, types)]


async def test_an_echo_neither_interrupts_nor_is_a_turn(tmp_path: Path, speech: Speech) -> None:
    """With guard, the default here, and half duplex all is heard out; with client_aec the same echo cuts it and is a turn."""

    async def hold(server: Hosted) -> list[Call]:
        return await asyncio.gather(*(call(server, name) for name in ("default", "half", "aec")))

    guard, half, aec = await in_real_time(hold, tmp_path, speech)
    for log in (guard, half):
        assert [event.status for event in kinds(log, e.SaySettled)] == ["played", "played"]
        assert kinds(log, e.PlayoutCut, e.SpeechConfirmed, e.TurnEnded) == []
    assert kinds(guard, e.SpeechStarted)  # the provider heard it
    assert {event.reason for event in kinds(guard, e.TurnDiscarded)} <= {"suspected echo"}
    assert not kinds(half, e.SpeechStarted)
    assert kinds(aec, e.PlayoutCut) and kinds(aec, e.TurnEnded)


async def test_a_person_interrupts_over_the_echo(tmp_path: Path, speech: Speech, librivox: dict[Path, str]) -> None:
    """Under guard a human voice over the echo cuts the say; the turn has the person's words, without most of the echo's."""
    path, words = next((path, said) for path, said in librivox.items() if said.endswith("been made amiable himself"))

    async def hold(server: Hosted) -> list[Call]:
        return [await call(server, "patient", read_audio(path, RATE))]

    (log,) = await in_real_time(hold, tmp_path, speech)
    (cut,) = kinds(log, e.PlayoutCut)
    (turn,) = kinds(log, e.TurnEnded)
    print(f"heard as {turn.transcript!r}, the turn is {turn.text!r}, said was {words!r}")
    assert (cut.reason, cut.say, turn.interrupted) == ("speech", "say_2", ["say_2"])
    assert len(turn.transcript) > len(turn.text)
    assert turn.transcript.endswith(turn.text)
    # The last words: those before may be read amiss, for the echo of what was just cut still lies over them.
    assert turn.text.lower().rstrip(".").endswith("made amiable himself")
    assert len(turn.text.split()) <= len(words.split()) + 4
