"""The process's log: one line a record, with the session that it belongs to, and without secrets."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import turnlog
from turnlog.core.definition import SessionDefinition
from turnlog.core.errors import LinkError
from turnlog.core.ports import Link
from turnlog.server.logs import Form, LogLines, log_to
from turnlog.server.redact import MASK, Redactor

SECRET = "correct horse battery"
log = logging.getLogger("hotel")
app = turnlog.App("hotel")


@app.tool
async def find_guest() -> str:
    """A tool that logs."""
    log.warning("looking in the book")
    return "ann"


@app.session("desk", provider="scripted", transport="in_process", modalities=["text"])
async def desk(session: turnlog.RealtimeSession) -> None:
    """A handler that logs, in a task of its own as well."""
    log.warning("the handler of %s", session.session_id)
    await session.call("find_guest")
    await session.step(find_guest)


class Refusing:
    """A provider that is not there."""

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """Fail."""
        raise LinkError("TL303", "no key")


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    """The root logger is left as it was."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


def line_of(form: Form, message: str, *args: object, error: BaseException | None = None, name: str = "turnlog") -> str:
    """A record, formatted."""
    info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord(name, logging.ERROR, "file.py", 1, message, args, info)
    return LogLines(form, Redactor([SECRET])).format(record)


async def test_lines_name_the_session_that_they_belong_to(tmp_path: Path) -> None:
    """What the engine, the handler, its tools and steps log has the session's id; what others log has none."""
    written = io.StringIO()
    log_to(written, form="json", level="INFO")
    async with turnlog.Engine(app, store=f"sqlite:///{tmp_path / 'calls.db'}", providers={"scripted": Refusing()}) as engine:
        log.warning("before")
        session = await engine.start("hotel.desk")
        await session.ended()
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    own = [line for line in lines if line["logger"] == "hotel"]
    assert [line.get("session") for line in own] == [None, *[session.id] * 3]
    assert [line["message"] for line in own[1:]] == [f"the handler of {session.id}", *["looking in the book"] * 2]
    told = [line for line in lines if line["logger"] == "turnlog"]
    assert {line["session"] for line in told} == {session.id} and {line["level"] for line in told} == {"INFO"}
    assert all(set(line) <= {"at", "level", "logger", "message", "session"} and line["at"].endswith("Z") for line in lines)


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_left_out(form: Form) -> None:
    """Those that the process knows, and what looks like one, in messages and in tracebacks."""
    try:
        raise ValueError(f"refused: {SECRET}")
    except ValueError as error:
        line = line_of(form, "key %s, Authorization: Bearer abcd1234, sk-proj-0123456789abcdef", SECRET, error=error)
    assert SECRET not in line and "abcd1234" not in line and "0123456789abcdef" not in line
    assert line.count(MASK) == 4 and "ValueError: refused: " in line


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("api_key='0123456789'", f"api_key='{MASK}'"),
        ("openai-insecure-api-key.tok_en-1234, realtime", f"openai-insecure-api-key.{MASK}, realtime"),
        ("turn:desk:hunter22@relay.example", f"turn:desk:{MASK}@relay.example"),
        ("ek_0123456789abcdef0 and tl_0123456789abcdef0", f"{MASK} and {MASK}"),
        ("the bearer of bad news; a risk-taking-skeleton", "the bearer of bad news; a risk-taking-skeleton"),
        ("sess_20260101_000000_0a0b0c0d", "sess_20260101_000000_0a0b0c0d"),
    ],
)
def test_what_looks_like_a_secret(text: str, left: str) -> None:
    """By its form; ordinary words and session ids stay."""
    assert Redactor().redact(text) == left


def test_a_line_stays_a_line() -> None:
    """What came from outside makes no lines of its own; arguments that do not fit are told as they are."""
    assert line_of("text", "hello\nERROR turnlog: forged\x1b[2J") == "ERROR turnlog: hello\\x0aERROR turnlog: forged\\x1b[2J"
    assert "\n" not in line_of("json", "hello\nworld")
    assert "%d" in line_of("text", "%d guests", "two") and "two" in line_of("text", "%d guests", "two")


def test_the_redactor_shows_nothing_and_finds_short_words_only_by_their_form() -> None:
    """Its repr has no secret; a key of five characters would be found in words, too."""
    assert SECRET not in repr(Redactor([SECRET]))
    assert Redactor(["desk"]).redact("front desk") == "front desk"
