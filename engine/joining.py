"""How a session's loop and what runs its handler learn of each other, wherever that is."""

from collections.abc import Iterator
from functools import partial

from ..core.ports import Recorded
from .handlers.host_run import HostRun
from .nodes.remote import RemoteRun, Shore
from .run import SessionRun

__all__ = ["join"]


def join(run: SessionRun) -> None:
    """Connect a handler whose commands come at moments of their own. Before it starts."""
    handler = run.handler
    handler.journal.asking.host.plays = True
    if isinstance(handler, HostRun):
        handler.connect(run.ask)
    elif isinstance(handler, RemoteRun):
        inbox, decider = run.inbox, run.decider
        past = partial(_past, run)
        handler.connect(Shore(run.ask, inbox.wake, inbox.put, past, lambda: inbox.empty and not decider.first))


def _past(run: SessionRun, after: int, until: int) -> Iterator[Recorded]:
    return run.log.scan(after=after, until=until)
