"""`GET /metrics`: the figures of this server as Prometheus reads them, for those who may observe all of it.

What is told is counted from the moment at which the application was made, in a registry of its own: a process may have several.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..core.errors import TurnlogError
from ..engine.engine import Engine
from .access import Access
from .answers import error_answer
from .figures import Buckets, Figures

__all__ = ["COUNTERS", "Metrics"]

COUNTERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "sessions_started": ("Sessions that were started.", ("target",)),
    "sessions_ended": (
        "Sessions that ended, by the reason in their log; failed: it could not be written, left: it stays open.",
        ("target", "reason"),
    ),
    "turns": ("Turns of users that ended.", ("target", "channel")),
    "barge_ins": ("Playouts that speech has cut.", ("target",)),
    "says": ("Says that were settled.", ("target", "status")),
    "say_mismatches": ("Says whose spoken words were not those asked for.", ("target",)),
    "calls": ("Calls of tools and steps that ended; refused: the model was not offered the tool.", ("target", "outcome")),
    "tokens": (
        "Tokens that providers reported; cached, *_audio and *_text are parts of input and output.",
        ("target", "provider", "model", "kind"),
    ),
    "audio_ms": ("Milliseconds of audio, by whom it came from, and those delivered to callers.", ("target", "track")),
}
"""What Figures counts: help and label names, by name."""


class Metrics:
    """The route, and the observer behind it."""

    def __init__(self, engine: Engine, access: Access) -> None:
        figures = Figures()
        engine.observers.add(figures)
        self._access = access
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Told(engine, figures))
        ProcessCollector(registry=self._registry)
        self.routes = [Route("/metrics", self.tell)]

    async def tell(self, request: Request) -> Response:
        """200 and the text, in the form that the Accept header asks for."""
        try:
            who = await self._access.check(request, "observe")
            if who.tenant:
                hint = "use a key that is of no tenant"
                raise TurnlogError("TL507", "metrics are of all tenants, and this key is of one", hint)
        except TurnlogError as error:
            return error_answer(error)
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"Content-Type": kind, "Cache-Control": "no-store"})


class _Told(Collector):
    """The figures as Prometheus's families."""

    def __init__(self, engine: Engine, figures: Figures) -> None:
        self._engine = engine
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        running = GaugeMetricFamily("turnlog_sessions", "Sessions that run.", labels=["target"])
        engine = self._engine
        here = [live.target for table in (engine.sessions, engine.proxied.sessions) for live in table.values()]
        for target in sorted({*here, *(one.target for one in self._engine.directory.all())}):
            running.add_metric([target], here.count(target))
        yield running
        yield GaugeMetricFamily("turnlog_draining", "1 while no session is started any more.", float(self._engine.draining))
        events = CounterMetricFamily("turnlog_events", "Events that were written to the log.", labels=["type"])
        for kind, count in sorted(self._figures.events.items()):
            events.add_metric([kind], count)
        yield events
        yield from self._counters()
        append = HistogramMetricFamily("turnlog_append_seconds", "How long appends to the log took.")
        _add(append, [], self._figures.append_s)
        yield append
        turn = HistogramMetricFamily(
            "turnlog_turn_latency_seconds",
            "From the end of a user's speech, as it was detected, or of typing, to the first audio or words of the answer.",
            labels=["target"],
        )
        for target, buckets in sorted(self._figures.turn_s.items()):
            _add(turn, [target], buckets)
        yield turn

    def _counters(self) -> Iterator[Metric]:
        families = {
            name: CounterMetricFamily(f"turnlog_{name}", text, labels=list(labels)) for name, (text, labels) in COUNTERS.items()
        }
        for (name, *labels), count in sorted(self._figures.counts.items()):
            families[name].add_metric(labels, count)
        yield from families.values()


def _add(family: HistogramMetricFamily, labels: list[str], buckets: Buckets) -> None:
    bounds = [*map(str, buckets.bounds), "+Inf"]
    family.add_metric(labels, list(zip(bounds, accumulate(buckets.counts), strict=True)), buckets.sum)
