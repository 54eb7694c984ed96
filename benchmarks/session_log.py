"""The log of a made-up session in the proportions of a real one: mostly wire records, turns, says and media among them."""

import time
from collections.abc import Iterator
from pathlib import Path

from paced_server import turn

from turnlog.core import events as e
from turnlog.core.codec import encode
from turnlog.core.commands import Input, Say, Site
from turnlog.core.definition import define_session
from turnlog.core.ports import Draft, SessionRow
from turnlog.store import open_store

__all__ = ["SESSION", "session_events", "write_log"]

SESSION = "bench"
SITE = Site("desk.py", 12)
WORDS = "Breakfast is from seven to ten, in the garden."
CONTROL = [frame.head for frame in turn(1) if frame.tail is None]
BATCH = 1000


def session_events() -> Iterator[e.Event]:
    """The events of a session that never ends; some 60 a turn."""
    definition = define_session("desk", provider="openai", transport="websocket")
    yield e.SessionStarted(session=SESSION, target="bench.desk", definition=definition, python="3.11")
    yield e.LinkOpened(link="c1", side="caller", transport="websocket")
    yield e.LinkOpened(link="p1", side="provider", transport="websocket")
    yield e.ConfigurationDispatched(link="p1")
    yield e.LinkReady(link="p1")
    number = 0
    while True:
        number += 1
        yield from one_turn(number)


def one_turn(number: int) -> Iterator[e.Event]:
    """A spoken turn, the say that answers it, and all that passed on the wire meanwhile."""
    item, say, response = f"item_{number:017d}", f"say_{2 * number}", f"resp_{number:017d}"
    yield e.InputRequested(index=2 * number - 1, command=Input(), site=SITE)
    heard: list[e.Event] = [
        e.SpeechStarted(item=item, audio_start_ms=number * 9000),
        e.SpeechStopped(item=item, audio_end_ms=number * 9000 + 2000),
        e.InputCommitted(item=item),
        e.InputTranscribed(item=item, transcript="When is breakfast?"),
    ]
    for n, event in enumerate(heard):
        yield from media(number, n, "c1.in", "p1.out")
        yield e.TransportReceived(link="p1", n=number * 50 + n, data=CONTROL[n])
        yield event
        yield e.TransportSent(link="c1", n=number * 50 + n, data=CONTROL[n])
    yield e.TurnEnded(turn=number, item=item, text="When is breakfast?", transcript="When is breakfast?")
    yield e.SayRequested(index=2 * number, say=say, command=Say(text=WORDS), site=SITE)
    yield e.SayDispatched(say=say, attempt=1, link="p1", text=WORDS)
    yield e.TransportSent(link="p1", n=number, data=CONTROL[5])
    yield e.ResponseStarted(response=response, say=say, attempt=1)
    yield e.AudioStarted(response=response)
    for n, data in enumerate(CONTROL[6:]):
        yield e.TransportReceived(link="p1", n=number * 50 + 10 + n, data=data)
        yield e.TransportSent(link="c1", n=number * 50 + 10 + n, data=data)
    for n in range(8):
        yield from media(number, 10 + n, "p1.in", "c1.out")
    yield e.ResponseEnded(response=response, status="completed", generated_ms=2800, transcript=WORDS, usage={"total_tokens": 253})
    yield e.PlayoutEnded(response=response)
    yield e.SaySettled(say=say, status="played", generated_ms=2800, heard_ms=2800, source="clock", heard_text=WORDS)


def media(number: int, n: int, *tracks: str) -> Iterator[e.Event]:
    """200 ms of audio on each track."""
    for track in tracks:
        segment = number * 20 + n
        yield e.MediaRecorded(
            track=track, n=segment, duration_ms=200, digest=bytes(32), messages=10, first=segment * 10, peaks=bytes(20)
        )


async def write_log(path: Path, count: int) -> None:
    """Write `count` events into a new store. The segments that MediaRecorded names are left out: folds never read them."""
    store = open_store(path)
    row = SessionRow(SESSION, "", "bench.desk", "openai", "websocket", "active", "3.11", "0", 0, 0, time.time_ns(), None)
    head = await store.create(row)
    drafts = []
    for n, event in zip(range(count), session_events(), strict=False):
        name, version, data = encode(event, n.to_bytes(16, "little"))
        drafts.append(Draft(name, version, 1_000_000_000 + n * 20_000_000, e.Root.WIRE, data))
        if len(drafts) == BATCH or n == count - 1:
            head = await store.append(head, drafts)
            drafts = []
    await store.close()
