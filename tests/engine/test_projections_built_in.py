"""What the built-in projections make of events: who called, what was said, what it used."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.projecting import SECOND_NS, Writer, closed, started, turn
from turnlog import BUILT_IN_PROJECTIONS, ProjectionFolder, catch_up
from turnlog.core import events as e
from turnlog.core.commands import Call, Say, Site
from turnlog.core.ports import Draft
from turnlog.engine.projections import said, search
from turnlog.store import open_store

__all__: list[str] = []

HERE = Site("hotel.py", 1)


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    """A store in a file; its clock begins an hour before midnight of 2 January 1970."""
    store = await asyncio.to_thread(open_store, tmp_path / "calls.db")
    yield Writer(store, began_ns=47 * 3600 * SECOND_NS)
    await closed(store)


def build(writer: Writer) -> ProjectionFolder:
    """All of them, up to date."""
    return catch_up(writer.store, BUILT_IN_PROJECTIONS)


async def call(writer: Writer, session: str, words: str, answer: str, *, at: int = 1) -> None:
    """A turn and the say that answers it, heard for half a second."""
    await writer.write(
        session,
        turn(at, words),
        e.SayRequested(index=at, say=f"say_{at}", command=Say(text=answer), site=HERE),
        e.SaySettled(say=f"say_{at}", status="played", heard_ms=500, generated_ms=500, heard_text=answer),
    )


async def test_the_index_has_a_row_a_session(writer: Writer) -> None:
    """Target, metadata, callers, duration, counts and outcome are those of the events; a session under way has no end."""
    await writer.write("a", started("a"), e.LinkOpened(link="c1", side="caller", transport="websocket"))
    await writer.write("a", e.LinkOpened(link="p1", side="provider", transport="websocket"))
    await call(writer, "a", "a room", "Room 12")
    await writer.write(
        "a",
        e.CallRequested(index=5, call="call_5", command=Call(target="find"), site=HERE),
        e.ToolRequested(response="r", item="i", call_id="c", name="find", arguments="{}"),
        e.SaySettled(say="say_9", status="failed", code="TL302"),
        e.SessionEnded(reason="completed", code=""),
    )
    await writer.write("b", started("b"), turn(1))
    folder = build(writer)
    columns = "session, target, handler, callers, duration_ms, turns, says, says_heard, calls, outcome"
    assert folder.query("session_index", f"SELECT {columns} FROM session_index ORDER BY session") == [
        ("a", "hotel.desk", "hotel:desk", 1, 9_000, 1, 1, 1, 2, "completed"),
        ("b", "hotel.desk", "hotel:desk", 0, None, 1, 0, 0, 0, ""),
    ]


async def test_both_sides_words_are_found(writer: Writer) -> None:
    """User and handler, with session, time since its start, side, and the words marked; newest first."""
    await writer.write("a", started("a"))
    await call(writer, "a", "I want a room please", "Rooms with a sea view are free")
    await writer.write("b", started("b"))
    await call(writer, "b", "Any room?", "None")
    folder = build(writer)
    found = search(folder, ["room*"])
    assert [(one.session, one.seq, one.ms, one.who, one.snippet) for one in found] == [
        ("b", 2, 1_000, "user", "Any [room]?"),
        ("a", 4, 2_500, "handler", "[Rooms] with a sea view are free"),
        ("a", 2, 1_000, "user", "I want a [room] please"),
    ]
    assert found[2].at_ns == 47 * 3600 * SECOND_NS + 2 * SECOND_NS


async def test_search_is_narrowed(writer: Writer) -> None:
    """All words must be there; quotes make a phrase; session, side and limit cut; case and accents do not matter."""
    await writer.write("a", started("a"))
    for n in range(5):
        await call(writer, "a", f"Café number {n}", "A sea view", at=n)
    await writer.write("b", started("b"))
    await call(writer, "b", "view of the sea", "cafe")
    folder = build(writer)
    assert len(search(folder, ["SEA", "view"])) == 6
    assert len(search(folder, ["sea view"])) == 5
    assert {one.session for one in search(folder, ["cafe"], session="b")} == {"b"}
    assert {one.who for one in search(folder, ["café"], who="user")} == {"user"}
    assert len(search(folder, ["cafe"], limit=2)) == 2
    assert search(folder, ["cafe", "sea"]) == []


@pytest.mark.parametrize("word", ['"', "*", "", "a OR", "NOT", "NEAR(", "text:", 'he said "no', "^x", "-", "a*b", "+", "' OR 1"])
async def test_no_word_is_an_operator(writer: Writer, word: str) -> None:
    """Whatever is typed is looked for, or finds nothing; it is never a syntax error."""
    await writer.write("a", started("a"), turn(1, 'he said "no" or not'))
    folder = build(writer)
    found = search(folder, [word])
    assert [one.seq for one in found] in ([], [2])
    assert bool(found) == (word in ("NOT", 'he said "no'))


async def test_what_nobody_heard_is_not_in_the_transcript(writer: Writer) -> None:
    """A say that was cut off has the words that were heard, one that was never heard has none, a late transcript is kept."""
    await writer.write(
        "a",
        started("a"),
        e.SaySettled(say="say_1", status="interrupted", heard_ms=300, heard_text="Good"),
        e.SaySettled(say="say_2", status="failed", code="TL302"),
        turn(1, ""),
        e.TranscriptArrivedLate(item="i", transcript="too late"),
    )
    words = build(writer).query("transcripts", "SELECT who, text FROM words ORDER BY id")
    assert words == [("handler", "Good"), ("user", "too late")]


async def test_the_models_own_answers_are_words_where_it_answers(writer: Writer) -> None:
    """With answers="model" a response that is no say is the model's; with a handler nobody hears it."""
    for session, answers in (("m", "model"), ("h", "handler")):
        await writer.write(
            session,
            started(session, answers=answers),
            e.ResponseStarted(response="r1"),
            e.ResponseEnded(response="r1", status="completed", transcript="Mine"),
            *([e.PlayoutEnded(response="r1")] if answers == "model" else []),  # a log from before parts were told
            e.ResponseStarted(response="r2", say="say_1"),
            e.ResponseEnded(response="r2", status="completed", transcript="The handler's"),
            e.SaySettled(say="say_1", status="played", heard_text="The handler's"),
        )
    words = build(writer).query("transcripts", "SELECT session, who, text FROM words ORDER BY id")
    assert words == [("m", "model", "Mine"), ("m", "handler", "The handler's"), ("h", "handler", "The handler's")]


