"""Who is to act next: the answer, and how the rules say it."""

from typing import Literal, NamedTuple

import msgspec

from ..commands import Site
from .trail import AnyEvent, Entry

__all__ = ["MS", "Case", "Owner", "S", "Waiter", "brief"]

Owner = Literal["user", "caller", "provider", "handler", "tool", "program", "engine"]
MS, S = 1_000_000, 1_000_000_000


class Waiter(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to act next, after the event `seq`, at `at_ns`.

    `name` is what is waited for, `what` says it. `since_seq` is the event since which it is so, `age_ms` how long that is;
    `until_ns` is when the clock ends it. `site` is the line of the handler that waits; `stands` is False where it is only
    the last line that asked for anything.
    """

    name: str
    owner: Owner
    what: str
    seq: int
    at_ns: int
    since_seq: int
    since_ns: int
    age_ms: int
    until_ns: int | None = None
    site: Site | None = None
    stands: bool = False


class Case(NamedTuple):
    """A waiter before its ages are worked out; site: None is the last line that asked for anything."""

    name: str
    owner: Owner
    what: str
    since: Entry[AnyEvent]
    until_ns: int | None = None
    site: Site | None = None


def brief(text: str) -> str:
    """The beginning of a text, on one line."""
    words = " ".join(text.split())
    return words if len(words) <= 40 else words[:39] + "…"
