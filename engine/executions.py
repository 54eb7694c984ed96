"""Tools that somebody outside of a session's handler and model has run: started, and asked for afterwards.

Kept in memory, the last ones only: what is to be known later is the caller's to fetch. The ids have AgentField's form.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from .handlers.current import CALL, working_for
from .handlers.handler_run import words_of
from .tools import AnyTool

__all__ = ["KEPT", "Execution", "Executions"]

KEPT: Final = 1000
"""How many executions are remembered."""
LIMIT_S: Final = 60.0
"""Of a tool that has no timeout of its own."""
PATIENCE_S: Final = 5.0
"""For tools to end in when the engine stops."""

log = logging.getLogger("turnlog")


class Execution(msgspec.Struct, kw_only=True):
    """One run of a tool. status: "running", then "succeeded", "failed" or "timeout"; times in ns since the Unix epoch."""

    id: str
    run: str
    target: str
    session: str = ""
    tenant: str = ""
    status: str = "running"
    result: Any = None
    error: str = ""
    started_ns: int = 0
    ended_ns: int = 0


class Executions:
    """Those of one engine. entropy(n): n random bytes; now_ns(): the time."""

    def __init__(self, entropy: Callable[[int], bytes], now_ns: Callable[[], int]) -> None:
        self._entropy = entropy
        self._now_ns = now_ns
        self._kept: OrderedDict[str, Execution] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def new(self, target: str, *, session: str = "", tenant: str = "", run: str = "") -> Execution:
        """One that is to run. run: the caller's name for what this belongs to."""
        return Execution(
            id=self._id("exec"),
            run=run or self._id("run"),
            target=target,
            session=session,
            tenant=tenant,
            started_ns=self._now_ns(),
        )

    def start(
        self, one: Execution, tool: AnyTool, given: dict[str, Any], ended: Callable[[Execution], None] = lambda one: None
    ) -> None:
        """Run its tool beside what else goes on. ended: told when it has, however."""
        self._kept[one.id] = one
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        with working_for(one.session):
            task = asyncio.create_task(self._run(one, tool, given, ended), name=f"execution {one.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def find(self, execution: str) -> Execution | None:
        """One that was started here, unless so many were started since that it was forgotten."""
        return self._kept.get(execution)

    async def stop(self, patience_s: float = PATIENCE_S) -> None:
        """End what is running; a tool that does not end when it is cancelled is left. Twice does nothing."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=patience_s)
            for task in left:
                log.warning("%s does not end: its tool is left running", task.get_name())

    async def _run(
        self, one: Execution, tool: AnyTool, given: dict[str, Any], ended: Callable[[Execution], None]
    ) -> None:
        CALL.set(one.id)
        limit_s = tool.timeout_s or LIMIT_S
        status = "failed"
        try:
            async with asyncio.timeout(limit_s) as limit:
                one.result = msgspec.msgpack.decode(await tool.invoke([], given))
            status = "succeeded"
        except TimeoutError as error:
            status = "timeout" if limit.expired() else "failed"
            one.error = f"no result within {limit_s:g} s" if limit.expired() else words_of(error)
        except asyncio.CancelledError:
            one.error = "the server stopped"
            raise
        except (Exception, SystemExit) as error:  # whatever a tool does, its caller is told and nobody else is disturbed
            one.error = f"{type(error).__name__}: {words_of(error)}"
        finally:
            one.status, one.ended_ns = status, self._now_ns()
            ended(one)

    def _id(self, kind: str) -> str:
        begun = datetime.fromtimestamp(self._now_ns() // 1_000_000_000, UTC)
        return f"{kind}_{begun:%Y%m%d_%H%M%S}_{self._entropy(4).hex()}"
