"""Calls over WebRTC: an SDP offer becomes a caller of a running session, by the way that the session's media takes.

Terminated: the caller's peer connection ends here, and is a line of the session like any other. Direct: the provider takes the
offer and holds the call (live.hold). A session has one such call at a time. Nothing of a call that was refused is left.
"""

import asyncio
import logging
from typing import Any, NamedTuple, Protocol

import msgspec

from ..core.errors import TurnlogError
from ..transports.callers.watched_call import WatchedCall
from ..transports.extras import load
from ..transports.webrtc.ice import IceSettings
from ..transports.webrtc.sdp import check_offer
from .live import LiveSession
from .nonces import Nonces

__all__ = ["Answered", "Calls", "Offer"]

_PCM = "audio/pcm"

log = logging.getLogger("turnlog")


class Answered(NamedTuple):
    """The SDP answer for the caller, and the call's id."""

    sdp: str
    call_id: str


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's SDP offer and what came with it: see Engine.answer."""

    sdp: str
    peer: str = ""
    seat: str = ""
    settings: dict[str, Any] = {}


class _Line(Protocol):
    """A caller's line."""

    @property
    def is_over(self) -> bool:
        """Whether either side has ended it."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing of it is left."""

    async def hang_up(self, reason: str = ...) -> None:
        """End it in order."""

    async def close(self, code: int = ..., reason: str = ...) -> None:
        """End it; nothing of it is left then."""


class _Call(NamedTuple):
    """A call that was answered here."""

    session: str
    seat: str
    link: _Line


class Calls:
    """The calls of one engine, by way of `ice`. `ids` makes their names."""

    def __init__(self, ice: IceSettings, ids: Nonces) -> None:
        self.ice = ice
        self._ids = ids
        self._calls: dict[str, _Call] = {}

    async def installed(self) -> Any:
        """The module that answers calls. Raises MissingExtra.

        In a thread: the first call imports for 0.1 to 0.3 s, in which no session would go on.
        """
        return await asyncio.to_thread(load, "callers.webrtc", "webrtc", "a call over WebRTC")

    async def answer(self, live: LiveSession, offer: Offer) -> Answered:
        """Take a call for a session: see Engine.answer."""
        self._check_free(live, offer.seat)
        if (calls := live.calls) is not None:
            held = await live.hold(calls, check_offer(offer.sdp), peer=offer.peer, settings=offer.settings)
            self._calls[held.taken.call_id] = _Call(live.id, offer.seat, held.caller)
            return Answered(held.taken.sdp, held.taken.call_id)
        answered, sdp = await (await self.installed()).WebRtcCaller.answer(offer.sdp, self.ice)
        opening = msgspec.json.encode({"type": "session.update", "session": offer.settings}) if offer.settings else b""
        link = WatchedCall(answered, opening)
        try:
            self._check_free(live, offer.seat)  # another one may have come meanwhile
            live.attach(link, transport="webrtc", peer=offer.peer, seat=offer.seat)
        except BaseException:
            await link.close(1008, "refused")
            raise
        call_id = f"rtc_{self._ids.next().hex()}"
        self._calls[call_id] = _Call(live.id, offer.seat, link)
        return Answered(sdp, call_id)

    def enter(self, call_id: str, session: str, link: _Line) -> None:
        """A call that was taken elsewhere: from here on it can be hung up."""
        self._calls[call_id] = _Call(session, "", link)

    def session_of(self, call_id: str) -> str:
        """Which session a call is of. Raises TurnlogError TL312 for one that is over or was never here."""
        call = self._calls.get(call_id)
        if call is None or call.link.is_over:
            raise TurnlogError("TL312", f"there is no call {call_id[:100]!r} here", "it has ended, or its id is another's")
        return call.session

    def watched(self, call_id: str) -> WatchedCall:
        """A call that is answered here, for a sideband of it. Raises TurnlogError TL312, TL505 where the provider holds it."""
        self.session_of(call_id)
        link = self._calls[call_id].link
        if not isinstance(link, WatchedCall):
            problem = f"call {call_id[:100]} is held by its provider, with the session's own sideband beside it"
            raise TurnlogError("TL505", problem, "read the session's events, or join the call at the provider with its key")
        return link

    async def hang_up(self, call_id: str) -> None:
        """End a call as its caller does, in order. Raises TurnlogError TL312."""
        self.session_of(call_id)
        await self._calls[call_id].link.hang_up()

    async def close(self) -> None:
        """Wait until nothing of any call is left; their sessions have ended."""
        calls, self._calls = self._calls, {}
        closing = (call.link.close(1001, "engine_stopped") for call in calls.values())
        for error in await asyncio.gather(*closing, return_exceptions=True):
            if error is not None:  # the others are closed all the same
                log.warning("a call did not close in order: %r", error)

    def _check_free(self, live: LiveSession, seat: str) -> None:
        self._calls = {call_id: call for call_id, call in self._calls.items() if not call.link.is_closed}
        calls = (call for call in self._calls.values() if call.session == live.id and not call.link.is_over)
        if any(not seat or call.seat != seat for call in calls):
            raise TurnlogError("TL505", f"session {live.id} has a caller over WebRTC", "hang that call up first")
        for side, form in live.formats.items():
            if form != _PCM:
                problem = f"session {live.id} has {form} as its audio ({side}); WebRTC brings {_PCM}"
                raise TurnlogError("TL505", problem, "start a session of its own for this call")
