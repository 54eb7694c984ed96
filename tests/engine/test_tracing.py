"""Spans: a session, its turns and its calls, with the log's times, and nothing of what was said."""

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from tests.engine.living import Speaker, living
from turnlog.core import events as e
from turnlog.core.commands import Site, Step
from turnlog.core.core import Staged
from turnlog.core.errors import LinkError, MissingExtra, StepError, StoreError
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.propagation import trace_headers
from turnlog.engine.tracing import Tracing


class Spans:
    """What is exported, by name."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def all(self) -> Sequence[ReadableSpan]:
        """Every span that has ended, in the order of their ends."""
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        """The one span of this name."""
        (found,) = [span for span in self.all() if span.name == name]
        return found


def parent(span: ReadableSpan) -> int:
    """The id of the span that it is below; 0 for none."""
    return int(span.parent.span_id) if span.parent else 0


def attribute(span: ReadableSpan, name: str) -> object:
    """One of its attributes; None for what it has not."""
    return (span.attributes or {}).get(name)


def own(span: ReadableSpan) -> int:
    """Its id."""
    return int(span.context.span_id) if span.context else 0


async def look_up(name: str) -> dict[str, str]:
    """A tool that makes a request: what it would send along."""
    return trace_headers()


async def broken() -> None:
    """A step that fails."""
    raise LookupError("no such room: SECRET")


async def pieces() -> AsyncIterator[str]:
    """A stream that never ends by itself."""
    yield "SECRET piece"
    await asyncio.Event().wait()


async def test_a_session_its_turn_and_its_calls_are_one_trace() -> None:
    """The call is below the turn, the turn below the session, what a tool asks for below the call; the times are the log's."""
    spans, sent = Spans(), list[dict[str, str]]()

    async def handler(session: RealtimeSession) -> None:
        turn = await session.input()
        sent.append(dict(await session.call("look_up", name=turn.text)))
        with suppress(StepError):
            await session.step(broken)
        await (await session.say("SECRET words")).settled()

    async with living(handler, tools={"look_up": look_up}, engine={"observers": [Tracing(spans.provider)]}) as alive:
        await alive.until(e.LinkReady)
        alive.caller.type("SECRET name")
        await alive.ended()
    root, turn, call, step = (spans.named(name) for name in ("session hotel.desk", "turn", "call look_up", f"step {STEP}"))
    assert [parent(root), parent(turn), parent(call), parent(step)] == [0, own(root), own(turn), own(turn)]
    trace_id, span_id = sent[0]["traceparent"].split("-")[1:3]
    assert int(span_id, 16) == own(call)
    assert {span.context.trace_id for span in spans.all() if span.context} == {int(trace_id, 16)}
    rows = {recorded.type: recorded.at_ns for recorded in alive.store.scan(alive.session.id)}
    assert (root.end_time, call.start_time) == (rows["SessionEnded"], rows["CallRequested"])
    assert attribute(step, "error.type") == "LookupError" and step.status.status_code is StatusCode.ERROR
    assert attribute(root, "turnlog.reason") == "completed" and root.status.status_code is StatusCode.UNSET
    assert isinstance(attribute(turn, "turnlog.answered_ms"), int)
    assert "SECRET" not in "".join(span.to_json() for span in spans.all())


async def test_a_turn_ends_with_the_last_that_came_of_it() -> None:
    """It begins with the speech, names what it interrupted by number only, and the next one ends it."""
    spans, provider = Spans(), Speaker(ms=40)

    async def handler(session: RealtimeSession) -> None:
        for _ in range(2):
            await (await session.say((await session.input()).text)).settled()

    extra: dict[str, Any] = {"engine": {"observers": [Tracing(spans.provider)]}, "modalities": ["audio"]}
    async with living(handler, provider=provider, **extra) as alive:
        await alive.until(e.LinkReady)
        for n in (1, 2):
            provider.hear(f"SECRET {n}", f"item_{n}")
            await alive.until(e.SaySettled, n)
        await alive.ended()
    first, second = [span for span in spans.all() if span.name == "turn"]
    recorded = list(alive.store.scan(alive.session.id))
    begun = [one.at_ns for one in recorded if one.type == "SpeechStarted"]
    settled = [one.at_ns for one in recorded if one.type == "SaySettled"]
    assert [first.start_time, second.start_time] == begun and first.end_time == settled[0]
    assert {event.name for event in first.events} == {"TurnEnded", "AudioStarted"}
    assert attribute(first, "turnlog.channel") == "audio" and attribute(first, "turnlog.interrupted") == 0


