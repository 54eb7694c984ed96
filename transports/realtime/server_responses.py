"""The responses of a server's connection: who asked, which are open, which one holds the conversation. Pure.

Invariant: at most one in-band response holds the conversation, from the request that was accepted (or the start, if
nobody asked) to its response.done. Out-of-band responses run beside it.
"""

from typing import Any

from ...core.errors import ProtocolError
from ...core.signals import AnswerRequested
from .checks import Refusal
from .outbox import Outbox
from .recent import Recent
from .refusals import active_response
from .server_items import ServerItems
from .server_output import Floor, Outcome, ResponseStream
from .session_config import ResponseSettings, check_request, response_settings, without_formats

__all__ = ["ServerResponses"]

_Json = dict[str, Any]


class ServerResponses:
    """All responses of one connection."""

    def __init__(self, outbox: Outbox, items: ServerItems) -> None:
        self._floor = Floor(outbox, items.conversation, outbox.ids("conv"), items.sent, items.buffer)
        self._requested: dict[str, ResponseSettings] = {}  # accepted, not started
        self._open: dict[str, ResponseStream] = {}
        self._finished = Recent()
        self.audio_produced = False  # from then on the session's voice is fixed

    @property
    def holder(self) -> str | None:
        """The in-band response that holds the conversation, requested or open."""
        in_band = (id_ for id_, settings in self._requested.items() if settings.in_band)
        return next(in_band, None) or self.speaking

    @property
    def speaking(self) -> str | None:
        """The open in-band response."""
        return next((id_ for id_, stream in self._open.items() if stream.settings.in_band), None)

    def accept(self, event_id: str | None, request: _Json, session: _Json) -> AnswerRequested | Refusal:
        """A response.create: accepted with an id for the response, which is configured now; or refused."""
        if refusal := check_request(request):
            return refusal
        if self._floor.buffer.plays:
            request = without_formats(request)
        out_of_band = request.get("conversation") == "none"
        if not out_of_band and (holder := self.holder) is not None:
            return active_response(holder)
        response_id, metadata = self._floor.outbox.ids("resp"), request.get("metadata")
        self._requested[response_id] = response_settings(session, request, in_band=not out_of_band, metadata=metadata)
        return AnswerRequested(event_id=event_id, request=request, out_of_band=out_of_band, response=response_id)

    def named(self, response_id: str | None) -> str | None:
        """The response that a cancel means: of this id, or without one the one in the conversation. None if it is over."""
        if response_id is None:
            return self.holder
        return response_id if response_id in self._requested or response_id in self._open else None

    def is_requested(self, response_id: str) -> bool:
        """Whether it was accepted and not started."""
        return response_id in self._requested

    def start_requested(self, response_id: str) -> str:
        """Start the response that was accepted under this id."""
        settings = self._requested.pop(response_id, None)
        if settings is None:
            raise ProtocolError("TL307", f"response {response_id!r} was not requested, or has been started before")
        return self._start(response_id, settings)

    def start(self, session: _Json, *, in_band: bool, metadata: dict[str, str] | None) -> str:
        """Start a response that nobody asked for; returns its id."""
        if in_band and (holder := self.holder) is not None:
            raise ProtocolError(
                "TL307",
                f"response {holder} holds the conversation; a second in-band response cannot start",
                "finish or interrupt it first, or start this one out of band",
            )
        return self._start(self._floor.outbox.ids("resp"), response_settings(session, {}, in_band=in_band, metadata=metadata))

    def _start(self, response_id: str, settings: ResponseSettings) -> str:
        self._open[response_id] = ResponseStream(response_id, settings, self._floor)
        return response_id

    def settings(self, response_id: str) -> ResponseSettings:
        """What a requested or open response was created with."""
        if (stream := self._open.get(response_id)) is not None:
            return stream.settings
        settings = self._requested.get(response_id)
        if settings is None:
            raise ProtocolError("TL307", f"response {response_id!r} is neither requested nor open")
        return settings

    def open(self, response_id: str) -> ResponseStream | None:
        """The open response; None if it is over: what a model still says of it is dropped."""
        stream = self._open.get(response_id)
        if stream is None and response_id not in self._finished:
            raise ProtocolError("TL307", f"response {response_id!r} has not been started")
        return stream

    def finish(self, response_id: str, outcome: Outcome) -> bool:
        """End a response; False if it was over already."""
        stream = self.open(response_id)
        if stream is None:
            return False
        stream.finish(outcome)
        del self._open[response_id]
        self._finished.add(response_id)
        return True
