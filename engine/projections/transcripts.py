"""The projection transcripts: the words of both sides with their times, and a full-text index over them (SQLite FTS5).

who: "user" (a turn's text, typed or recognised), "handler" (what was heard of a say), "model" (what was heard of its own answers,
where it is the model that answers). at_ns: when a turn ended; when a say or answer began to be heard.
Rule: logs from before it was recorded what is heard of each part have the whole answer as its text.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ...core import events as e
from ...store.projection_folder import ProjectionFolder
from .declare import ProjectionContext, projection

__all__ = ["Found", "search", "transcripts"]

_TABLES = (
    "CREATE TABLE sessions (session TEXT PRIMARY KEY, started_ns INTEGER NOT NULL, model_answers INTEGER NOT NULL)",
    "CREATE TABLE of_says (session TEXT, response TEXT, PRIMARY KEY (session, response)) WITHOUT ROWID",
    "CREATE TABLE answers (session TEXT, response TEXT, text TEXT NOT NULL, PRIMARY KEY (session, response)) WITHOUT ROWID",
    """CREATE TABLE words (id INTEGER PRIMARY KEY, session TEXT NOT NULL, seq INTEGER NOT NULL, at_ns INTEGER NOT NULL,
    ms INTEGER NOT NULL, who TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (session, seq))""",
    "CREATE INDEX words_by_time ON words (at_ns)",
    "CREATE VIRTUAL TABLE found USING fts5 (text, content = 'words', content_rowid = 'id', tokenize = 'unicode61')",
)
_ENTER = "INSERT INTO sessions VALUES (?, ?, ?)"
_SWITCH = "UPDATE sessions SET model_answers = ? WHERE session = ?"
_ANSWER = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)"
_ANSWERED = "DELETE FROM answers WHERE session = ? AND response = ? RETURNING text"
_WORDS = """INSERT INTO words (session, seq, at_ns, ms, who, text)
    VALUES (:session, :seq, :at_ns, MAX(0, (:at_ns - COALESCE((SELECT started_ns FROM sessions WHERE session = :session), :at_ns))
    / 1000000), :who, :text) RETURNING id"""
_INDEX = "INSERT INTO found (rowid, text) VALUES (?, ?)"
_OF_A_SAY = "INSERT OR IGNORE INTO of_says SELECT session, :response FROM sessions WHERE session = :session AND model_answers"
_IS_THE_MODELS = """SELECT 1 FROM sessions WHERE session = :session AND model_answers
    AND NOT EXISTS (SELECT 1 FROM of_says WHERE session = :session AND response = :response)"""
_SEARCH = """SELECT w.session, w.seq, w.at_ns, w.ms, w.who, snippet(found, 0, :before, :after, '…', 16), w.text
    FROM found JOIN words AS w ON w.id = found.rowid WHERE found MATCH :terms {more}
    ORDER BY w.at_ns DESC, w.seq DESC LIMIT :limit"""

_READS = (
    *(e.SessionStarted, e.TurnEnded, e.TranscriptArrivedLate, e.SaySettled, e.AnswersSwitched),
    *(e.ResponseStarted, e.ResponseEnded, e.PlayoutEnded),
)


@projection("transcripts", version=2, on=_READS, tables=_TABLES)
def transcripts(event: object, ctx: ProjectionContext) -> None:
    """Fold one event."""
    match event:
        case e.SessionStarted():
            ctx.execute(_ENTER, (ctx.session, ctx.at_ns, event.definition.answers == "model"))
        case e.TurnEnded():
            _add(ctx, ctx.at_ns, "user", event.text)
        case e.TranscriptArrivedLate():
            _add(ctx, ctx.at_ns, "user", event.transcript)
        case e.SaySettled():
            _add(ctx, ctx.at_ns - event.heard_ms * 1_000_000, "handler", event.heard_text)
        case e.ResponseStarted() if event.say is not None:
            ctx.execute(_OF_A_SAY, {"session": ctx.session, "response": event.response})
        case e.AnswersSwitched():
            ctx.execute(_SWITCH, (event.answers == "model", ctx.session))
        case e.ResponseEnded() if event.transcript and _is_the_models(ctx, event.response):
            ctx.execute(_ANSWER, (ctx.session, event.response, event.transcript))
        case e.PlayoutEnded() if event.say is None:
            whole = ctx.execute(_ANSWERED, (ctx.session, event.response))
            heard = " ".join(part.heard_text for part in event.heard if part.heard_text)
            heard_ms = sum(part.heard_ms for part in event.heard)
            _add(ctx, ctx.at_ns - heard_ms * 1_000_000, "model", heard if event.heard else whole[0][0] if whole else "")


def _is_the_models(ctx: ProjectionContext, response: str) -> bool:
    return bool(ctx.execute(_IS_THE_MODELS, {"session": ctx.session, "response": response}))


def _add(ctx: ProjectionContext, at_ns: int, who: str, text: str) -> None:
    if text.strip():
        said = {"session": ctx.session, "seq": ctx.seq, "at_ns": at_ns, "who": who, "text": text}
        [(row,)] = ctx.execute(_WORDS, said)
        ctx.execute(_INDEX, (row, text))


class Found(NamedTuple):
    """Words that match a search. `snippet` has the matching words between the marks, `ms` counts from the session's start."""

    session: str
    seq: int
    at_ns: int
    ms: int
    who: str
    snippet: str
    text: str


def search(
    folder: ProjectionFolder,
    words: Sequence[str],
    *,
    session: str | None = None,
    who: str | None = None,
    limit: int = 20,
    marks: tuple[str, str] = ("[", "]"),
) -> list[Found]:
    """What was said with all of these words, newest first.

    A word with blanks in it is a phrase; one that ends in * matches what begins so. Case and accents do not matter. Raises
    StoreError TL417 while the projection is not built.
    """
    terms = " ".join(term for word in words if (term := _term(word)))
    if not terms:
        return []
    more = ("AND w.session = :session " if session is not None else "") + ("AND w.who = :who" if who is not None else "")
    asked = {"before": marks[0], "after": marks[1], "terms": terms, "limit": limit, "session": session, "who": who}
    rows = folder.query("transcripts", _SEARCH.format(more=more), asked)
    return [Found(*row) for row in rows]


def _term(word: str) -> str:
    """A word or phrase as FTS5 reads it: in quotes, so that nothing in it is an operator."""
    prefix = "*" if word.endswith("*") else ""
    bare = word.rstrip("*").strip()
    quoted = bare.replace('"', '""')
    return f'"{quoted}"{prefix}' if any(char.isalnum() for char in bare) else ""
