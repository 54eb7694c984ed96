"""Two sequences of commands beside each other: what is equal, changed, added, missing. Pure."""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Literal

import msgspec

from ...core import commands as c
from ..handlers.handler_run import DELIVERED
from .answers import Decoded
from .divergence import brief, command_of, first_difference, records_command, site_of

__all__ = ["Issue", "Row", "Shown", "WhatIf", "issued_until", "side_by_side"]


class Issue(msgspec.Struct, frozen=True):
    """A command as it was issued."""

    index: int
    command: c.Command
    site: c.Site


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A command for people: its index, its text, and where in which file it was issued (line 0: not known)."""

    index: int
    text: str
    file: str = ""
    line: int = 0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of both sequences. `difference` is the first one, where both are there and the kind is the same."""

    status: Literal["equal", "changed", "added", "missing"]
    recorded: Shown | None = None
    now: Shown | None = None
    difference: str = ""


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """What a changed handler asks for beside what was asked for then, up to event `seq` of the record.

    stopped: why it went no further; "" if the handler, or its session, has ended.
    """

    session: str
    seq: int
    rows: list[Row]
    stopped: str = ""


def issued_until(log: Iterable[Decoded], last: int) -> list[Issue]:
    """The commands of a log up to event `last`, and those asked for there, up to the next thing from outside."""
    found: list[Issue] = []
    for seq, _, event in log:
        if records_command(event):
            found.append(Issue(*command_of(event), site_of(event)))
        elif seq > last and isinstance(event, DELIVERED):
            break
    return found


def side_by_side(recorded: Sequence[Issue], now: Sequence[Issue]) -> list[Row]:
    """Align two sequences by their longest common parts."""
    then_keys, now_keys = ([_key(issue, {one.index: one for one in side}) for issue in side] for side in (recorded, now))
    rows: list[Row] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, then_keys, now_keys, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs = zip(recorded[i1:i2], now[j1:j2], strict=True)
            rows += [Row(status="equal", recorded=_shown(then), now=_shown(today)) for then, today in pairs]
            continue
        both = min(i2 - i1, j2 - j1)
        rows += [_changed(then, today) for then, today in zip(recorded[i1 : i1 + both], now[j1 : j1 + both], strict=True)]
        rows += [Row(status="missing", recorded=_shown(then)) for then in recorded[i1 + both : i2]]
        rows += [Row(status="added", now=_shown(today)) for today in now[j1 + both : j2]]
    return rows


def _key(issue: Issue, side: dict[int, Issue]) -> bytes:
    command = issue.command
    if isinstance(command, c.Abandon):  # its index is another one as soon as one command more or less stands before it
        abandoned = side.get(command.command)
        return b"abandon " + (c.compared(abandoned.command) if abandoned else b"")
    return c.compared(command)


def _changed(then: Issue, now: Issue) -> Row:
    _, difference = first_difference(then.command, now.command)
    alike = type(then.command) is type(now.command)
    return Row(status="changed", recorded=_shown(then), now=_shown(now), difference=difference if alike else "")


def _shown(issue: Issue) -> Shown:
    return Shown(index=issue.index, text=brief(issue.command), file=issue.site.file, line=issue.site.line)
