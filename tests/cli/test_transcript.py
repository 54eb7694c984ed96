"""The transcript of a log while it grows."""

import asyncio
import os
import time

from turnlog.cli.transcript import Progress, Transcript
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.codec import encode
from turnlog.core.definition import define_session
from turnlog.core.ports import Draft, Head, SessionRow
from turnlog.store.memory import MemoryStore

SITE = c.Site("x.py", 1)
STARTED = e.SessionStarted(
    session="s", target="hotel.desk", definition=define_session("desk", provider="local", transport="in_process")
)


def asks(index: int) -> e.Event:
    """input()."""
    return e.InputRequested(index=index, command=c.Input(), site=SITE)


def says(index: int, say: str) -> e.Event:
    """say()."""
    return e.SayRequested(index=index, say=say, command=c.Say(text=f"words of {say}"), site=SITE)


def test_a_conversation_is_idle_when_all_was_heard_and_the_handler_waits() -> None:
    """Each of speech, a committed input, an unanswered turn and a say under way keeps it from being idle."""
    progress = Progress()
    story = [
        (says(1, "a"), False),
        (asks(2), False),
        (e.SaySettled(say="a", status="played"), True),
        (e.SpeechStarted(item="i", audio_start_ms=0), False),
        (e.InputCommitted(item="i"), False),
        (e.TurnEnded(turn=1, item="i", text="hello"), False),
        (asks(3), True),
        (e.SpeechStarted(item="j", audio_start_ms=900), False),
        (e.TurnDiscarded(item="j", reason="blank"), True),
    ]
    for event, idle in story:
        progress.apply(event)
        assert progress.idle == idle, event
    assert progress.turns == 1


async def append(store: MemoryStore, head: Head, *events: e.Event) -> Head:
    """Append events, a millisecond apart from each other."""
    at_ns = 1_000_000_000 + head.seq * 1_000_000
    drafts = []
    for n, event in enumerate(events):
        type_, version, data = encode(event, os.urandom(16))
        drafts.append(Draft(type_, version, at_ns + n * 1_000_000, e.Root.API, data))
    return await store.append(head, drafts)


async def test_lines_are_written_once_with_their_time() -> None:
    """What is appended is written in order, ms since the start; what has no line for people is passed over."""
    store = MemoryStore()
    row = SessionRow("s", "", "hotel.desk", "local", "in_process", "active", "3.11", "", 1, 0, 1, None)
    head = await store.create(row)
    lines: list[tuple[int, str, str]] = []
    script = Transcript(store, "s", lambda *line: lines.append(line))
    head = await append(store, head, STARTED, says(1, "a"), asks(2))
    await script.catch_up()
    head = await append(store, head, e.SaySettled(say="a", status="played", heard_ms=700))
    await script.note(1_004_000_000, "caller", "speaks")
    await script.catch_up()
    assert lines == [
        (0, "session", "s: hotel.desk, local in_process"),
        (1, "desk", '"words of a"'),
        (3, "desk", "  played, 700 ms"),
        (4, "caller", "speaks"),
    ]


async def test_waiting_ends_when_the_log_brings_it_or_the_limit_comes() -> None:
    """until() is True once the condition holds by a later append, False at its limit."""
    store = MemoryStore()
    head = await store.create(SessionRow("s", "", "t", "local", "in_process", "active", "3.11", "", 1, 0, 1, None))
    head = await append(store, head, STARTED)
    script = Transcript(store, "s", lambda *_: None)
    waiting = asyncio.create_task(script.until(lambda: script.progress.turns == 1))
    await append(store, head, e.TurnEnded(turn=1, item="i", text="hello"))
    assert await waiting
    began = time.monotonic()
    assert not await script.until(lambda: script.progress.turns == 2, 0.15)
    assert time.monotonic() - began < 2


async def test_what_is_not_plain_text_has_its_line_too() -> None:
    """Streams, clips, keys, the model's own words as far as they were heard, and who answers."""
    store = MemoryStore()
    head = await store.create(SessionRow("s", "", "t", "local", "in_process", "active", "3.11", "", 1, 0, 1, None))
    lines: list[tuple[str, str]] = []
    script = Transcript(store, "s", lambda _, who, line: lines.append((who, line)))
    site, clip = c.Site("desk.py", 1), c.Clip(name="hold.wav", digest="", rate=24_000, ms=900)
    heard = e.HeardPart(item="i", generated_ms=900, heard_ms=400, heard_text="We have")
    await append(
        store,
        head,
        e.SayRequested(index=1, say="say_1", command=c.Say(text="Well, ", stream=9), site=site),
        e.SayRequested(index=2, say="say_2", command=c.Say(text="", clip=clip), site=site),
        e.TurnEnded(turn=1, item="d", text="5", channel="dtmf"),
        e.TurnDiscarded(item="i", reason="backchannel"),
        e.AnswersSwitched(answers="model"),
        e.PlayoutEnded(response="r", heard=[heard], interrupted=True),
        e.PlayoutEnded(response="r2", say="say_1", heard=[heard]),
    )
    await script.catch_up()
    assert lines == [
        ("desk", '"Well, …"'),
        ("desk", "(clip hold.wav)"),
        ("caller", "pressed: 5"),
        ("caller", "(no turn: backchannel)"),
        ("session", "the model answers from here on"),
        ("model", '"We have" (cut short)'),
    ]
