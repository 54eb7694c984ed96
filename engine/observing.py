"""Observers: who is told of what a session's log has taken. They count, measure and trace; they decide nothing.

Invariant: an observer cannot disturb a session. It is told behind the append, what it raises is logged and goes no further,
and a session without observers pays next to nothing.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol, TypeVar, TypeVarTuple

from ..core.core import Staged

__all__ = ["Observer", "Observers", "Watched"]

T = TypeVar("T")
_Ts = TypeVarTuple("_Ts")

log = logging.getLogger("turnlog")


class Observer(Protocol):
    """Told of every session of an engine, in the event loop: what it does must be quick, and must not wait."""

    def appended(self, session: str, staged: Sequence[Staged], seconds: float) -> None:
        """These events are in the log, in this order; writing them took so long. Acting on them follows."""

    def around(self, session: str, seq: int) -> AbstractContextManager[object]:
        """What surrounds the start of a tool, step or stream, asked for by event `seq`: its task inherits the context."""

    def closed(self, session: str, failure: BaseException | None) -> None:
        """The session runs here no more. failure: why, where its log has no end."""


class Observers:
    """The observers of one engine."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = list(observers)
        self._failed: set[type] = set()

    def add(self, observer: Observer) -> None:
        """Tell this one, too, from now on. A session that runs already is one whose beginning it has not seen."""
        self._observers.append(observer)

    def remove(self, observer: Observer) -> None:
        """Tell it no more."""
        self._observers.remove(observer)

    def appended(self, session: str, staged: Sequence[Staged], seconds: float) -> None:
        """Pass on; see Observer."""
        for observer in self._observers:
            self._guarded(observer, observer.appended, session, staged, seconds)

    def closed(self, session: str, failure: BaseException | None) -> None:
        """Pass on; see Observer."""
        for observer in self._observers:
            self._guarded(observer, observer.closed, session, failure)

    @contextmanager
    def around(self, session: str, seq: int) -> Iterator[None]:
        """All their surroundings, one in the other; one that cannot be entered or left is left out."""
        with ExitStack() as left:
            for observer in self._observers:
                manager = self._guarded(observer, observer.around, session, seq)
                if manager is not None and self._guarded(observer, _entered, manager):
                    left.callback(self._guarded, observer, manager.__exit__, None, None, None)
            yield

    def _guarded(self, observer: Observer, tell: Callable[[*_Ts], T], *told: *_Ts) -> T | None:
        try:
            return tell(*told)
        except Exception:
            kind = type(observer)
            if kind not in self._failed:  # once: it is told several times a second
                self._failed.add(kind)
                log.exception("the observer %s failed; its next failures are not logged", kind.__qualname__)
            return None


class Watched:
    """The observers, as one session tells them."""

    __slots__ = ("_observers", "_session")

    def __init__(self, observers: Observers, session: str) -> None:
        self._observers = observers
        self._session = session

    def appended(self, staged: Sequence[Staged], seconds: float) -> None:
        """See Observer."""
        self._observers.appended(self._session, staged, seconds)

    def around(self, seq: int) -> AbstractContextManager[None]:
        """See Observer."""
        return self._observers.around(self._session, seq)

    def closed(self, failure: BaseException | None) -> None:
        """See Observer."""
        self._observers.closed(self._session, failure)


def _entered(manager: AbstractContextManager[object]) -> bool:
    manager.__enter__()
    return True
