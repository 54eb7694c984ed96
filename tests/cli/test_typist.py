"""The caller who types."""

import json
import os
import sys
from pathlib import Path

import pytest

from turnlog.cli.typist import TypingCaller, typed_lines
from turnlog.transports.links.in_process import pair


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"\n  \r\nno newline at the end", ["no newline at the end"]),
        ("café\r\n".encode(), ["café"]),
        (b"broken \xff bytes\n", ["broken \N{REPLACEMENT CHARACTER} bytes"]),
        (b"", []),
        ("ä".encode() * 5000 + b"\n", ["ä" * 5000]),
    ],
)
async def test_lines_are_given_without_blank_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: bytes, lines: list[str]
) -> None:
    """Any line end, a missing one, bytes that are no UTF-8, and characters cut between two reads."""
    (tmp_path / "typed").write_bytes(typed)
    with (tmp_path / "typed").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert [line async for line in typed_lines()] == lines


async def test_a_line_comes_as_soon_as_it_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is given while the input stays open; the end of input ends the lines."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        lines = typed_lines()
        os.write(writing, b"first\nsec")
        assert await anext(lines) == "first"
        os.write(writing, b"ond\n")
        assert await anext(lines) == "second"
        os.close(writing)
        assert [line async for line in lines] == []


async def test_text_is_an_item_and_a_request_for_its_answer() -> None:
    """send() makes a user item and asks for a response, which is how a text turn ends."""
    mine, engine = pair()
    TypingCaller(mine).send("hello")
    item, ask = json.loads(await engine.receive()), json.loads(await engine.receive())
    assert (item["type"], item["item"]["role"]) == ("conversation.item.create", "user")
    assert item["item"]["content"] == [{"type": "input_text", "text": "hello"}]
    assert ask["type"] == "response.create"