async def test_what_the_model_calls_and_what_is_left_open_have_spans() -> None:
    """A tool of the model's by its call, failed where it failed; a stream that its session's end stops ends with it."""
    spans = Spans()

    async def handler(session: RealtimeSession) -> None:
        async for _ in session.stream(pieces):
            break
        await session.input()

    async with living(handler, engine={"observers": [Tracing(spans.provider)]}) as alive:
        await alive.until(e.StreamItem)
        alive.session.end(drain=False)
        await alive.ended()
    root, stream = spans.named("session hotel.desk"), spans.named(f"stream {__name__}:pieces")
    assert parent(stream) == own(root) and stream.end_time == root.end_time

    tracing = Tracing(spans.provider)
    asked: dict[str, Any] = {"response": "r", "item": "i", "arguments": "{}"}
    started = next(event for event in alive.story if isinstance(event, e.SessionStarted))
    told: list[e.Event] = [
        started, e.ToolRequested(call_id="a", name="good", **asked), e.ToolRequested(call_id="b", name="bad", **asked),
        e.ToolRequested(call_id="c", name="refused", allowed=False, **asked), e.ToolAnswered(call_id="b", output="{}", ok=False),
        e.ToolAnswered(call_id="a", output="{}"), e.AttemptFailed(index=9, attempt=1, type_name="X", message=""),
        e.StepRequested(index=7, step="s_7", command=Step(name="m:f"), site=Site("f.py", 1)),
        e.AttemptFailed(index=7, attempt=1, type_name="X", message="SECRET"), e.CommandAbandoned(index=8, command=7),
        e.CallCompleted(index=7, result=b"SECRET"), e.CallCompleted(index=7, result=b"again"), e.SessionEnding(reason="x"),
    ]  # fmt: skip
    tracing.appended("s", [Staged(n, n, -1, event) for n, event in enumerate(told, 1)], 0.0)
    with tracing.around("s", 4), tracing.around("unknown", 1):
        assert trace_headers() == {}
    tracing.appended("late", [Staged(9, 9, -1, e.SessionEnding(reason="x"))], 0.0)  # its beginning was not seen
    tracing.closed("s", StoreError("TL406", "the disk is full"))
    tracing.closed("s", None)
    assert [event.name for event in spans.named("step m:f").events] == ["AttemptFailed", "CommandAbandoned"]
    assert attribute(spans.named("call bad"), "error.type") == "tool_failed"
    assert spans.named("call good").status.status_code is StatusCode.UNSET
    assert not [span for span in spans.all() if span.name == "call refused"]
    assert spans.all()[-1].name == "session hotel.desk" and spans.all()[-1].status.description == "StoreError"


async def test_a_session_is_below_the_span_that_starts_it() -> None:
    """A host that traces its requests finds the session in the request's trace; a failed one is marked."""
    spans, provider = Spans(), Speaker()
    provider.failure = LinkError("TL301", "nobody there")

    async def handler(session: RealtimeSession) -> None:
        await session.input()

    with spans.provider.get_tracer("host").start_as_current_span("POST /calls") as request:
        async with living(handler, provider=provider, engine={"observers": [Tracing(spans.provider)]}) as alive:
            assert (await alive.ended()).reason == "provider_lost"
    root = spans.named("session hotel.desk")
    assert parent(root) == request.get_span_context().span_id and root.status.description == "provider_lost"


def test_without_opentelemetry_there_are_no_headers_and_tracing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the engine imports and runs; only who asks for traces is told what to install."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("propagation", "tracing"):
        monkeypatch.delitem(sys.modules, f"turnlog.engine.{name}")
    assert importlib.import_module("turnlog.engine.propagation").trace_headers() == {}
    with pytest.raises(MissingExtra, match="otel"):
        importlib.import_module("turnlog.engine.tracing")


STEP = f"{__name__}:broken"
