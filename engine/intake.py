"""Intake: reads the lines of one session. Media goes on at once if nothing before it waits to be decided."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from ..core.errors import LinkClosed, ProtocolError, TurnlogError
from ..core.ports import DirectLink, Link, OpenedLink
from ..transports.realtime.wire import MEDIA_TYPES, InvalidMessage, Message, parse
from .clock import Clock
from .inbox import Arrived, Down, Faulted, Inbox, Unreadable, Up
from .line import Leg, Line
from .sound.media import MediaRouter

__all__ = ["Intake"]


class Intake:
    """Fills the inbox from the lines, and hands media on."""

    def __init__(self, inbox: Inbox, lines: dict[str, Line], media: MediaRouter, clock: Clock) -> None:
        self._inbox = inbox
        self._lines = lines
        self._media = media
        self._clock = clock
        self.media_may_pass = False  # set while an append is under way of which no message to a peer waits

    def attach(self, name: str, link: Link, leg: Leg, transport: str, peer: str) -> Coroutine[Any, Any, None]:
        """Add a line; returns the coroutine that reads it to its end."""
        line = Line(name, link, leg, transport)
        self._lines[name] = line
        self._media.look_again()
        self._inbox.put(Up(line, peer))
        if isinstance(link, OpenedLink) and link.opening:
            self.offer(line, link.opening)  # with the line itself: nothing is said to this caller before
        return self._read(line)

    async def _read(self, line: Line) -> None:
        link = line.link
        direct = link if isinstance(link, DirectLink) else None
        if direct:
            direct.listen(partial(self.offer, line))
        try:
            while True:
                try:
                    raw = await link.receive()
                except LinkClosed as closed:
                    self._inbox.put(Down(line, closed.close_code, closed.reason))
                    return
                self.offer(line, raw)
        finally:
            if direct:
                direct.listen(None)

    def offer(self, line: Line, raw: bytes) -> None:
        """Take a message: media goes on at once if nothing before it waits to be decided."""
        at_ns, media, inbox = self._clock.now_ns(), self._media, self._inbox
        if inbox.idle or (self.media_may_pass and inbox.empty):  # may_pass, without a call for each message
            passage = media.passage
            if passage is None or passage.line is not line or not passage.take(raw, at_ns):
                self._look_at(line, raw, at_ns, may_pass=True)
            elif media.due_ns is None:
                media.added_to(line.received)
        else:
            self._look_at(line, raw, at_ns, may_pass=False)
        if media.begins:
            self.write_behind(at_ns)

    def _look_at(self, line: Line, raw: bytes, at_ns: int, *, may_pass: bool) -> None:
        if may_pass and (signals := line.leg.receive_audio(raw)) is not None:
            self._media.pass_on(line, raw, signals, at_ns)
            return
        try:
            message = parse(raw)
        except InvalidMessage as error:
            self._inbox.put(Unreadable(line, raw, error, at_ns))
            return
        if may_pass and message.type in MEDIA_TYPES:
            self.hand_on(line, message, at_ns)
        else:
            self._inbox.put(Arrived(line, message, at_ns))

    @property
    def may_pass(self) -> bool:
        """Whether media may leave now: nothing waits to be decided, and no message waits for an append that it could overtake."""
        return self._inbox.idle or (self.media_may_pass and self._inbox.empty)

    def write_behind(self, now_ns: int) -> None:
        """Let the live loop wake when the media that was recorded must be in the log."""
        self._media.begins = False
        if (due := self._media.due_ns) is not None:
            asyncio.get_running_loop().call_later((due - now_ns) / 1e9, self._inbox.go_on)

    def hand_on(self, line: Line, message: Message, at_ns: int, now_ns: int = 0) -> None:
        """Media to the other lines; what is wrong with it is a fact for the next round, and never the session's end."""
        fault: TurnlogError | None = None
        try:
            self._media.receive(line, message, at_ns, now_ns)
        except TurnlogError as error:
            fault = error
        owed = line.leg.owed()
        if owed and fault is None:
            fault = ProtocolError("TL305", f"{message.type} was refused: the answer says why")
        if fault is not None:
            self._inbox.put(Faulted(line, fault, owed))
