"""Events as lines of a timeline, which of them to show, and a session's whole trail. What show, tail, chain and why share."""

import asyncio
import difflib
from typing import Literal, NamedTuple

import click

from ..core import events as e
from ..core.events import EVENT_TYPES, WIRE_TYPES
from ..core.explain import Trail
from ..core.explain.trail import AnyEvent
from ..core.facts import cause_name
from ..core.ports import SessionRow
from .essence import essence
from .options import WIDTH, find_session, open_for_reading

__all__ = ["COLUMNS", "Filter", "Side", "clip", "event_line", "event_type", "load_trail", "side_of", "type_name"]

Side = Literal["provider", "caller", "handler"]
COLUMNS = f"{'seq':>5} {'ms':>8}  {'cause':<6} {'event':<23} what"
_OF_HANDLER = (e.TimerFired, e.SignalReceived)  # and whatever has a command's index
_OF_CALLER = (
    *(e.AudioStarted, e.ResponseDelivered, e.PlayoutCut, e.PlayoutEnded, e.SaySettled, e.CallersGone),
    *(e.CallerAwaited, e.CallOpened, e.CallRefused, e.CallEnded, e.OutsideCallRequested, e.OutsideCallEnded),
    *(e.TurnEnded, e.TurnDiscarded, e.DigitPressed, e.SpeechConfirmed),
)
_OF_SESSION = (e.SessionStarted, e.SessionEnding, e.SessionEnded, e.AnswersSwitched, e.Unknown, e.Erased)


def side_of(event: AnyEvent) -> Side | None:
    """Whose event it is: from or to the provider, from or to a caller, of the handler's journal; None: of the session."""
    if isinstance(event, _OF_SESSION):
        return None
    if isinstance(event, _OF_HANDLER) or hasattr(event, "index"):
        return "handler"
    if isinstance(event, e.LinkOpened | e.LinkFailed):
        return "provider" if event.side == "voice" else event.side
    link = getattr(event, "link", None) or getattr(event, "track", "")
    if link:
        return "caller" if link.startswith("c") else "provider"
    return "caller" if isinstance(event, _OF_CALLER) else "provider"


class Filter(NamedTuple):
    """Which events are shown. types: only those, if any; the wire only if it is asked for, by `wire` or by type."""

    types: frozenset[str] = frozenset()
    side: Side | None = None
    wire: bool = False

    @property
    def wants_wire(self) -> bool:
        """Whether any event of the wire can pass."""
        return self.wire or bool(self.types & WIRE_TYPES)

    def passes(self, event: AnyEvent) -> bool:
        """Whether this event is shown."""
        name = type_name(event)
        if self.types:
            shown = name in self.types
        else:
            shown = self.wire or name not in WIRE_TYPES
        return shown and (self.side is None or side_of(event) == self.side)


def event_type(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> frozenset[str]:
    """The types that were named, in any case of letters. Raises BadParameter for one that does not exist."""
    known = {name.lower(): name for name in EVENT_TYPES}
    for name in given:
        if name.lower() not in known:
            near = [known[one] for one in difflib.get_close_matches(name.lower(), known, 3)]
            raise click.BadParameter(f"no event is called {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
    return frozenset(known[name.lower()] for name in given)


def type_name(event: AnyEvent) -> str:
    """The type as the log names it."""
    return event.type if isinstance(event, e.Unknown | e.Erased) else type(event).__name__


def event_line(seq: int, ms: int, cause: int, event: AnyEvent) -> str:
    """An event in at most WIDTH columns."""
    return clip(f"{seq:>5} {ms:>8}  {cause_name(cause):<6} {type_name(event):<23} {essence(event)}")


def clip(line: str) -> str:
    """A text as one line, cut to WIDTH columns."""
    line = " ".join(line.splitlines())
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


async def load_trail(db: str, session: str, *, partial: bool = False) -> tuple[SessionRow, Trail]:
    """A session and all its events. Raises StoreError as the store does, TL418 for a session without events."""
    store, name = await asyncio.to_thread(open_for_reading, db, session, partial=partial)
    try:
        row = await find_session(store, name)
        return row, await asyncio.to_thread(lambda: Trail.of(store.scan(row.session)))
    finally:
        await store.close()
