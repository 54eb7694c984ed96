"""Spans of OpenTelemetry: one of each session, of its turns, and of the calls, steps and streams that it makes. Extra `otel`.

An observer like others: `Engine(app, observers=[Tracing()])`. Times are the log's own. Nothing that was said or asked with is in
a span: names, ids, durations and outcomes are. Where a session is started within a span, its own is below that.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from ..core import events as e
from ..core.core import Staged
from ..core.errors import MissingExtra

try:
    from opentelemetry import trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
except ModuleNotFoundError as missing:
    raise MissingExtra("otel", f"traces ({missing.name} is not installed)") from missing

__all__ = ["Tracing"]

_WIRE = frozenset({e.TransportReceived, e.TransportSent, e.MediaRecorded})
_FAILED = frozenset({"provider_lost", "handler_failed", "engine_fault", "node_lost"})


class Tracing:
    """Makes spans of what sessions do. provider: where tracers come from, else OpenTelemetry's own global one."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("turnlog", tracer_provider=provider)
        self._sessions: dict[str, _Session] = {}

    def appended(self, session: str, staged: Sequence[Staged], seconds: float) -> None:
        """Begin and end spans."""
        known = self._sessions.get(session)
        for one in staged:
            if known is not None:
                known.last_ns = one.at_ns
                if type(one.event) not in _WIRE:
                    known.take(one)
            elif isinstance(one.event, e.SessionStarted):
                known = self._sessions[session] = _Session(self._tracer, one.event, one.at_ns)

    def around(self, session: str, seq: int) -> AbstractContextManager[object]:
        """The span of what event `seq` asks for: what it does itself is below that, in other processes too."""
        known = self._sessions.get(session)
        span = known.calls.get(seq) if known else None
        return nullcontext() if span is None else trace.use_span(span, record_exception=False, set_status_on_exception=False)

    def closed(self, session: str, failure: BaseException | None) -> None:
        """End what is open."""
        if known := self._sessions.pop(session, None):
            known.close(failure)


class _Session:
    """The spans of one session. calls: those that are open, by the seq of their request; names: that seq, by index or call id."""

    def __init__(self, tracer: trace.Tracer, started: e.SessionStarted, at_ns: int) -> None:
        definition = started.definition
        named = {"session": started.session, "target": started.target, "provider": definition.provider}
        named |= {"transport": definition.transport, "model": definition.model or "", "code_version": started.code_version}
        self._tracer = tracer
        title, kind = f"session {started.target}", SpanKind.SERVER
        self.root = tracer.start_span(title, kind=kind, start_time=at_ns, attributes=_named(named))
        self.turn = _Turn()
        self.calls: dict[int, Span] = {}
        self.names: dict[int | str, int] = {}
        self.last_ns = at_ns

    def take(self, one: Staged) -> None:
        """See an event of the log."""
        match one.event:
            case e.CallRequested():
                self._begin(one, one.event.index, f"call {one.event.command.target}", {"call": one.event.call, "by": "handler"})
            case e.ToolRequested(allowed=True):
                self._begin(one, one.event.call_id, f"call {one.event.name}", {"call": one.event.call_id, "by": "model"})
            case e.StepRequested():
                self._begin(one, one.event.index, f"step {one.event.command.name}", {"call": one.event.step})
            case e.StreamRequested():
                self._begin(one, one.event.index, f"stream {one.event.command.name}", {"call": one.event.stream})
            case e.AttemptFailed():
                self._tell(one.event.index, one)
            case e.CallCompleted():
                self._end(one.event.index, one.at_ns)
            case e.CallFailed() | e.StreamEnded():
                self._end(one.event.index, one.at_ns, one.event.type_name)
            case e.ToolAnswered():
                self._end(one.event.call_id, one.at_ns, "" if one.event.ok else "tool_failed")
            case e.CommandAbandoned():
                self._tell(one.event.command, one)
            case e.SessionEnded():
                self.root.set_attributes(_named({"reason": one.event.reason}))
                if one.event.reason in _FAILED:
                    self.root.set_status(Status(StatusCode.ERROR, one.event.reason))
            case _:
                self.turn.take(one, self._tracer, self.root)

    def close(self, failure: BaseException | None) -> None:
        """End all that is open, at the time of the last event."""
        for span in self.calls.values():
            span.end(self.last_ns)
        self.turn.end()
        if failure is not None:
            self.root.set_status(Status(StatusCode.ERROR, type(failure).__name__))
        self.root.end(self.last_ns)

    def _begin(self, one: Staged, name: int | str, title: str, named: dict[str, str]) -> None:
        below = trace.set_span_in_context(self.turn.span or self.root)
        span = self._tracer.start_span(title, below, SpanKind.INTERNAL, start_time=one.at_ns, attributes=_named(named))
        self.calls[one.seq], self.names[name] = span, one.seq
        self.turn.last_ns = one.at_ns

    def _tell(self, name: int | str, one: Staged) -> None:
        if span := self.calls.get(self.names.get(name, 0)):
            span.add_event(type(one.event).__name__, timestamp=one.at_ns)

    def _end(self, name: int | str, at_ns: int, failed: str = "") -> None:
        span = self.calls.pop(self.names.pop(name, 0), None)
        if span is None:
            return
        if failed:
            span.set_attribute("error.type", failed)
            span.set_status(Status(StatusCode.ERROR, failed))
        span.end(at_ns)
        self.turn.last_ns = at_ns


class _Turn:
    """The span of the latest turn: from where the user began to speak, or had typed, to the last that came of it."""

    def __init__(self) -> None:
        self.span: Span | None = None
        self.last_ns = 0
        self._spoke: dict[str, int] = {}  # where the speech of an item began; of the latest few
        self._waits_ns: int | None = None

    def take(self, one: Staged, tracer: trace.Tracer, root: Span) -> None:
        """See an event that is of no call."""
        event, at_ns = one.event, one.at_ns
        match event:
            case e.SpeechStarted():
                self._spoke = {**self._spoke, event.item: at_ns} if len(self._spoke) < 8 else {event.item: at_ns}
            case e.TurnEnded():
                self.end()
                named = {"turn": event.turn, "channel": event.channel, "interrupted": len(event.interrupted)}
                begun_ns = self._spoke.pop(event.item, at_ns)
                below = trace.set_span_in_context(root)
                self.span = tracer.start_span("turn", below, start_time=begun_ns, attributes=_named(named))
                self.span.add_event("TurnEnded", timestamp=at_ns)
                self.last_ns = self._waits_ns = at_ns
            case e.AudioStarted() | e.PlayoutCut() | e.PlayoutEnded() | e.SaySettled() | e.ResponseEnded() if self.span:
                self.last_ns = at_ns
                wordy = isinstance(event, e.ResponseEnded) and bool(event.transcript) and not event.generated_ms
                if (wordy or isinstance(event, e.AudioStarted)) and self._waits_ns is not None:
                    self.span.set_attribute("turnlog.answered_ms", (at_ns - self._waits_ns) // 1_000_000)
                    self._waits_ns = None
                if isinstance(event, e.AudioStarted | e.PlayoutCut):
                    self.span.add_event(type(event).__name__, timestamp=at_ns)
            case _:
                pass

    def end(self) -> None:
        """End its span, where the last of it was."""
        if self.span:
            self.span.end(self.last_ns)
            self.span = None


def _named(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    return {f"turnlog.{name}": value for name, value in attributes.items()}
