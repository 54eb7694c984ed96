"""One moment of a session: the state, what the handler stands at, and since when things are as they are."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from .. import events as e
from ..commands import Site
from ..errors import StoreError
from ..state import State
from .trail import AnyEvent, Entry, Trail
from .waits import Waits, site_of

__all__ = ["Moment"]

E = TypeVar("E", bound=e.Event)


class Moment(NamedTuple):
    """What was known after the entry `seq`, at `now_ns`."""

    trail: Trail
    state: State
    waits: Waits
    seq: int
    now_ns: int

    @classmethod
    def of(cls, trail: Trail, *, seq: int | None = None, at_ns: int | None = None) -> "Moment":
        """Right after an entry, or at a time; at neither: at the end. Raises StoreError TL418, TL411."""
        if at_ns is not None:
            seq = trail.at_time(at_ns).seq
        entry = trail.last if seq is None else trail.at(seq)
        now_ns = entry.at_ns if at_ns is None else at_ns
        return cls(trail, trail.state_at(entry.seq), Waits.at(trail, entry.seq), entry.seq, now_ns)

    def latest(self, kind: type[E], match: Callable[[E], bool] = lambda _: True) -> Entry[AnyEvent]:
        """The last entry of a type that matches; the state says that there is one. Raises StoreError TL411 if it was erased."""
        found = self.trail.latest(self.seq, kind, match)
        if found is None:
            raise StoreError("TL411", f"the log lacks the {kind.__name__} that its state comes from", "ask about a later event")
        return found

    def latest_of(self, *kinds: type[e.Event]) -> Entry[AnyEvent]:
        """The last entry of one of some types, or the first of the log."""
        found: list[Entry[AnyEvent]] = [entry for kind in kinds if (entry := self.trail.latest(self.seq, kind))]
        return max(found, key=lambda entry: entry.seq, default=self.trail.first)

    @property
    def site(self) -> Site | None:
        """The last line of the handler that asked for anything."""
        return site_of(self.waits.issued.event) if self.waits.issued else None
