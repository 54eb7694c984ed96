"""The API held to its own OpenAPI document by Schemathesis: what it allows and what it forbids, drawn from it."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

import turnlog
from tests.server.hosting import hosted

app = turnlog.App("hotel")
CHECKS: list[Callable[..., Any]] = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance, negative_data_rejection,
    allow_header_conformance,
]  # fmt: skip
_EXAMPLES = 6


@app.session("desk", provider="local", transport="in_process")
async def desk(session: turnlog.RealtimeSession) -> None:
    """Answers each turn."""
    await session.say("Yes?")
    async for turn in session.turns():
        await session.say(turn.text)


async def test_the_api_is_what_its_document_says(tmp_path: Path) -> None:
    """Whatever is sent: no 5xx, no status, type or body that the document does not know; what it forbids is refused."""
    async with hosted(app, tmp_path) as server:
        over = await server.engine.start("hotel.desk", session="over")
        over.end("over", drain=False)
        await server.ended("over")
        await server.engine.start("hotel.desk", session="running")
        async with httpx.AsyncClient(base_url=server.url) as http:
            document = (await http.get("/v1/turnlog/openapi.json")).json()
        asked = await asyncio.to_thread(_hold, document, server.url)
        assert asked["startSession"] and asked["streamEvents"] and len(asked) == len(list(_operations(document)))
        assert (await server.engine.store.session("over")).status == "ended"


def _operations(document: dict[str, Any]) -> list[str]:
    return [one["operationId"] for path in document["paths"].values() for one in path.values()]


def _hold(document: dict[str, Any], url: str) -> dict[str, int]:
    """Ask each operation with what its schema allows, then with what it forbids; how often each was."""
    asked: dict[str, int] = {}
    with requests.Session() as session:
        for result in schemathesis.openapi.from_dict(document).get_all_operations():
            assert isinstance(result, Ok), result
            operation = result.ok()
            name, takes = operation.definition.raw["operationId"], bool(operation.body) or bool(list(operation.query))
            asked[name] = _ask(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), url, session)
            if takes:  # else there is nothing that it forbids
                there = {"session": "over"} if "{session}" in operation.path else None
                _ask(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE, path_parameters=there), url, session)
    return asked


def _ask(strategy: Any, url: str, session: requests.Session) -> int:
    chance, count = random.Random(1), 0

    @given(case=strategy)
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def once(case: Any) -> None:
        nonlocal count
        count += 1
        streams = case.operation.path.endswith("/stream")  # of a running session it would not end
        if case.meta.generation.mode is GenerationMode.POSITIVE:
            if "session" in (case.path_parameters or {}) and chance.random() < 0.8:
                case.path_parameters["session"] = "over" if streams else chance.choice(["over", "running"])
            if isinstance(case.body, dict) and "target" in case.body and chance.random() < 0.5:
                case.body["target"] = "hotel.desk"
        response = case.call(base_url=url, session=session, timeout=20)
        case.validate_response(response, checks=CHECKS)

    once()
    return count
