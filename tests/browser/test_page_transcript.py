"""What the page makes of the messages of a call, by its own module in a real browser, without a call."""

from pathlib import Path
from typing import Any

import pytest

import turnlog
from tests.browser.chromium import Chromium
from tests.browser.visiting import Visit, visit
from tests.server.hosting import hosted

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs("chromium")]

app = turnlog.App("hotel")
TRANSCRIPTION = "conversation.item.input_audio_transcription."


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Never called."""


def message(type_: str, **fields: Any) -> dict[str, Any]:
    """A message of the server."""
    return {"type": type_, **fields}


def words(item: str, delta: str, response: str = "r1") -> dict[str, Any]:
    """A piece of what is being said."""
    return message("response.output_audio_transcript.delta", item_id=item, response_id=response, delta=delta)


def turn(item_id: str, text: str) -> dict[str, Any]:
    """A turn of the user."""
    return message("turnlog.turn", item_id=item_id, text=text)


def item(item_id: str, role: str, text: str) -> dict[str, Any]:
    """An item of the conversation, told to a caller that came back."""
    content = [{"transcript": text}]
    return message("conversation.item.added", item={"id": item_id, "type": "message", "role": role, "content": content})


def say(items: list[str], text: str, heard: str, status: str = "played", **ms: int) -> dict[str, Any]:
    """What became of a say."""
    figures = {"heard_ms": 1000, "generated_ms": 1000, **ms}
    return message("turnlog.say", say="say_1", item_ids=items, text=text, heard_text=heard, status=status, **figures)


async def lines(tab: Visit, told: list[dict[str, Any]], *, watched: bool = True, before: Any = ()) -> list[dict[str, Any]]:
    """The lines after these messages, the n-th at n seconds; `before`: those of an earlier page."""
    script = """async ([told, watched, before]) => {
        const { Transcript } = await import('/static/transcript.js');
        const transcript = new Transcript(watched);
        transcript.recall(before);
        told.forEach((message, n) => transcript.receive(message, 1000 * n));
        return transcript.lines;
    }"""
    found: list[dict[str, Any]] = await tab.page.evaluate(script, [told, watched, list(before)])
    return found


def brief(shown: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    """Who, what, and whether it is final."""
    return [(line["side"], line["text"], line["final"]) for line in shown]


async def test_messages_become_lines(tmp_path: Path, chrome: Chromium) -> None:
    """Interim words, turns and says; several items of one say; speech that came to nothing; a conversation that is told again."""
    async with hosted(app, tmp_path) as server, visit(chrome, server.url + "/") as tab:
        began = message("input_audio_buffer.speech_started", item_id="u1")
        heard = [began, message(TRANSCRIPTION + "delta", item_id="u1", delta="Good "), words("a1", "Hello. "), words("a1", "How")]
        assert brief(await lines(tab, heard)) == [("caller", "Good ", False), ("desk", "Hello. How", False)]

        long = [words("a1", "One."), words("a2", "Two.", "r2"), say(["a1", "a2"], "One. Two. Three.", "One. Two", "interrupted")]
        (line,) = await lines(tab, [*long, words("a2", " more")])
        assert (line["text"], line["heard"]["text"], line["final"], line["at"]) == ("One. Two. Three.", "One. Two", True, 0)

        noise = [began, message(TRANSCRIPTION + "completed", item_id="u1", transcript="Hm."), turn("u2", "Yes")]
        assert brief(await lines(tab, noise)) == [("caller", "Yes", True)]

        never_seen = [say([], "Anything else?", "", "cancelled", heard_ms=0, generated_ms=0)]
        assert brief(await lines(tab, never_seen)) == [("desk", "Anything else?", True)]

        direct = [*noise[:2], words("a1", "Hello."), message("output_audio_buffer.stopped", response_id="r1")]
        assert brief(await lines(tab, direct, watched=False)) == [("caller", "Hm.", True), ("desk", "Hello.", True)]

        earlier = await lines(tab, [*long, turn("u1", "Go on")])
        parts = [("assistant", "One. Two"), ("user", "Go on"), ("assistant", "Four.")]
        again = [item(f"new{n}", role, text) for n, (role, text) in enumerate(parts)]
        told = await lines(tab, [message("session.created"), *again], before=earlier)
        assert brief(told) == [("desk", "One. Two. Three.", True), ("caller", "Go on", True), ("desk", "Four.", True)]
        assert [line["at"] for line in told] == [0, 3000, 3000]  # the first two as they were


async def test_words_are_words_and_no_markup(tmp_path: Path, chrome: Chromium) -> None:
    """What was said is shown as it is, whatever it looks like; times are mm:ss.s."""
    text = '<img src=x onerror="document.title = 1">&amp;'
    async with hosted(app, tmp_path) as server, visit(chrome, server.url + "/") as tab:
        shown = await lines(tab, [turn("u1", text), say(["a1"], "No.", "", "failed", heard_ms=0)])
        script = """async (lines) => {
            const { View, clock } = await import('/static/view.js');
            const [said, sounding, empty] = ['said', 'sounding', 'empty'].map(id => document.getElementById(id));
            new View(said, sounding, empty).show(lines, 'desk');
            return [0, 61_240, 3_599_950, 6_000_000].map(clock);
        }"""
        assert await tab.page.evaluate(script, shown) == ["00:00.0", "01:01.2", "59:59.9", "100:00.0"]
        first, second = await tab.lines()
        assert (first["heard"], first["side"]) == (text, "caller")
        assert (second["heard"], second["unheard"], second["note"]) == ("", "No.", "failed: not heard")
        assert await tab.page.locator("img").count() == 1  # the logo
