"""One handler, driven by events: live and in replay alike.

Events go in one at a time in log order, the loop drained to quiescence after each; commands come out. What a drain asked
for carries the seq of the event that woke it.
"""

import asyncio
from functools import partial
from typing import Final, NamedTuple

from ...core import commands as c
from ...core import events as e
from ...core.errors import HandlerStuck, SessionEnded
from ..app import Handler
from .asking import Asking
from .current import SESSION
from .escapes import run_callbacks
from .frames import raised_in
from .handler_loop import HandlerLoop
from .issued import Issued
from .journal import Journal
from .session import RealtimeSession
from .strict import run_refusing, strictly
from .watchdog import HandlerLimits, Watch

__all__ = ["DELIVERED", "ENGINE_FLAGS", "STRICT", "Asked", "HandlerRun", "definition_site", "how_it_ended", "words_of"]

ENGINE_FLAGS = 1  # choices of the handler's scheduling that replay depends on; a new choice takes a new bit
STRICT = 2  # the handler ran in strict mode: what that refused, it refuses in a replay

DELIVERED = (
    e.SayRequested,
    e.SayRepeated,
    e.SayCancelRequested,
    e.PlayoutEnded,
    e.CallCompleted,
    e.CallFailed,
    e.EndRequested,
    e.StreamItem,
    e.StreamEnded,
    e.SignalReceived,
    e.UpdateApplied,
    e.UpdateRefused,
    e.TurnEnded,
    e.SaySettled,
    e.TimerFired,
    e.CallersGone,
    e.SessionEnding,
    e.SessionEnded,
)


class Asked(NamedTuple):
    """A command and the seq of the event in whose drain it was issued."""

    issued: Issued
    cause: int


class HandlerRun:
    """A handler's task on its own loop. `finished` once its coroutine has returned or raised.

    caught_up: whether it has seen all that was delivered. patches: see Asking. strict: None is as the session's engine_flags
    say. limits: watched by them; one that does not yield fails.
    """

    caught_up: Final = True

    def __init__(
        self,
        handler: Handler,
        started: e.SessionStarted,
        at_ns: int,
        *,
        strict: bool | None = None,
        limits: HandlerLimits | None = None,
        patches: frozenset[str] | None = None,
    ) -> None:
        self._watch = Watch(started.session, limits) if limits else None
        run = run_refusing if (bool(started.engine_flags & STRICT) if strict is None else strict) else run_callbacks
        watched = partial(self._watch.run, run) if self._watch else run
        self.loop = HandlerLoop(at_ns, partial(strictly, watched) if run is run_refusing else watched)
        self.journal = Journal(Asking(self.loop, patches))
        self.journal.record.observe(1, at_ns, started)  # who answers, as declared: the conversation depends on it
        self.finished = False
        self.failure: BaseException | None = None
        self._handler = handler
        self._session = RealtimeSession(self.journal, started)

    def start(self, seq: int) -> list[Asked]:
        """Begin: the handler runs to its first await. seq: of SessionStarted."""
        self._task = self.loop.start(self._main())
        return self._drain(seq)

    def observe(self, seq: int, at_ns: int, event: e.Event) -> None:
        """See every event in log order, before `deliver` if it is one of DELIVERED. Nothing runs."""
        self.journal.record.observe(seq, at_ns, event)

    def deliver(self, seq: int, at_ns: int, event: e.Event) -> list[Asked]:
        """Give the handler one event of DELIVERED, and take what it asks for then."""
        self.loop.advance(at_ns)
        if isinstance(event, e.TimerFired):
            self.loop.fire(event.timer, at_ns)
        else:
            self.journal.deliver(seq, event)
        return self._drain(seq)

    def next_timer(self) -> tuple[int, int] | None:
        """(number, deadline_ns) of the handler's earliest timer, the deadline on the log's clock."""
        return None if self.finished else self.loop.next_timer()

    def waits_at(self) -> list[tuple[str, int, str]]:
        """Where the handler stands: (file, line, function) frames, outermost first."""
        return [] if self.finished else self.loop.where(self._task)

    def close(self) -> None:
        """Cancel what is left, in creation order; what it asks for then is swallowed."""
        self.journal.waits.close()
        self.loop.close_all()
        self.journal.waits.let_go()
        if self._watch:
            self._watch.close()

    async def _main(self) -> None:
        SESSION.set(self._session.session_id)  # in the context of this task, which is the handler's own
        # Strategy: the handler's end is a command like the others, so that replay compares it the same way.
        try:
            await self._handler(self._session)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if self.loop.closing or self._stuck:
                raise
            command, site = how_it_ended(error)
            self.failure = error if isinstance(command, c.Fail) else None
            self._finish(command, site)
        else:
            if not self._stuck:
                self._finish(c.Return())

    @property
    def _stuck(self) -> bool:
        """Whether the watchdog had to interrupt it: then that, and nothing it does since, is how the handler ends."""
        return self._watch is not None and self._watch.interrupted

    def _finish(self, command: c.Command, site: c.Site | None = None) -> None:
        self.finished = not self.loop.closing
        self.journal.asking.enter(command, site or definition_site(self._handler))

    def _drain(self, seq: int) -> list[Asked]:
        try:
            self.loop.drain()
        except SystemExit:  # asyncio lets it through beside the task that it ends; the rest is still to be run
            return self._drain(seq)
        if self._stuck and not self.loop.is_closed():
            self._cut_off()
        return [Asked(one, seq) for one in self.journal.asking.take()]

    def _cut_off(self) -> None:
        if not self.finished:
            self.failure = HandlerStuck()
            self._finish(c.Fail(type_name="HandlerStuck", message=words_of(self.failure)))
        self.close()


def words_of(error: BaseException) -> str:
    """The error's message as text that can be stored."""
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be read)"
    return text.encode(errors="backslashreplace").decode()


def how_it_ended(error: BaseException) -> tuple[c.Return | c.Fail, c.Site | None]:
    """The command that says what a handler raised, and the line where it did."""
    if _is_the_end(error):
        return c.Return(), None
    frames = raised_in(error.__traceback__)
    return c.Fail(type_name=type(error).__name__, message=words_of(error), frames=frames), _raised_at(error)


def definition_site(handler: Handler) -> c.Site:
    """The first line of a handler."""
    code = getattr(handler, "__code__", None)
    return c.Site(code.co_filename, code.co_firstlineno) if code else c.Site("", 0)


def _is_the_end(error: BaseException) -> bool:
    """SessionEnded, alone or as all that the tasks of a TaskGroup raised."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(SessionEnded)[1] is None
    return isinstance(error, SessionEnded)


def _raised_at(error: BaseException) -> c.Site | None:
    """The innermost line of the traceback."""
    traceback = error.__traceback__
    if traceback is None:
        return None
    while traceback.tb_next:
        traceback = traceback.tb_next
    return c.Site(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
