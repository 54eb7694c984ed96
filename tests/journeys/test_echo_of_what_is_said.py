"""A caller without echo cancellation: its microphone hears its loudspeaker at -10 dB and 120 ms late, real engines listen."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import turnlog
from tests.journeys.phone import RATE, calling
from tests.journeys.test_interrupted_by_speech import TOUR
from tests.server.hosting import Hosted, hosted
from turnlog.core import events as e
from turnlog.transports.speech.engines import Speech
from turnlog.transports.speech.resample import read_audio

ECHO_DB = -10
app = turnlog.App("hotel")


async def desk(session: turnlog.RealtimeSession) -> None:
    """Talks, and then listens for a while."""
    for text in ("Welcome.", TOUR):
        said = await session.say(text)
        await said.settled()
    try:
        await session.input(timeout=2)
    except TimeoutError:
        return


for _name, _echo in (("default", None), ("half", "half_duplex"), ("aec", "client_aec")):
    app.session(_name, provider="local", transport="in_process", echo=_echo)(desk)


async def call(server: Hosted, session: str, interrupter: bytes = b"") -> list[Any]:
    """A caller with an echo; somebody speaks in the middle of the second say, if wanted. The log."""
    async with calling(server, f"hotel.{session}", "sockets", echo_db=ECHO_DB) as phone:
        if interrupter:
            await phone.until_played(3000, response=1)
            phone.says(interrupter)
        await phone.until_hung_up()
        assert len(phone.flushes) == len(phone.of("input_audio_buffer.speech_started"))
    (row,) = [row for row in await server.store.sessions() if row.target == f"hotel.{session}"]
    return await server.events(row.session)


def kinds(log: list[Any], *types: type[e.Event]) -> list[Any]:
    """The events of these types."""
    return [event for event in log if isinstance(event, types)]


async def test_an_echo_neither_interrupts_nor_is_a_turn(tmp_path: Path, speech: Speech) -> None:
    """With guard, the default here, and half duplex all is heard out; with client_aec the same echo cuts it and is a turn."""
    async with hosted(app, tmp_path, speech=speech) as server:
        guard, half, aec = await asyncio.gather(*(call(server, name) for name in ("default", "half", "aec")))
    for log in (guard, half):
        assert [event.status for event in kinds(log, e.SaySettled)] == ["played", "played"]
        assert kinds(log, e.PlayoutCut, e.SpeechConfirmed, e.TurnEnded) == []
    assert kinds(guard, e.SpeechStarted)  # the provider heard it
    assert {event.reason for event in kinds(guard, e.TurnDiscarded)} <= {"suspected echo"}
    assert not kinds(half, e.SpeechStarted)
    assert kinds(aec, e.PlayoutCut) and kinds(aec, e.TurnEnded)


async def test_a_person_interrupts_over_the_echo(
    tmp_path: Path, speech: Speech, cards: dict[Path, str], word_error_rate: Callable[[str, str], float]
) -> None:
    """Under guard a human voice over the echo cuts the say; the turn has the person's words, without most of the echo's."""
    path, words = next(iter(cards.items()))
    async with hosted(app, tmp_path, speech=speech) as server:
        log = await call(server, "default", read_audio(path, RATE))
    (cut,) = kinds(log, e.PlayoutCut)
    (turn,) = kinds(log, e.TurnEnded)
    print(f"heard as {turn.transcript!r}, the turn is {turn.text!r}, said was {words!r}")
    assert (cut.reason, cut.say, turn.interrupted) == ("speech", "say_2", ["say_2"])
    assert turn.transcript.lower().startswith("welcome")
    assert turn.transcript.endswith(turn.text)
    assert len(turn.text.split()) <= 6 and "ten of" in turn.text.lower()
