"""The mouth: what the callers hear, from the first word of a response to the end of its playout, and what must be made good.

Three facts of each audible response: generated (ResponseEnded), delivered (ResponseDelivered), heard (PlayoutEnded). A cut
one is dead: it does not occupy the mouth, and only waits for the callers to say how much of it they played.
"""

from collections import deque
from typing import NamedTuple

from .. import events as e

__all__ = ["Ack", "Playout", "Repair", "Sounding", "Unheard"]

_KEPT_ITEMS = 16


class Ack(NamedTuple):
    """What a caller said about a part: so much was played at that time."""

    played_ms: int
    source: e.PlayoutSource
    at_ns: int
    halted: bool


class Sounding:
    """An audible response, from its start to the end of its playout."""

    __slots__ = (
        *("acks", "began_ns", "buffered", "cancelled", "cut", "cut_ns", "cut_seq"),
        *("delivered", "ended", "ended_ns", "in_band", "is_lost", "is_told", "link", "say", "started_ns"),
    )

    def __init__(self, began: e.ResponseStarted, at_ns: int) -> None:
        self.say = began.say
        self.in_band = began.in_band
        self.link = began.link
        self.is_lost = False  # its line is gone: nothing more of it comes, and nobody can be told to stop it
        self.is_told = False  # our end plays it to everybody who hears it, and tells what it has played
        self.began_ns = at_ns
        self.started_ns: int | None = None  # when its first audio was delivered
        self.ended: e.ResponseEnded | None = None
        self.ended_ns = 0
        self.delivered: e.ResponseDelivered | None = None
        self.cut: e.PlayoutCut | None = None
        self.cut_ns = 0
        self.cut_seq = 0
        self.cancelled = False  # response.cancel is on its way
        self.acks: dict[tuple[str, int], Ack] = {}
        self.buffered: e.PlayoutBuffered | None = None  # what a provider that plays it itself said last

    @property
    def is_open(self) -> bool:
        """Whether more of it may come."""
        return self.ended is None and not self.is_lost


class Unheard:
    """A response that nobody hears and the provider has not finished. cancel_seq: what calls for its cancel, if anything."""

    __slots__ = ("cancel_seq", "in_band", "link")

    def __init__(self, in_band: bool, cancel_seq: int | None, link: str = "") -> None:
        self.in_band = in_band
        self.link = link
        self.cancel_seq = cancel_seq


class Repair(NamedTuple):
    """A part of the provider's history that says more than was heard. seq: the event that shows it."""

    seq: int
    item: str
    content_index: int
    heard_ms: int  # 0: the item is to be deleted


