"""The trace that running code is part of, as headers for a request that it makes. None where OpenTelemetry is not installed."""

from collections.abc import Callable
from typing import Any

try:
    from opentelemetry.propagate import inject
except ModuleNotFoundError:  # the extra `otel` is not here: there is no trace to go on
    _inject: Callable[[dict[str, str]], Any] | None = None
else:
    _inject = inject

__all__ = ["trace_headers"]


def trace_headers() -> dict[str, str]:
    """`traceparent` and what belongs to it, to be sent along with a request: its trace goes on there. {} outside of one."""
    headers: dict[str, str] = {}
    if _inject is not None:
        _inject(headers)
    return headers
