"""A proxied call in operation: it is counted as others are, and a drain waits for it."""

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.proxying import proxying


async def metric(http: httpx.AsyncClient, name: str) -> float:
    """One sample of /metrics; the sum of it over its labels."""
    families = text_string_to_metric_families((await http.get("/metrics")).text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


async def test_a_proxied_call_is_counted_and_drained() -> None:
    """It is a session in /metrics; while the engine drains it goes on and no other starts; after the grace it is told 1001."""
    async with proxying() as running, httpx.AsyncClient(base_url=running.url) as http:
        async with running.through() as (caller, provider):
            assert await metric(http, "turnlog_sessions") == 1
            draining = asyncio.create_task(running.engine.drain(60))
            while (await http.get("/readyz")).status_code == 200:
                pass
            with pytest.raises(InvalidStatus) as refused:
                await running.call()
            assert refused.value.response.status_code == 503
            await caller.send("still there")
            assert await provider.recv() == "still there"
            draining.cancel()
            await running.engine.drain(0)
            with pytest.raises(ConnectionClosed) as closed:
                await caller.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
        assert await metric(http, "turnlog_sessions") == 0
        assert await metric(http, "turnlog_sessions_started_total") == await metric(http, "turnlog_sessions_ended_total") == 1
        events = await running.log()
        assert await metric(http, "turnlog_events_total") == len(events)
    assert events[-1].reason == "engine_stopped"
