"""A provider that follows a script, message by message: what the client must send, and what it gets for it.

For tests of handlers and for playing recordings. Strict by default: what the script does not expect fails with TL309 and is
raised again by assert_complete(). One script serves one link after the other: a `close` step ends a link, the next link
goes on behind it.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal, assert_never

import msgspec
from websockets.asyncio.server import ServerConnection, serve

from ...core.definition import SessionDefinition
from ...core.errors import LinkClosed, LinkError, ProtocolError
from ...core.ports import Link
from ..links.in_process import host
from ..links.websocket import MAX_MESSAGE_BYTES, UNLOGGED, WebSocketLink
from .dial import dial

__all__ = ["Close", "Emit", "Expect", "ScriptedProvider", "Step", "allow", "close", "emit", "expect", "steps_from_recording"]

_Json = dict[str, Any]
_SHOWN: Final = 300  # characters of a message in an error


class Expect(msgspec.Struct, frozen=True, kw_only=True):
    """Wait for a message that matches: its type, or a predicate over the event. See expect() and allow()."""

    match: str | Callable[[_Json], bool]
    at_least: int = 1
    repeated: bool = False

    def matches(self, event: _Json) -> bool:
        """Whether this message is meant."""
        return event.get("type") == self.match if isinstance(self.match, str) else bool(self.match(event))

    def __str__(self) -> str:
        """As an error names it."""
        return self.match if isinstance(self.match, str) else f"a message that satisfies {self.match!r}"


class Emit(msgspec.Struct, frozen=True, kw_only=True):
    """Send a message: the bytes as they are, an event, or what a function makes of the last expected message."""

    event: bytes | _Json | Callable[[_Json], _Json]


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """Close the link."""

    code: int
    reason: str


Step = Expect | Emit | Close


def expect(match: str | Callable[[_Json], bool], *, repeated: bool = False) -> Expect:
    """Wait for one message. `repeated`: and from then on let any number of its kind pass (e.g. input_audio_buffer.append)."""
    return Expect(match=match, repeated=repeated)


def allow(match: str | Callable[[_Json], bool]) -> Expect:
    """From here on let any number of such messages pass, also none."""
    return Expect(match=match, at_least=0, repeated=True)


def emit(event: bytes | str | _Json | Callable[[_Json], _Json]) -> Emit:
    """Send this. A function gets the message that was expected last, e.g. to echo its metadata."""
    return Emit(event=event.encode() if isinstance(event, str) else event)


def close(code: int = 1000, reason: str = "") -> Close:
    """Close the link; steps behind it are for the next one."""
    return Close(code=code, reason=reason)


class ScriptedProvider:
    """Provider "scripted": transport in_process, or websocket to its own server while serve() is open."""

    def __init__(self, steps: Sequence[Step], *, strict: bool = True) -> None:
        """`strict=False` ignores what the script does not expect, instead of failing."""
        self._steps = list(steps)
        self._strict = strict
        self._place = 0
        self._passing: list[Expect] = []  # what may come any number of times
        self._failure: ProtocolError | None = None
        self._url: str | None = None

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """A new link, on which the script goes on. Raises LinkError TL301 for websocket without serve()."""
        if definition.transport != "websocket":
            return host(self.play)
        if self._url is None:
            raise LinkError("TL301", "the scripted provider is not being served", "use `async with provider.serve():`")
        return await dial(self._url)

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[str]:
        """Listen on loopback while the context is open; gives the base URL for an OpenAI client (…/v1), which adds /realtime."""

        async def handle(connection: ServerConnection) -> None:
            link = WebSocketLink(connection)
            await self.play(link)
            await link.close()

        async with serve(
            handle, "127.0.0.1", port, compression=None, logger=UNLOGGED, max_size=MAX_MESSAGE_BYTES, close_timeout=2
        ) as server:
            base = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1"
            self._url = base + "/realtime"
            try:
                yield base
            finally:
                self._url = None

    async def play(self, link: Link) -> None:
        """Follow the script on this link until a close step, the link's end, or a failure."""
        last: _Json = {}
        try:
            while self._place < len(self._steps):
                step = self._steps[self._place]
                match step:
                    case Expect(at_least=0):
                        self._passing.append(step)
                    case Expect():
                        last = await self._await(link, step)
                    case Emit(event=event):
                        link.send(
                            event if isinstance(event, bytes) else msgspec.json.encode(event(last) if callable(event) else event)
                        )
                    case Close(code=code, reason=reason):
                        self._place += 1
                        await link.close(code, reason)
                        return
                    case _:
                        assert_never(step)
                self._place += 1
            while True:
                await self._await(link, None)
        except LinkClosed:
            return
        except ProtocolError as error:
            self._failure = self._failure or error
            await link.close(1008, f"{error.code} {error.message}")

    async def _await(self, link: Link, step: Expect | None) -> _Json:
        while True:
            raw = await link.receive()
            event = _read(raw)
            if step is not None and step.matches(event):
                if step.repeated:
                    self._passing.append(step)
                return event
            if self._strict and not any(passing.matches(event) for passing in self._passing):
                raise self._unexpected(raw, step)

    def _unexpected(self, raw: bytes, step: Expect | None) -> ProtocolError:
        wanted = f"step {self._place + 1} of {len(self._steps)} expects {step}" if step else "the script is over"
        return ProtocolError(
            "TL309",
            f"{wanted}; the client sent {_shown(raw)}",
            "correct the script or the handler; allow(…) lets messages pass, strict=False ignores what is not expected",
        )

    def assert_complete(self) -> None:
        """Raise ProtocolError TL309 if something unexpected came, or if steps are left."""
        if self._failure is not None:
            raise self._failure
        left = self._steps[self._place :]
        if any(not isinstance(step, Expect) or step.at_least for step in left):
            raise ProtocolError(
                "TL309",
                f"the script stopped at step {self._place + 1} of {len(self._steps)}: {_described(left[0])}",
                "the client did not send what the script waits for, or the link was closed before",
            )


