"""The projection usage: tokens and audio of each session on each day (UTC), as the provider counted and as was recorded.

Seconds of audio come from MediaRecorded: caller_ms is what callers sent, spoken_ms what the provider sent, delivered_ms what went
out to callers. Tokens come from ResponseEnded; a provider that reports none leaves zeros.
"""

from datetime import UTC, datetime
from typing import Any

from ...core import events as e
from .declare import ProjectionContext, projection

__all__ = ["token_counts", "usage"]

_COUNTS = (
    "responses", "input_tokens", "output_tokens", "cached_tokens", "input_audio_tokens", "input_text_tokens",
    "output_audio_tokens", "output_text_tokens", "caller_ms", "spoken_ms", "delivered_ms",
)  # fmt: skip
_TABLES = (
    "CREATE TABLE sessions (session TEXT PRIMARY KEY, target TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL)",
    f"""CREATE TABLE usage (session TEXT NOT NULL, day TEXT NOT NULL, target TEXT NOT NULL, provider TEXT NOT NULL,
    model TEXT NOT NULL, {", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in _COUNTS)}, PRIMARY KEY (session, day))""",
    "CREATE INDEX usage_by_day ON usage (day)",
)
_ENTER = "INSERT INTO sessions VALUES (?, ?, ?, ?)"
_ROW = """INSERT OR IGNORE INTO usage (session, day, target, provider, model)
    SELECT :session, :day, COALESCE(MAX(target), ''), COALESCE(MAX(provider), ''), COALESCE(MAX(model), '')
    FROM sessions WHERE session = :session"""
_LARGEST = 2**40  # a count beyond it is no count


@projection("usage", version=1, on=(e.SessionStarted, e.ResponseEnded, e.MediaRecorded), tables=_TABLES)
def usage(event: object, ctx: ProjectionContext) -> None:
    """Fold one event."""
    match event:
        case e.SessionStarted():
            definition = event.definition
            ctx.execute(_ENTER, (ctx.session, event.target, definition.provider, definition.model or ""))
        case e.ResponseEnded():
            _count(ctx, {"responses": 1, **token_counts(event.usage or {})})
        case e.MediaRecorded():
            side, _, direction = event.track.partition(".")
            match side[:1], direction:
                case "c", "in":
                    _count(ctx, {"caller_ms": event.duration_ms})
                case "p", "in":
                    _count(ctx, {"spoken_ms": event.duration_ms})
                case "c", "out":
                    _count(ctx, {"delivered_ms": event.duration_ms})


def _count(ctx: ProjectionContext, counts: dict[str, int]) -> None:
    day = f"{datetime.fromtimestamp(ctx.at_ns / 1e9, UTC):%Y-%m-%d}"
    ctx.execute(_ROW, {"session": ctx.session, "day": day})
    sums = ", ".join(f"{name} = {name} + ?" for name in counts)
    ctx.execute(f"UPDATE usage SET {sums} WHERE session = ? AND day = ?", (*counts.values(), ctx.session, day))


def token_counts(found: dict[str, Any]) -> dict[str, int]:
    """The counts of a response.done's usage; what is missing or no number counts nothing."""
    into, out = _part(found, "input_token_details"), _part(found, "output_token_details")
    return {
        "input_tokens": _number(found, "input_tokens"),
        "output_tokens": _number(found, "output_tokens"),
        "cached_tokens": _number(into, "cached_tokens"),
        "input_audio_tokens": _number(into, "audio_tokens"),
        "input_text_tokens": _number(into, "text_tokens"),
        "output_audio_tokens": _number(out, "audio_tokens"),
        "output_text_tokens": _number(out, "text_tokens"),
    }


def _part(found: dict[str, Any], name: str) -> dict[str, Any]:
    part = found.get(name)
    return part if isinstance(part, dict) else {}


def _number(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    return value if type(value) is int and 0 <= value < _LARGEST else 0
