"""docs/reference/sessions.md: its examples run live and replay, and it leaves nothing of the API out.

The page's Python blocks are one module. A guest types to each of its sessions over an in-process link; no speech is needed.
"""

import asyncio
import json
import linecache
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from turnlog import App, Engine, RealtimeSession, SessionDefinition, replay
from turnlog.core.definition import normalize_turn_detection
from turnlog.core.errors import LinkClosed
from turnlog.store import open_store
from turnlog.store.port import Store
from turnlog.transports.links.in_process import InProcessLink, pair
from turnlog.transports.providers.local import LocalProvider
from turnlog.transports.speech.engines import Speech, detect

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "sessions.md"
TEXT = PAGE.read_text(encoding="utf-8")


class Talk(NamedTuple):
    """What a guest types once so many answers have come, and what is said (a pattern each)."""

    said: list[str]
    typed: tuple[tuple[int, str], ...] = ()
    reason: str = "completed"


TALKS = {
    "hotline": Talk([r"There are 2 appointments\."], ((0, "monday"),)),
    "patient": Talk([r"Are you still there\?", r"You said yes\."], ((1, "yes"),)),
    "reminder": Talk([r"Your appointment is on Monday\."], reason="reminded"),
    "desk": Talk([r"Ann, 9:30 is free\. Drink water\.", r"That failed: ArgumentError\."]),
    "transfer": Talk([r"I connect you with Dr\. Who\."]),
    "intake": Talk([r"Your number is \d+\.", r"Ann, from 555, at [\d:.]+: [0-9a-f-]{36}"], ((1, "Ann"),)),
}


def page_module() -> ModuleType:
    """The page's Python blocks as a module, with lines that tracebacks and sites can show."""
    source = "\n".join(re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
    module = ModuleType("sessions_page")
    sys.modules[module.__name__] = module
    linecache.cache["sessions_page.py"] = (len(source), None, source.splitlines(keepends=True), "sessions_page.py")
    exec(compile(source, "sessions_page.py", "exec"), module.__dict__)
    return module


async def talk(guest: InProcessLink, typed: tuple[tuple[int, str], ...]) -> list[str]:
    """Type each line when as many answers have come; returns the answers."""
    heard: list[str] = []
    waiting = dict(typed)
    try:
        while True:
            if (line := waiting.pop(len(heard), None)) is not None:
                content = [{"type": "input_text", "text": line}]
                item = {"type": "message", "role": "user", "content": content}
                guest.send(json.dumps({"type": "conversation.item.create", "item": item}).encode())
                guest.send(b'{"type": "response.create"}')
            event = json.loads(await guest.receive())
            if event["type"] == "response.output_text.done":
                heard.append(event["text"])
    except LinkClosed:
        return heard


async def held(app: App, store: Store, name: str) -> tuple[str, list[str], str]:
    """Hold one session of the page; its id, what was said, and why it ended."""
    silent = Speech(engines=detect(), voice_activity=None, recogniser=None, synthesiser=None)
    async with Engine(app, store=store, providers={"local": LocalProvider(speech=silent)}) as engine:
        session = await engine.start(f"clinic.{name}", metadata={"phone": "555"})
        engine.signal(session.id, "doctor", {"name": "Dr. Who"})
        guest, desk = pair()
        await engine.attach(session.id, desk)
        async with asyncio.timeout(20):
            heard, ended = await asyncio.gather(talk(guest, TALKS[name].typed), session.ended())
    return session.id, heard, ended.reason


async def test_the_examples_run_and_replay() -> None:
    """Each session of the page says what it should, ends for the reason it should, and its log replays to its end."""
    app: Any = page_module().app
    assert set(app.sessions) == set(TALKS)
    store = open_store("memory://")
    for name, expected in TALKS.items():
        session, heard, reason = await held(app, store, name)
        assert reason == expected.reason, name
        assert len(heard) == len(expected.said), heard
        assert all(re.fullmatch(said, words) for said, words in zip(expected.said, heard, strict=True)), heard
        assert replay(store.scan(session), app.sessions[name].handler).complete, name
    await store.close()


@pytest.mark.parametrize("field", [*SessionDefinition.__struct_fields__, "strict", "replay"])
def test_each_option_is_told(field: str) -> None:
    """The table of options has every field of SessionDefinition and the app's own."""
    rows = [line.split("|")[1] for line in TEXT.splitlines() if line.startswith("|")]
    assert any(f"`{field}`" in row for row in rows)


@pytest.mark.parametrize("kind", ["server_vad", "semantic_vad"])
def test_the_defaults_of_turn_detection_are_told(kind: str) -> None:
    """Each key of a turn detection stands on the page with the default it has."""
    for key, value in normalize_turn_detection({"type": kind}).items():
        shown = json.dumps(value)
        assert key == "type" or re.search(rf"\| `{key}` \| `?{re.escape(shown)}`? \|", TEXT), key


def test_the_whole_session_is_told() -> None:
    """Every public name of RealtimeSession, and every attribute it is made with, stands on the page."""
    public = {name for name in vars(RealtimeSession) if not name.startswith("_")}
    for name in public | {"session_id", "definition", "metadata", "random"}:
        assert re.search(rf"session\.{name}\b", TEXT), name