def _message(event: bytes | _Json | Callable[[_Json], _Json], last: _Json) -> bytes:
    if isinstance(event, bytes):
        return event
    return msgspec.json.encode(event(last) if callable(event) else event)


def _read(raw: bytes) -> _Json:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise ProtocolError("TL304", f"the client sent {_shown(raw)}: {error}", "a message is one JSON object") from None


def _shown(raw: bytes) -> str:
    text = raw[: 4 * _SHOWN].decode(errors="replace")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(raw)} bytes)"


def _described(step: Step) -> str:
    match step:
        case Expect():
            return f"expect {step}"
        case Emit(event=event):
            return f"emit {_shown(event) if isinstance(event, bytes) else event}"
        case Close(code=code, reason=reason):
            return f"close {code} {reason}".rstrip()
        case _:
            assert_never(step)


def steps_from_recording(path: str | Path, *, client: bool = True) -> list[Step]:
    """The steps of a recording: lines {"dir": "client" | "server", "event": {…}} or {"dir": "server", "close": {…}}.

    Client messages are expected by type, runs of input_audio_buffer.append as one; server messages are sent with the keys
    and values of the recording. `client=False` leaves the client's out: everything is sent at once.
    Raises ProtocolError TL304 for a line that is none.
    """
    with open(path, "rb") as file:
        return list(_steps(str(path), file, client=client))


def _steps(path: str, lines: Iterable[bytes], *, client: bool) -> Iterator[Step]:
    appended = False
    for number, line in enumerate(lines, 1):
        try:
            entry = msgspec.json.decode(line, type=_Line)
        except ValueError as error:
            hint = 'a line is {"dir":"client"|"server","event":{…}}'
            raise ProtocolError("TL304", f"{path}:{number}: not a recorded message: {error}", hint) from None
        if entry.event is not None and entry.dir == "server":
            yield emit(entry.event)
        elif entry.event is not None and client:
            type_ = str(entry.event.get("type"))
            append = type_ == "input_audio_buffer.append"
            if not (append and appended):  # once is enough: from then on they pass
                yield expect(type_, repeated=append)
            appended = appended or append
        elif entry.close is not None and entry.dir == "server":
            yield close(entry.close.get("code") or 1000, entry.close.get("reason") or "")


class _Line(msgspec.Struct):
    dir: Literal["client", "server"]
    event: _Json | None = None
    close: _Json | None = None
