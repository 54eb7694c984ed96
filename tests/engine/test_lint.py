"""Tests for engine/handlers/lint.py and engine/handlers/lint_rules.py: what is found in a handler's source, and what is not."""

import asyncio
import random
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from turnlog.core.errors import DefinitionError
from turnlog.engine.app import App
from turnlog.engine.handlers.lint import Finding, check_app, check_source
from turnlog.engine.handlers.session import RealtimeSession

HEAD = """\
import asyncio, concurrent.futures, os, random, requests, secrets, socket, sqlite3, subprocess, threading, time, uuid
import datetime as dt
import urllib.request
from contextlib import aclosing
from datetime import date, datetime
from pathlib import Path
from random import Random, choice
from time import time as now

CACHE = {}
SEEN: list = []
COUNT = 0
"""


def found(body: str, more: str = "") -> list[Finding]:
    """What is found in a handler with this body, in a module with these further functions."""
    source = f"{HEAD}{more}\nasync def desk(session):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
    line = source.splitlines().index("async def desk(session):") + 1
    return check_source(source, "desk.py", [line])


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        *(("wall-clock", f"x = {call}") for call in ("time.time()", "now()", "time.monotonic_ns()", "time.perf_counter()")),
        *(("wall-clock", f"x = {call}") for call in ("datetime.now()", "dt.datetime.now(None)", "date.today()")),
        *(("wall-clock", f"x = {call}") for call in ("time.localtime()", "time.strftime('%H')", "datetime.utcnow()")),
        *(("random", f"x = {call}") for call in ("random.random()", "choice([1])", "secrets.token_hex()", "os.urandom(3)")),
        *(("random", f"x = {call}") for call in ("random.Random()", "Random()", "random.SystemRandom()")),
        *(("uuid", f"x = {call}") for call in ("uuid.uuid4()", "uuid.uuid1()")),
        *(("blocking", call) for call in ("time.sleep(1)", "open('x')", "input()", "requests.get('x')", "os.system('x')")),
        *(("blocking", call) for call in ("urllib.request.urlopen('x')", "sqlite3.connect('x')", "Path('x').read_text()")),
        *(("blocking", call) for call in ("subprocess.run(['x'])", "socket.create_connection(('x', 1))", "os.listdir('.')")),
        *(("io", f"await {call}") for call in ("asyncio.open_connection('x', 1)", "asyncio.create_subprocess_exec('x')")),
        *(("threads", call) for call in ("threading.Thread(target=f).start()", "concurrent.futures.ThreadPoolExecutor()")),
        *(("threads", f"await {call}") for call in ("asyncio.to_thread(f)", "loop.run_in_executor(None, f)")),
        ("all-tasks", "for task in list(asyncio.all_tasks()): task.cancel()"),
        ("bare-future", "future = asyncio.Future()"),
        ("as-completed", "for one in asyncio.as_completed([a(), b()]): await one"),
        ("as-completed", "for one in asyncio.as_completed(a(n) for n in range(3)): await one"),
        ("set-order", "for one in {1, 2}: print(one)"),
        ("set-order", "for one in set(session.metadata): print(one)"),
        ("set-order", "x = [one for one in {n for n in y}]"),
        ("set-order", "x = ', '.join(set(y))"),
        ("set-order", "x = list(frozenset(y))"),
        ("set-order", "tags = set(y)\nx = tags.pop()"),
        ("set-order", "tags = {1}\nfor tag in tags: print(tag)"),
        *(("not-awaited", f"session.{call}") for call in ("say('x')", "call('x')", "step(f)", "input()", "end()")),
        *(("global-state", line) for line in ("CACHE['x'] = 1", "del CACHE['x']", "SEEN.append(1)", "CACHE.update(x=1)")),
        *(("global-state", line) for line in ("global COUNT\nCOUNT += 1", "global COUNT\nCOUNT = 1", "CACHE.x = 1")),
    ],
)
def test_what_is_found(rule: str, line: str) -> None:
    """Each by its rule, in its function, with why and the remedy."""
    (finding,) = found(line)
    assert (finding.rule, finding.function, finding.file) == (rule, "desk", "desk.py")
    assert finding.what and finding.why and finding.remedy


@pytest.mark.parametrize(
    "line",
    [
        "x = session.now(), session.random.random(), session.uuid()",
        "await asyncio.sleep(1)",
        "x = random.Random(7).random()",
        "x = time.strftime('%H', y), time.localtime(3)",
        "x = datetime.fromtimestamp(3), dt.timedelta(1)",
        "await session.step(lambda: time.time())",
        "await session.step(os.urandom, 3)",
        "await session.say('x')",
        "asyncio.create_task(session.say('x'))",
        "x = session.say('x')\nawait x",
        "for one in asyncio.as_completed([asyncio.create_task(a()), asyncio.create_task(b())]): await one",
        "for one in asyncio.as_completed(tasks): await one",
        "done, pending = await asyncio.wait(tasks)\nfor one in done: print(one)",
        "for one in sorted({1, 2}): print(one)",
        "x = 1 in {1, 2}",
        "CACHE = {}\nCACHE['x'] = 1",
        "mine = []\nmine.append(1)\nmine.pop()",
        "x = ', '.join(y)\nz = ''.join()",
        "(lambda: 1)()",
        "async for one in session.turns():\n    break",
    ],
)
def test_what_is_fine(line: str) -> None:
    """What replays, and what runs outside, is not mentioned."""
    assert found(line) == []


