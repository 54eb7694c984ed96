"""The nodes that are connected to an engine, and the sessions that wait for one to come back.

A node may be connected several times, as when a new release takes over from an old one: sessions begin at the newest connection
and stay where they are until it goes.
"""

import asyncio
import itertools
import logging
import re
from collections.abc import Collection
from contextlib import suppress
from typing import Final

import msgspec

from ...core import events as e
from ...core.errors import LinkClosed, ProtocolError, TurnlogError
from ...core.ports import Link
from ..app import Declared
from ..handlers.handler_run import ENGINE_FLAGS
from ..handlers.session import RealtimeSession
from . import wire
from .pace import MESSAGES_S, Pace
from .remote import RemoteRun
from .remote_effects import RemoteEffects

__all__ = ["GRACE_S", "HELLO_S", "Connection", "Nodes"]

GRACE_S: Final = 30.0
"""How long the sessions of a lost node wait for it."""
HELLO_S: Final = 10.0
_CODE: Final = re.compile(r"TL\d{3}")
_WORDS: Final = 500  # of a node, in a log
_BROKEN, _GOING_AWAY = 1008, 1001

log = logging.getLogger("turnlog")


async def _elsewhere(session: RealtimeSession) -> None:
    """Stands for a handler that is not here."""
    raise AssertionError("the handler runs at its node")


class Connection:
    """One link to a node, and the sessions that run behind it."""

    def __init__(self, link: Link, hello: wire.Hello) -> None:
        self.link = link
        self.name = hello.node
        self.tools = hello.tools
        self.python = hello.python
        self.offered = {one.name: one for one in hello.sessions}
        self.runs: dict[str, RemoteRun] = {}
        self._kept = dict(hello.kept)  # sessions that it held when it came, until one is taken up

    def declared(self) -> list[Declared]:
        """The node's sessions."""
        return [
            Declared(
                target=f"{self.name}.{one.name}",
                definition=wire.definition_in(one.definition),
                handler=_elsewhere,
                strict=one.strict,
                replay=one.replay,
            )
            for one in self.offered.values()
        ]

    def rules(self) -> list[e.ToolRules]:
        """Of the node's tools."""
        return [tool.rules for tool in self.tools]

    def signed(self, started: e.SessionStarted) -> e.SessionStarted:
        """The beginning of a session with the code that runs it."""
        one = self.offered[started.target.partition(".")[2]]
        return msgspec.structs.replace(started, python=self.python, handler=one.handler, code_version=one.code_version)

    def open(self, started: e.SessionStarted, now_ns: int) -> tuple[RemoteRun, RemoteEffects]:
        """A session's handler, to run here. Its first event tells the node of it."""
        run = RemoteRun(started, now_ns)
        run.effects.declared = self.tools
        self.runs[run.session] = run
        run.belongs(self.link.send, lambda: self._forget(run.session))
        return run, run.effects

    async def take(self, run: RemoteRun) -> None:
        """Take up a session that another connection of this node has lost."""
        self.runs[run.session] = run
        await run.resume(self.link.send, lambda: self._forget(run.session), self._kept.pop(run.session, (0, 0)))

    def let_go(self, running: Collection[str]) -> None:
        """Have it forget what it has held for nothing: sessions that run nowhere any more."""
        for session in [session for session in self._kept if session not in running]:
            del self._kept[session]
            with suppress(LinkClosed):  # its reader reports the loss
                self.link.send(wire.packed(wire.Forget(session=session)))

    def receive(self, message: wire.OfSession) -> None:
        """What the node says of a session; of one that is over it may still say something. Raises ProtocolError TL321."""
        run = self.runs.get(message.session)
        if run is None:
            return
        match message:
            case wire.AskedFor():
                run.asked(message)
            case wire.Seen():
                run.seen(message)
            case wire.Completed() | wire.Answered() | wire.Attempt():
                run.happened(message)
            case wire.Diverged():
                del self.runs[message.session]
                run.give_up(message.code if _CODE.fullmatch(message.code) else "TL321", message.message[:_WORDS])

    def _forget(self, session: str) -> None:
        self.runs.pop(session, None)


