"""Traces of a process that serves: spans to the collector that OpenTelemetry's own variables name. Needs the extra `otel`.

OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318), OTEL_SERVICE_NAME and the others mean what its documentation says.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from ..engine.tracing import Tracing

__all__ = ["tracing"]


@asynccontextmanager
async def tracing() -> AsyncIterator[Tracing]:
    """An observer whose spans are exported; those that are left are sent at the end, which takes some seconds at most."""
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "turnlog"}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield Tracing(provider)
    finally:
        await asyncio.to_thread(provider.shutdown)