async def test_of_the_models_answers_it_is_what_was_heard(writer: Writer) -> None:
    """Cut short it is the words up to there, at the time they began; what was not heard at all is not there."""
    cut = e.HeardPart(item="i", generated_ms=3_000, delivered_ms=1_500, heard_ms=900, heard_text="We have")
    unheard = e.HeardPart(item="j", generated_ms=700)
    said = e.HeardPart(item="k", generated_ms=500, delivered_ms=500, heard_ms=500, heard_text="The handler's")
    await writer.write(
        "m",
        started("m"),
        e.AnswersSwitched(answers="model"),
        e.ResponseStarted(response="r1"),
        e.ResponseEnded(response="r1", status="cancelled", transcript="We have three rooms"),
        e.PlayoutEnded(response="r1", interrupted=True, heard=[cut]),
        e.ResponseStarted(response="r2"),
        e.ResponseEnded(response="r2", status="cancelled", transcript="Shall I"),
        e.PlayoutEnded(response="r2", interrupted=True, heard=[unheard]),
        e.ResponseStarted(response="r3", say="say_1"),
        e.PlayoutEnded(response="r3", say="say_1", heard=[said]),
    )
    assert build(writer).query("transcripts", "SELECT who, text FROM words") == [("model", "We have")]


def media(track: str, n: int, ms: int) -> e.MediaRecorded:
    """A segment of audio."""
    return e.MediaRecorded(track=track, n=n, duration_ms=ms, digest=bytes(32), messages=1, first=1)