LEAVES = {
    "break": "break",
    "return": "return",
    "a break deeper": "if one:\n        try:\n            pass\n        except OSError:\n            break",
    "a return in a loop": "for x in y:\n        return",
    "a case": "match one:\n        case 1:\n            raise ValueError",
}


@pytest.mark.parametrize("way", LEAVES)
def test_a_generator_that_is_left(way: str) -> None:
    """An async generator of the module, left early and not closed."""
    more = "async def numbers():\n    yield 1\n"
    (finding,) = found(f"async for one in numbers():\n    {LEAVES[way]}", more)
    assert finding.rule == "open-generator" and "numbers()" in finding.what


@pytest.mark.parametrize(
    "body",
    [
        "async for one in numbers():\n    print(one)",
        "async for one in numbers():\n    for x in y:\n        break",
        "async for one in numbers():\n    def inner():\n        return 1",
        "async with aclosing(numbers()) as items:\n    async for one in items:\n        break",
        "async for one in values():\n    break",
        "async for one in held:\n    break",
    ],
)
def test_a_generator_that_is_not(body: str) -> None:
    """One that is read to its end, or closed by its with, or is no generator."""
    assert found(body, "async def numbers():\n    yield 1\ndef values():\n    return numbers()\n") == []


def test_what_a_handler_calls_is_looked_at_too() -> None:
    """Functions and methods of the same module, however deep, and each once; not what is handed to a step."""
    more = """
class Desk:
    def __init__(self):
        self.at = time.time()

    def greet(self):
        return self.words()

    def words(self):
        return random.choice(["a", "b"])

def helper():
    return deeper() or helper()

def deeper():
    return uuid.uuid4()

def outside():
    return time.time()

def callback():
    input()

def unused():
    open("x")
"""
    body = """
    def inner():
        time.sleep(1)
    desk = Desk()
    inner()
    helper()
    session.loop.call_soon(callback)
    await session.step(outside)
    """
    seen = {(finding.function, finding.rule) for finding in found(body, more)}
    assert seen == {
        ("__init__", "wall-clock"),
        ("words", "random"),
        ("deeper", "uuid"),
        ("inner", "blocking"),
        ("callback", "blocking"),
    }


def test_a_reason_silences_a_line() -> None:
    """`# turnlog: ok REASON` on any line of the statement; without a reason it is told that it needs one."""
    assert found("x = time.time()  # turnlog: ok only shown to the developer") == []
    assert found("x = time.strftime(\n    '%H',  # turnlog: ok shown only\n)") == []
    assert found("x = '# turnlog: ok a string'; y = time.time()")[0].rule == "wall-clock"
    (finding,) = found("x = time.time()  # turnlog: ok")
    assert "needs a reason" in finding.why


def test_findings_come_by_line() -> None:
    """Sorted, with the line of each."""
    findings = found("x = uuid.uuid4()\n\ny = time.time()")
    assert [finding.rule for finding in findings] == ["uuid", "wall-clock"]
    assert findings[1].line == findings[0].line + 2


async def find(name: str) -> float:
    """A tool: it may look at clocks."""
    return time.time()


def apps() -> App:
    """An app of three sessions in this file."""
    app = App("hotel")

    @app.session("lax", provider="scripted", transport="in_process", replay=False)
    async def lax(session: RealtimeSession) -> None:
        await asyncio.to_thread(time.time)

    @app.session("one", provider="scripted", transport="in_process")
    async def one(s: RealtimeSession) -> None:
        s.say("hello")  # type: ignore[unused-coroutine]

    @app.session("two", provider="scripted", transport="in_process")
    async def two(session: RealtimeSession) -> Any:
        return random.random()

    app.tool(find)
    return app


def test_an_app_is_looked_at_by_its_handlers() -> None:
    """Those with replay=False and the tools may do what they like."""
    findings = check_app(apps())
    assert [(finding.function, finding.rule) for finding in findings] == [("one", "not-awaited"), ("two", "random")]
    assert {finding.file for finding in findings} == {__file__}


def test_a_handler_without_source(tmp_path: Path) -> None:
    """TL206 with its name."""
    names: dict[str, Any] = {}
    exec(compile("async def ghost(session): ...", str(tmp_path / "gone.py"), "exec"), names)
    app = App("hotel")
    app.session("desk", provider="scripted", transport="in_process")(names["ghost"])
    with pytest.raises(DefinitionError, match="ghost") as raised:
        check_app(app)
    assert raised.value.code == "TL206"