class Playout:
    """Responses that are being generated or heard."""

    __slots__ = ("_kept", "_lines", "_model_answers", "_truncated", "repairs", "responses", "unheard", "voice_heard")

    def __init__(self) -> None:
        self.responses: dict[str, Sounding] = {}
        self.unheard: dict[str, Unheard] = {}
        self.repairs: deque[Repair] = deque()
        self.voice_heard = False  # from then on the provider will not change its voice
        self._model_answers = False
        self._kept: dict[str, int] = {}  # what the provider's history may hold of the last items of its, in ms
        self._truncated: deque[str] = deque(maxlen=_KEPT_ITEMS)  # the last items that the provider has cut
        self._lines: dict[str, bool] = {}  # each caller's line -> whether our end of it plays

    def sounding(self) -> dict[str, Sounding]:
        """What occupies the mouth: audible, and not cut."""
        return {key: one for key, one in self.responses.items() if one.cut is None}

    def cancels(self) -> list[tuple[str, str, int]]:
        """Responses that are to be stopped: link ("": the provider's), response, and the seq of what calls for it."""
        sounding = self.responses.items()
        cut = [(one.link, key, one.cut_seq) for key, one in sounding if one.cut and one.is_open and not one.cancelled]
        return cut + [(one.link, key, one.cancel_seq) for key, one in self.unheard.items() if one.cancel_seq is not None]

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SessionStarted():
                self._model_answers = event.definition.answers == "model"
            case e.AnswersSwitched():
                self._model_answers = event.answers == "model"
            case e.ResponseStarted() if event.dead or not (event.say or self._model_answers):
                self.unheard[event.response] = Unheard(event.in_band, seq if event.dead else None, event.link)
            case e.ResponseStarted():
                one = self.responses[event.response] = Sounding(event, at_ns)
                one.is_told = bool(self._lines) and all(self._lines.values())
            case e.ItemTruncated():
                self._truncated.append(event.item)
                self.repairs = deque(one for one in self.repairs if one.item != event.item)
            case e.TruncateDispatched() | e.ItemDeleteDispatched() if self.repairs:
                self.repairs.popleft()
            case e.LinkOpened(side="caller"):
                plays = self._lines[event.link] = event.transport == "webrtc"
                for one in self.responses.values():
                    one.is_told = one.is_told and plays
            case e.LinkClosed():
                self._lost(event.link)
            case _:
                self._apply_response(seq, at_ns, event)

    def _apply_response(self, seq: int, at_ns: int, event: e.Event) -> None:
        response: str | None = getattr(event, "response", None)
        one = self.responses.get(response or "")
        match event:
            case e.AudioStarted() if one:
                one.started_ns = at_ns
                self.voice_heard = True
            case e.ResponseEnded():
                self.unheard.pop(event.response, None)
                if one:
                    one.ended, one.ended_ns = event, at_ns
            case e.PlayoutBuffered() if one:
                one.buffered = event
                one.started_ns = one.started_ns or at_ns
            case e.PlayoutBuffered(state="started") if event.response in self.unheard:
                self.unheard[event.response].cancel_seq = seq  # it sounds, and nobody is to hear it
            case e.ResponseDelivered() if one:
                one.delivered = event
            case e.PlayoutAcknowledged() if one:
                one.acks[event.item, event.content_index] = Ack(event.played_ms, event.source, at_ns, event.halted)
            case e.PlayoutAcknowledged() if event.played_ms < self._kept.get(event.item, 0):  # its playout had ended
                self._kept[event.item] = event.played_ms
                self.repairs.append(Repair(seq, event.item, event.content_index, event.played_ms))
            case e.PlayoutCut() if one:
                one.cut, one.cut_ns, one.cut_seq = event, at_ns, seq
            case e.CancelDispatched():
                if one:
                    one.cancelled = True
                if event.response in self.unheard:
                    self.unheard[event.response].cancel_seq = None
            case e.PlayoutEnded() if one:
                self._end(seq, event, self.responses.pop(event.response))

    def _end(self, seq: int, event: e.PlayoutEnded, one: Sounding) -> None:
        if one.in_band:
            self._kept |= {part.item: part.heard_ms for part in event.heard}
            self._kept = dict(list(self._kept.items())[-_KEPT_ITEMS:])
        if one.cut is None:
            return
        if one.is_open:
            self.unheard[event.response] = Unheard(one.in_band, None if one.cancelled else one.cut_seq, one.link)
        if one.in_band:
            heard = {part.item for part in event.heard if part.heard_ms}
            deleted: set[str] = set()
            for part in event.heard:
                if part.item in heard and part.heard_ms < part.generated_ms:
                    if part.item in self._truncated:
                        continue  # it did so by itself, before it was known how much was heard
                    self.repairs.append(Repair(seq, part.item, part.content_index, part.heard_ms))
                elif part.item and part.item not in heard | deleted:
                    deleted.add(part.item)
                    self.repairs.append(Repair(seq, part.item, part.content_index, 0))

    def _lost(self, link: str) -> None:
        self._lines.pop(link, None)
        # What was sounding was heard so far: it stays until that is written down.
        of_provider = link.startswith("p")
        lines = (link, "") if of_provider else (link,)
        self.responses = {
            key: one for key, one in self.responses.items() if one.started_ns is not None or one.link not in lines
        }
        for one in self.responses.values():
            one.is_lost = one.is_lost or one.link in lines
        self.unheard = {key: one for key, one in self.unheard.items() if one.link not in lines}
        if of_provider:
            self.repairs.clear()
