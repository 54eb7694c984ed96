"""How a session's loop and what runs its handler learn of each other, wherever that is."""

from collections.abc import Iterator

from ..core.ports import Recorded
from .host_run import HostRun
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
        handler.connect(Shore(run.ask, run.inbox.wake, run.inbox.put, lambda after, until: _past(run, after, until)))


def _past(run: SessionRun, after: int, until: int) -> Iterator[Recorded]:
    return run.log.scan(run.head.session, after=after, until=until)
