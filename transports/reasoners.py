"""Reasoners of other nodes, by a control plane's `execute/async`: one request starts an execution, others ask what came of it.

What nobody waits for any more (called.py) is cancelled: POST /api/v1/executions/{id}/cancel, once, whether it helps or not.

AgentField's interface: POST /api/v1/execute/async/{node.reasoner} with {"input"}, answered 202 with an execution_id; then
GET /api/v1/executions/{id}, or, where a webhook was named, one POST to it, signed with HMAC-SHA256 over its body.

Invariant: the key reaches the control plane and nothing else. Exceptions of the HTTP library are never chained, since they hold
the request with its headers; redirects are not followed.
"""

import asyncio
import hmac
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from ..core.errors import LinkError, ProtocolError, TurnlogError
from .called import Called
from .control_plane import ControlPlane, Headers, Submitted

__all__ = ["ENDED", "SIGNATURE", "ExecutionFailed", "Reasoners"]

SIGNATURE: Final = "X-AgentField-Signature"
_SUCCEEDED: Final = frozenset({"succeeded", "completed", "success"})
ENDED: Final = _SUCCEEDED | {"failed", "error", "cancelled", "canceled", "timeout", "timed_out"}
"""The statuses after which an execution does not change."""
_FIRST_POLL_S, _LONGEST_POLL_S = 0.05, 2.0
_REQUEST_S: Final = 30.0
_TRIES: Final = 4  # of a request that the network or the control plane failed; its idempotency key makes the work one
_EARLY: Final = 1000
_SHOWN: Final = 500  # characters of an answer in an error
_MAX_BYTES: Final = 16 * 1024 * 1024
_CANCEL_S: Final = 3.0  # for a control plane to answer a cancellation
_IS_OVER: Final = frozenset({404, 409})  # answers to a cancellation that came too late

log = logging.getLogger("turnlog")


class ExecutionFailed(Exception):
    """A reasoner was run and failed; the words are the control plane's."""


class _Execution(msgspec.Struct, frozen=True, kw_only=True):
    execution_id: str = ""
    status: str = "pending"
    result: Any = None
    error: Any = None
    error_message: Any = None


