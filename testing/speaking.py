"""A provider that hears and speaks without an engine, on the protocol machine that our servers use, and that can misbehave.

It hears fake speech in the session's audio, says each say word by word in fake speech, and answers turns itself where the
session asks it to. What it received stays here as decoded events. See Mishaps for what it can be made to do wrong.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from ..core.definition import SessionDefinition
from ..core.errors import LinkError
from ..core.ports import Link
from ..transports.links.in_process import InProcessLink, host
from ..transports.realtime.say_form import recognise
from .behaviour import Behaviour, Pace
from .provider_line import ProviderLine

__all__ = ["SpeakingProvider"]


class SpeakingProvider(Behaviour):
    """Provider for any name; serves one link after the other."""

    def __init__(self, *, pace: Pace = Pace(), reply: str | Callable[[str], str] = "(model)") -> None:  # noqa: B008 -- frozen
        super().__init__(pace, reply)
        self.lines: list[ProviderLine] = []

    async def connect(self, definition: SessionDefinition, session: str) -> Link:
        """A link to a new session of the provider. Raises what mishaps.connect holds."""
        if self.mishaps.connect:
            raise self.mishaps.connect.pop(0)
        return host(self._serve)

    async def _serve(self, link: InProcessLink) -> None:
        line = ProviderLine(self, link, f"{len(self.lines) + 1}")
        self.lines.append(line)
        await line.run()

    # --- what was received ---

    def events(self, type_: str) -> list[dict[str, Any]]:
        """What it got of one type, on all links."""
        return [received.event for received in self.received if received.event.get("type") == type_]

    @property
    def says(self) -> list[str]:
        """The texts of the says that it was asked for, in order, refused ones included."""
        asked = (recognise(event.get("response") or {}) for event in self.events("response.create"))
        return [text for text in asked if text is not None]

    async def gets(self, type_: str, *, n: int = 1, within_s: float = 30.0) -> dict[str, Any]:
        """Wait for the n-th message of a type, counted from the beginning. Raises AssertionError."""
        try:
            async with asyncio.timeout(within_s):
                while len(found := self.events(type_)) < n:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            types = ", ".join(str(received.event.get("type")) for received in self.received)
            raise AssertionError(f"the provider got no {n}. {type_} within {within_s} s; it got: {types or 'nothing'}") from None
        return found[n - 1]

    # --- what happens to it now ---

    @property
    def line(self) -> "ProviderLine":
        """The newest link."""
        if not self.lines:
            raise LinkError("TL301", "nobody has connected to this provider yet", "await provider.gets('session.update') first")
        return self.lines[-1]

    async def disconnects(self, code: int = 1006, reason: str = "") -> None:
        """The link breaks."""
        await self.line.link.close(code, reason)

    async def expires(self) -> None:
        """The session reaches its maximum duration."""
        self.line.server.expire()
        self.line.flush()
        await self.line.link.close(1001, "session expired")

    def dials(self, keys: str) -> None:
        """The caller presses keys of a telephone, of which the provider tells."""
        for key in keys:
            self.line.server.digit(key, int(asyncio.get_running_loop().time()))
        self.line.flush()
