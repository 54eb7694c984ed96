"""AgentField's control plane on loopback, as far as reasoners are run by it: execute/async, executions, webhooks, cancel."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from turnlog.transports.web.serving import listen

__all__ = ["Plane", "plane"]


class Plane:
    """What it was asked, and what it is to do. Executions with one idempotency key are one."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.polled = 0
        self.asked_twice = asyncio.Event()
        self.fail_first = 0  # so many requests are answered 503
        self.finishes = asyncio.Event()  # until then executions run
        self.finishes.set()
        self.begun: asyncio.Queue[str] = asyncio.Queue()  # the executions that were begun or found, each time
        self.answers = asyncio.Event()  # until then no request that begins one is answered
        self.answers.set()
        self.cancelled: asyncio.Queue[str] = asyncio.Queue()  # the executions that somebody has cancelled, each time
        self.cancel_status = 200
        self.forges = False  # webhooks are signed with another secret
        self._executions: dict[str, dict[str, Any]] = {}
        self._by_key: dict[str, str] = {}
        self._telling: set[asyncio.Task[None]] = set()

    @property
    def ran(self) -> int:
        """How many executions there were."""
        return len(self._executions)

    async def execute(self, request: Request) -> Response:
        """POST /api/v1/execute/async/{target}."""
        body = await request.json()
        target = request.path_params["target"]
        self.asked.append((target, dict(request.headers), body))
        if self.fail_first:
            self.fail_first -= 1
            return JSONResponse({"error": "busy"}, 503)
        if target == "other.unknown":
            return JSONResponse({"error": "agent not found"}, 404)
        key = request.headers.get("idempotency-key", "")
        known = self._by_key.get(key) if key else None
        execution = known or f"exec_{self.ran + 1}"
        if not known:
            if key:
                self._by_key[key] = execution
            self._executions[execution] = self._outcome(execution, target, body["input"])
            if hook := body.get("webhook"):
                task = asyncio.create_task(self._tell(execution, hook))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)
        self.begun.put_nowait(execution)
        await self.answers.wait()
        return JSONResponse({"execution_id": execution, "run_id": "run_1", "status": "queued"}, 202)

    def _outcome(self, execution: str, target: str, given: dict[str, Any]) -> dict[str, Any]:
        if target == "other.fails":
            return {"execution_id": execution, "status": "failed", "error_message": "no such guest"}
        return {"execution_id": execution, "status": "succeeded", "result": {"target": target, "got": given}}

    async def look(self, request: Request) -> Response:
        """GET /api/v1/executions/{id}."""
        self.polled += 1
        if self.polled == 2:
            self.asked_twice.set()
        execution = request.path_params["id"]
        if not self.finishes.is_set():
            return JSONResponse({"execution_id": execution, "status": "running"})
        return JSONResponse(self._executions[execution])

    async def cancel(self, request: Request) -> Response:
        """POST /api/v1/executions/{id}/cancel."""
        execution = request.path_params["id"]
        self.cancelled.put_nowait(execution)
        if self.cancel_status == 200:
            self._executions[execution] = {"execution_id": execution, "status": "cancelled"}
        return JSONResponse({"execution_id": execution, "status": "cancelled"}, self.cancel_status)

    async def _tell(self, execution: str, hook: dict[str, str]) -> None:
        await self.finishes.wait()
        event = {"event": "execution.completed", **self._executions[execution]}
        body = json.dumps(event).encode()
        secret = "another" if self.forges else hook["secret"]
        signature = "sha256=" + hmac.new(secret.encode(), body, sha256).hexdigest()
        async with httpx.AsyncClient() as http:
            answer = await http.post(hook["url"], content=body, headers={"X-AgentField-Signature": signature})
            self.told = answer.status_code


@asynccontextmanager
async def plane() -> AsyncIterator[tuple[Plane, str]]:
    """A running one, and its URL."""
    one = Plane()
    with listen("127.0.0.1", 0) as listener:
        routes = [
            Route("/api/v1/execute/async/{target}", one.execute, methods=["POST"]),
            Route("/api/v1/executions/{id}", one.look),
            Route("/api/v1/executions/{id}/cancel", one.cancel, methods=["POST"]),
        ]
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off", access_log=False))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield one, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
