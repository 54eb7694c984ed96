"""What a handler asks for: its commands, in their order, each with the line that issued it, and what the host needs to obey.

No host code runs here: commands gather in `issued`, and whoever drives the handler (live or replay) takes them.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from ...core import commands as c
from ...core.errors import HandlerError
from .clip import AudioClip
from .escapes import escape
from .issued import Issued, call_site
from .settling import SettlingLoop

__all__ = ["Asking", "HostSide"]


class HostSide:
    """What the handler gives to the host and the log does not hold: a replay needs none of it."""

    def __init__(self) -> None:
        self.work: dict[int, Callable[..., Any]] = {}  # the functions of steps and streams that the host has not finished
        self.clips: dict[str, AudioClip] = {}  # the recordings of says that are not settled
        self.earlier: Callable[..., Any] | None = None  # reads the log
        self.plays = False  # whether what is said is heard by anyone: offline no recording's file is needed


class Asking:
    """Gives each command the next index.

    `patches` are the changes that a recorded session was marked with; None where the session runs live.
    """

    def __init__(self, loop: SettlingLoop, patches: frozenset[str] | None = None) -> None:
        self.loop = loop
        self.patches = patches
        self.host = HostSide()
        self.issued: list[Issued] = []
        self._count = 0

    def issue(self, command: c.Command, site: c.Site | None = None) -> int:
        """Take the next index for a command. During teardown nothing is issued any more.

        Raises HandlerError TL104 outside of the handler, TL105 for what cannot be stored.
        """
        if asyncio._get_running_loop() is not self.loop:  # type: ignore[comparison-overlap] # a HandlerLoop is one
            self.check_inside(f"{type(command).__name__.lower()}()")
        return self.enter(command, site)

    def check_inside(self, call: str) -> None:
        """Refuse a call from a step, a thread or another session's handler: it would be in the log, and in no replay."""
        running: object = asyncio._get_running_loop()
        if running is not self.loop and not self.loop.closing:
            why = "only the handler itself may drive its session: what another moment or thread asks for cannot be replayed"
            raise escape(f"session.{call}", why, "let the step or tool return its result, and go on with it in the handler")

    def enter(self, command: c.Command, site: c.Site | None = None) -> int:
        """The same for whoever drives the handler, at any moment."""
        try:
            c.encode_command(command)
        except (TypeError, ValueError, OverflowError) as error:  # e.g. half of a surrogate pair, a subclass of str
            raise HandlerError("TL105", f"{type(command).__name__.lower()}(): {error}", "pass plain values") from None
        if self.loop.closing:
            return 0
        self._count += 1
        self.issued.append(Issued(self._count, command, site or call_site()))
        return self._count

    def take(self) -> list[Issued]:
        """What was issued since the last time."""
        issued, self.issued = self.issued, []
        return issued