class Reasoners:
    """One control plane's executions. Opened by its first request; `close` ends what is under way."""

    def __init__(self, plane: ControlPlane, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.plane = plane
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._secret = secrets.token_urlsafe(32)  # signs what comes by webhook; made anew with each process
        self._awaited: dict[str, asyncio.Future[_Execution]] = {}
        self._early: OrderedDict[str, _Execution] = OrderedDict()  # told before the answer to the request that began it
        self._called = Called(self._cancel, _running_by)

    async def run(self, target: str, given: Mapping[str, Any], headers: Headers) -> Any:
        """Run a reasoner and wait for its result. headers: of the session, with Idempotency-Key.

        Raises LinkError TL330 where the control plane cannot be reached or refuses, ExecutionFailed for what the reasoner raised.
        """
        body: dict[str, Any] = {"input": dict(given)}
        if self.plane.webhook:
            body["webhook"] = {"url": f"{self.plane.webhook}/api/v1/turnlog/executions", "secret": self._secret}
        key = headers.get("Idempotency-Key", "")
        ask = partial(self._once, "POST", f"execute/async/{quote(target, safe='.')}", headers, msgspec.json.encode(body))
        answer = await _tried(partial(self._called.begin, key, ask))
        begun = _decoded(answer, target)
        if not begun.execution_id:
            raise _refused(target, answer, "it named no execution")
        if begun.status.lower() in ENDED:
            ended = begun
        else:
            self._called.runs(key, begun.execution_id)
            ended = await self._ended(begun.execution_id, target, headers)
        self._called.ended(key)
        if ended.status.lower() not in _SUCCEEDED:
            raise ExecutionFailed(_words(ended) or f"{target} {ended.status}")
        return ended.result

    def left(self, key: str) -> None:
        """Nobody waits for what was run with this idempotency key. If it runs still, it is cancelled, beside the rest."""
        self._called.left(key)

    async def _cancel(self, execution: str) -> None:
        body = msgspec.json.encode({"reason": "nobody waits for it any more"})
        try:
            async with asyncio.timeout(_CANCEL_S):
                answer = await self._once("POST", f"executions/{quote(execution, safe='')}/cancel", {}, body)
        except (LinkError, TimeoutError) as error:
            log.warning("execution %s could not be cancelled: %s", execution, str(error) or f"no answer in {_CANCEL_S:g} s")
        else:
            if answer.status >= 300 and answer.status not in _IS_OVER:
                log.warning("execution %s could not be cancelled: the control plane answered %d", execution, answer.status)

    async def submit(self, target: str, body: bytes, headers: Headers) -> Submitted:
        """Pass a caller's own request on, once; the answer as it came. Raises LinkError TL330 where there is none."""
        return await self._once("POST", f"execute/async/{quote(target, safe='.')}", headers, body)

    async def look(self, execution: str, headers: Headers) -> Submitted:
        """What became of an execution, as it is told. Raises LinkError TL330."""
        return await self._once("GET", f"executions/{quote(execution, safe='')}", headers, None)

    def arrived(self, body: bytes, signature: str) -> None:
        """Take a webhook. Raises TurnlogError TL501 for one that is not signed by ours, ProtocolError TL331 for one that is none.

        One for an execution that nobody waits for (any more) is no error: a control plane sends again what was not answered.
        """
        ours = "sha256=" + hmac.new(self._secret.encode(), body, sha256).hexdigest()
        if not hmac.compare_digest(ours.encode(), signature.encode()):
            raise TurnlogError("TL501", "the webhook's signature is not ours", "send what was registered with the execution")
        try:
            execution = msgspec.json.decode(body, type=_Execution)
        except (ValueError, RecursionError) as error:
            raise ProtocolError("TL331", f"the webhook is no execution: {error}", "send the execution as JSON") from None
        if execution.status.lower() not in ENDED:
            return
        waiting = self._awaited.get(execution.execution_id)
        if waiting is None:
            self._early[execution.execution_id] = execution
            while len(self._early) > _EARLY:
                self._early.popitem(last=False)
        elif not waiting.done():
            waiting.set_result(execution)

    async def close(self) -> None:
        """Let go of the connections, once what is being cancelled is, or 3 s have passed. Twice does nothing."""
        await self._called.close()
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    # --- waiting ---

    async def _ended(self, execution: str, target: str, headers: Headers) -> _Execution:
        if told := self._early.pop(execution, None):
            return told
        waiting = self._awaited.setdefault(execution, asyncio.get_running_loop().create_future())
        # Strategy: asked for also where a webhook will tell, only rarely: one that is lost must not cost the call.
        pause_s = _LONGEST_POLL_S if self.plane.webhook else _FIRST_POLL_S
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        return await asyncio.shield(waiting)
                look = partial(self._once, "GET", f"executions/{quote(execution, safe='')}", headers, None)
                looked = _decoded(await _tried(look), target)
                if looked.status.lower() in ENDED:
                    return looked
                pause_s = min(pause_s * 1.5, _LONGEST_POLL_S)
        finally:
            self._awaited.pop(execution, None)

    # --- HTTP ---

    async def _once(self, method: str, path: str, headers: Headers, body: bytes | None) -> Submitted:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=_REQUEST_S, transport=self._transport, follow_redirects=False)
        own = {"Content-Type": "application/json"} if body is not None else {}
        if self.plane.key:
            own["X-API-Key"] = self.plane.key
        url = f"{self.plane.url}/api/v1/{path}"
        try:
            async with self._client.stream(method, url, headers={**headers, **own}, content=body) as response:
                parts: list[bytes] = []
                size = 0
                async for part in response.aiter_bytes():
                    size += len(part)
                    if size > _MAX_BYTES:
                        raise LinkError("TL330", f"{self.plane.url} answered more than {_MAX_BYTES} bytes", "return less")
                    parts.append(part)
                kind = response.headers.get("content-type", "application/json")
                return Submitted(status=response.status_code, body=b"".join(parts), content_type=kind)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = f"the control plane at {self.plane.url} cannot be reached: {type(error).__name__}"
        raise LinkError("TL330", problem, "check AGENTFIELD_SERVER, and that it runs")


async def _tried(ask: Callable[[], Coroutine[Any, Any, Submitted]]) -> Submitted:
    for number in range(1, _TRIES):
        try:
            answer = await ask()
        except LinkError:
            await asyncio.sleep(_FIRST_POLL_S * 4**number)
        else:
            if answer.status < 500 and answer.status != 429:
                return answer
            await asyncio.sleep(_FIRST_POLL_S * 4**number)
    return await ask()


def _running_by(answer: Submitted) -> str:
    """The execution that an answer says runs now; "" for any other answer."""
    try:
        begun = _decoded(answer, "")
    except LinkError:
        return ""
    return "" if begun.status.lower() in ENDED else begun.execution_id


def _decoded(answer: Submitted, target: str) -> _Execution:
    if answer.status >= 300:
        raise _refused(target, answer, f"it answered {answer.status}")
    try:
        return msgspec.json.decode(answer.body, type=_Execution)
    except (ValueError, RecursionError):
        raise _refused(target, answer, "its answer is no execution") from None


def _refused(target: str, answer: Submitted, why: str) -> LinkError:
    shown = answer.body[:_SHOWN].decode(errors="replace")
    hint = "check the target, the key (AGENTFIELD_API_KEY) and that its node is there"
    return LinkError("TL330", f"the control plane did not run {target}: {why}: {shown}", hint)


def _words(ended: _Execution) -> str:
    for said in (ended.error_message, ended.error):
        if said:
            return said if isinstance(said, str) else msgspec.json.encode(said).decode()
    return ""
