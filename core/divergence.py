"""What a divergence is, as values and in words: both sides of it, never mixed up. engine/offline/divergence.py finds them.

Invariant: the words fit COLUMNS; the values are whole.
"""

from typing import Literal

import msgspec

__all__ = ["COLUMNS", "DivergenceKind", "DivergenceReport", "DivergenceSide", "clip", "headline", "remedy"]

COLUMNS = 100
_WHERE = 28  # columns of file:line
_MATCHED = 24  # columns of each command that matched

DivergenceKind = Literal["kind", "arguments", "ended", "waits", "added", "raised"]


class DivergenceSide(msgspec.Struct, frozen=True, kw_only=True):
    """One side: the command as text, or what stands in place of one, e.g. "(waits)"; and where in which code."""

    command: str
    file: str = ""
    line: int = 0
    code: str = ""  # digest of the handler's source
    python: str = ""  # major.minor

    @property
    def where(self) -> str:
        """file:line, the file without its folders."""
        return f"{self.file.replace(chr(92), '/').rpartition('/')[2]}:{self.line}" if self.line else ""


class DivergenceReport(msgspec.Struct, frozen=True, kw_only=True):
    """Where a replay left the log. kind:

    kind: another command; arguments: the same with others, `field` is the path of the first; ended, waits: the log has a
    command where the handler returned or awaits what does not come; added: the handler asks for more than the log has at its
    end; raised: an exception where there was none.
    """

    session: str
    index: int  # of the command
    seq: int  # of the event it was compared with
    kind: DivergenceKind
    recorded: DivergenceSide
    now: DivergenceSide
    difference: str
    field: str = ""
    matched: list[str] = []  # the last commands that were equal, oldest first


def headline(report: DivergenceReport) -> str:
    """The report in five lines."""
    matched = "  ".join(clip(one, _MATCHED) for one in report.matched)
    return "\n".join(
        (
            f"divergence in {report.session} at command {report.index} (seq {report.seq})",
            *_sides(report.recorded, report.now),
            clip(f"  first difference: {report.difference}", COLUMNS),
            f"  last matching:  {matched or '(none)'}",
        )
    )


def remedy(report: DivergenceReport) -> str:
    """What can be done about it."""
    code = report.recorded.code
    return (
        'if this change is meant, guard it with session.patched("…"): recorded sessions then replay as they were'
        + (f";\n  the log was recorded on code {code}" if code and code != report.now.code else "")
    )


def clip(text: str, columns: int) -> str:
    """The text in at most so many columns, an ellipsis where it was cut."""
    return text if len(text) <= columns else text[: columns - 1] + "…"


def _sides(recorded: DivergenceSide, now: DivergenceSide) -> list[str]:
    where = min(_WHERE, max(len(recorded.where), len(now.where)))
    about = [f"code {one.code or '?':<8}  Python {one.python or '?'}" for one in (recorded, now)]
    room = COLUMNS - len("  RECORDED  ") - len("  ") - where - len("  ") - max(map(len, about))
    command = min(room, max(len(recorded.command), len(now.command)))
    return [
        f"  {name}  {clip(one.command, command):<{command}}  {clip(one.where, where):<{where}}  {rest}"
        for name, one, rest in zip(("RECORDED", "NOW     "), (recorded, now), about, strict=True)
    ]
