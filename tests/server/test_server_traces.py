"""Traces leave the process: to the collector that the environment names, all of them before it ends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.engine.living import living
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.server.traces import tracing


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A collector on loopback: its address, and what it was sent."""
    received: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            serving.join()


async def handler(session: RealtimeSession) -> None:
    """End at once."""


async def test_spans_are_sent_before_the_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session's span, under the service's name, by OpenTelemetry's own variable."""
    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        async with tracing() as observer:
            async with living(handler, engine={"observers": [observer]}) as alive:
                await alive.ended()
    resources = [one for request in received for one in request.resource_spans]
    names = [span.name for one in resources for scope in one.scope_spans for span in scope.spans]
    assert names == ["session hotel.desk"]
    attributes = [item for one in resources for item in one.resource.attributes]
    assert [item.value.string_value for item in attributes if item.key == "service.name"] == ["turnlog"]