class Nodes:
    """Connected nodes by name. own: the name of the engine's own app, which no node may have.

    grace_s: how long the sessions of a lost node wait for it. max_bytes: of a node's message, as the link takes it;
    messages_s: of one link.
    """

    def __init__(self, own: str, *, grace_s: float = GRACE_S) -> None:
        self.grace_s = grace_s
        self.max_bytes = wire.MAX_BYTES
        self.messages_s = MESSAGES_S
        self._own = own
        self._connected: dict[str, list[Connection]] = {}
        self._waiting: dict[str, tuple[str, RemoteRun, asyncio.TimerHandle]] = {}

    def names(self) -> list[str]:
        """The nodes that are there."""
        return list(self._connected)

    def newest(self, node: str) -> Connection | None:
        """Where a node's next session begins."""
        connections = self._connected.get(node)
        return connections[-1] if connections else None

    async def serve(self, link: Link) -> None:
        """Speak with a node until its link ends. Never raises for what the node does."""
        try:
            connection = await self._welcome(link)
        except LinkClosed:
            return
        except (TurnlogError, TimeoutError) as error:
            why = str(error) or "TL321 it said no hello"
            log.warning("a node was refused: %s", why)
            await link.close(_BROKEN, why)
            return
        except asyncio.CancelledError:
            await link.close(_GOING_AWAY, "engine_stopped")
            raise
        try:
            await self._converse(connection)
        finally:
            self._lost(connection)
        if heir := self.newest(connection.name):
            await self._hand_over(heir)

    async def close(self) -> None:
        """Close the links of all nodes; they come back to an engine that is started anew."""
        for _, _, timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
        links = [one.link for connections in self._connected.values() for one in connections]
        await asyncio.gather(*(link.close(_GOING_AWAY, "engine_stopped") for link in links), return_exceptions=True)

    async def _welcome(self, link: Link) -> Connection:
        async with asyncio.timeout(HELLO_S):
            hello = wire.read_up(await link.receive())
        if not isinstance(hello, wire.Hello):
            raise wire.broken(f"the first message of a node is its hello, not {type(hello).__name__}")
        if hello.protocol != wire.PROTOCOL or hello.flags != ENGINE_FLAGS:
            raise wire.broken(f"node {hello.node!r} speaks version {hello.protocol}.{hello.flags} of this protocol")
        if not hello.node.isprintable() or not hello.node or "." in hello.node or hello.node == self._own:
            hint = "name the node's app otherwise"
            raise ProtocolError("TL321", f"a node cannot be called {hello.node!r} here", hint)
        connection = Connection(link, hello)
        connection.declared()  # raises for what cannot be read
        link.send(wire.packed(wire.Welcome(grace_s=self.grace_s, max_bytes=self.max_bytes)))
        self._connected.setdefault(hello.node, []).append(connection)
        log.info("node %s is connected: %s", hello.node, ", ".join(connection.offered) or "no sessions")
        return connection

    async def _converse(self, connection: Connection) -> None:
        await self._hand_over(connection)
        pace = Pace(connection.name, self.messages_s, connection.runs)
        try:
            for taken in itertools.count():
                raw = await connection.link.receive()
                await pace.message(taken)
                message = wire.read_up(raw)
                if isinstance(message, wire.Hello):
                    raise wire.broken("a second hello")
                self._refuse_strangers(connection, message)
                connection.receive(message)
                await pace.followed(message.session, len(raw))
        except LinkClosed as closed:
            log.info("node %s is gone: %s", connection.name, closed)
        except TurnlogError as error:
            log.warning("node %s broke the protocol: %s", connection.name, error)
            await connection.link.close(_BROKEN, str(error))

    def _refuse_strangers(self, connection: Connection, message: wire.OfSession) -> None:
        """Raise ProtocolError TL321 for a word on another node's session. Of one that is over it may not know yet."""
        if message.session in connection.runs:
            return
        others = (one for name, connections in self._connected.items() if name != connection.name for one in connections)
        waits = self._waiting.get(message.session)
        if any(message.session in one.runs for one in others) or (waits and waits[0] != connection.name):
            raise wire.broken(f"session {message.session} is another node's")

    async def _hand_over(self, connection: Connection) -> None:
        """Let it take up the sessions that wait for its node."""
        for session, (node, _, _) in list(self._waiting.items()):
            if node == connection.name and (waiting := self._waiting.pop(session, None)):
                waiting[2].cancel()
                try:
                    await connection.take(waiting[1])
                except TurnlogError as error:  # the log cannot be read
                    waiting[1].give_up(error.code, error.message)
        connection.let_go({session for one in self._connected.get(connection.name, []) for session in one.runs})

    def _lost(self, connection: Connection) -> None:
        others = self._connected[connection.name]
        others.remove(connection)
        if not others:
            del self._connected[connection.name]
        for run in list(connection.runs.values()):
            run.lost()
            if not run.may_resume:
                run.give_up(detail=f"node {connection.name} is lost")
            else:
                self._wait(connection.name, run)
        connection.runs.clear()

    def _wait(self, node: str, run: RemoteRun) -> None:
        def too_late() -> None:
            del self._waiting[run.session]
            run.give_up(detail=f"node {node} was lost and did not come back within {self.grace_s:g} s")

        timer = asyncio.get_running_loop().call_later(self.grace_s, too_late)
        self._waiting[run.session] = (node, run, timer)
        run.belongs_to_nobody(lambda: self._waits_no_more(run.session))

    def _waits_no_more(self, session: str) -> None:
        if waiting := self._waiting.pop(session, None):
            waiting[2].cancel()