async def test_usage_is_counted_by_session_and_day(writer: Writer) -> None:
    """Tokens and audio of a call over midnight (UTC) stand on both days; what a provider leaves out counts nothing."""
    spent = {
        "input_tokens": 30, "output_tokens": 20, "total_tokens": 50,
        "input_token_details": {"audio_tokens": 25, "text_tokens": 5, "cached_tokens": 4},
        "output_token_details": {"audio_tokens": 15, "text_tokens": 5},
    }  # fmt: skip
    odd = {"input_tokens": "", "output_tokens": -1, "input_token_details": 5, "output_token_details": {"audio_tokens": True}}
    await writer.write(
        "a",
        started("a"),
        *(media(track, 1, 200) for track in ("c1.in", "c1.out", "p1.in", "p1.out")),
        media("c1.in", 2, 100),
        e.ResponseEnded(response="r1", status="completed", usage=spent),
        e.ResponseEnded(response="r2", status="completed", usage=odd),
        e.ResponseEnded(response="r3", status="cancelled"),
    )
    writer.now_ns += 3600 * SECOND_NS
    await writer.write("a", e.ResponseEnded(response="r4", status="completed", usage=spent))
    rows = build(writer).query(
        "usage",
        """SELECT session, day, target, responses, input_tokens, output_tokens, cached_tokens, input_audio_tokens,
        input_text_tokens, output_audio_tokens, output_text_tokens, caller_ms, spoken_ms, delivered_ms FROM usage ORDER BY day""",
    )
    assert rows == [
        ("a", "1970-01-02", "hotel.desk", 3, 30, 20, 4, 25, 5, 15, 5, 300, 200, 200),
        ("a", "1970-01-03", "hotel.desk", 1, 30, 20, 4, 25, 5, 15, 5, 0, 0, 0),
    ]


async def test_says_are_counted_by_what_became_of_them(writer: Writer) -> None:
    """Outcomes, the share heard (never more than was made), and how alike the words were; by session, target or day."""
    await writer.write(
        "a",
        started("a"),
        e.SaySpoken(say="say_1", requested="One two", spoken="one two", similarity=1.0),
        e.SaySettled(say="say_1", status="played", generated_ms=1000, heard_ms=1000),
        e.SaySpoken(say="say_2", requested="Hi", spoken="Hello", similarity=0.0),
        e.SaySpoken(say="say_2", requested="Hi there", spoken="Hi dear", similarity=0.8),
        e.SaySettled(say="say_2", status="interrupted", generated_ms=2000, heard_ms=500),
        e.SaySettled(say="say_3", status="cancelled"),
    )
    writer.now_ns += 3600 * SECOND_NS
    await writer.write("a", e.SaySettled(say="say_4", status="failed", code="no_output"))
    await writer.write("b", started("b"), e.SaySettled(say="say_1", status="played", generated_ms=1000, heard_ms=1200))
    folder = build(writer)
    assert said(folder) == [
        ("a", "hotel.desk", 4, 1, 1, 1, 1, 0.5, 3, 1, pytest.approx(0.6)),
        ("b", "hotel.desk", 1, 1, 0, 0, 0, 1.0, 0, 0, None),
    ]
    assert [(one.group, one.says, one.heard_share) for one in said(folder, by="target")] == [("hotel.desk", 5, 0.625)]
    by_day = [(one.group, one.says, one.heard_share) for one in said(folder, by="day", limit=2)]
    assert by_day == [("1970-01-03", 2, 1.0), ("1970-01-02", 3, 0.5)]
    with pytest.raises(ValueError, match="none of session, target, day"):
        said(folder, by="1; DROP TABLE says")


async def test_a_log_whose_beginning_is_not_known_is_taken(writer: Writer) -> None:
    """Where SessionStarted was erased or is of a newer turnlog, words and usage are kept all the same."""
    await writer.drafts("a", [Draft("SessionStarted", 99, 5, -1, bytes(20))])
    await call(writer, "a", "hello", "hi")
    await writer.write("a", e.ResponseEnded(response="r", status="completed"), e.SessionEnded(reason="completed"))
    folder = build(writer)
    assert folder.query("transcripts", "SELECT ms, text FROM words") == [(0, "hello"), (0, "hi")]
    assert folder.query("usage", "SELECT session, target, responses FROM usage") == [("a", "", 1)]
    assert folder.query("session_index", "SELECT * FROM session_index") == []
    assert [build.checkpoint.status for build in folder.builds() if build.checkpoint] == ["live"] * 4
