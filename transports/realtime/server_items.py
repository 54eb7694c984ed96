"""The server's items: what a client puts into the conversation, takes out, asks for, or tells the playout of. Pure.

Each request is answered here, or gives the Refusal that is to answer it. A call's output that comes while a response is
open takes its place when that response is over, as the service does it.
"""

from typing import Any

from ...core.signals import ItemCreated, PlayoutReported, Signal
from . import refusals
from .checks import Refusal
from .client_messages import ItemCreate, ItemDelete, ItemRetrieve, ItemTruncate, PlayoutReport
from .conversation import Conversation, check_item, described, stored_item
from .outbox import Outbox
from .server_buffer import OutputBuffer
from .server_playout import SentAudio

__all__ = ["ServerItems"]

_Json = dict[str, Any]
_Request = ItemCreate | ItemDelete | ItemRetrieve | ItemTruncate | PlayoutReport


class ServerItems:
    """The items of one connection. `plays`: what it is sent is played by this server's end of the line."""

    def __init__(self, outbox: Outbox, *, plays: bool = False) -> None:
        self._outbox = outbox
        self.conversation = Conversation()
        self.sent = SentAudio()
        self.buffer = OutputBuffer(outbox, self.sent, self.conversation, plays=plays)
        self._deferred: list[tuple[_Json, str | None]] = []  # (item, previous): outputs of calls

    def history(self) -> list[_Json]:
        """The items, first to last, as a model is to read them: a truncated one has the words that were heard."""
        return [self._as_heard(item) for item in self.conversation.items]

    def _as_heard(self, item: _Json) -> _Json:
        part = self.sent.get(item["id"])
        if part is None or part.cut_ms is None:
            return item
        return {**item, "content": [{"type": "output_audio", "transcript": part.heard}]}

    # What the client asks.

    def receive(self, view: _Request, *, speaking: bool, promised: str | None) -> list[Signal] | Refusal:
        """`speaking`: an in-band response is open. `promised`: the id of an item that speech under way will make."""
        match view:
            case ItemCreate():
                return self._create(view, speaking=speaking, promised=promised)
            case ItemDelete():
                return self._delete(view)
            case ItemRetrieve():
                return self._retrieve(view)
            case ItemTruncate():
                return self._truncate(view)
            case PlayoutReport():
                return self._report(view)

    def _create(self, view: ItemCreate, *, speaking: bool, promised: str | None) -> list[Signal] | Refusal:
        refusal = check_item(view.item) or self._place_refusal(view.item.get("id"), view.previous_item_id, promised)
        if refusal is not None:
            return refusal
        item = stored_item(view.item, view.item.get("id") or self._outbox.ids("item"))
        if item["type"] == "function_call_output" and speaking:
            self._deferred.append((item, view.previous_item_id))
        else:
            self.add(item, view.previous_item_id)
        kind, role, text = described(item)
        return [ItemCreated(item=item["id"], kind=kind, role=role, text=text, raw=view.item)]

    def _place_refusal(self, item_id: str | None, previous: str | None, promised: str | None) -> Refusal | None:
        awaited = {item["id"] for item, _ in self._deferred} | {promised}
        return self.conversation.refusal(item_id or None, previous, taken=item_id is not None and item_id in awaited)

    def _delete(self, view: ItemDelete) -> list[Signal] | Refusal:
        if view.item_id not in self.conversation:
            return refusals.no_item("delete", view.item_id)
        self.conversation.delete(view.item_id)
        self._outbox.send("conversation.item.deleted", item_id=view.item_id)
        return []

    def _retrieve(self, view: ItemRetrieve) -> list[Signal] | Refusal:
        item = self.conversation.get(view.item_id)
        if item is None:
            return refusals.no_item("retrieve", view.item_id)
        self._outbox.send("conversation.item.retrieved", item=item)
        return []

    def _truncate(self, view: ItemTruncate) -> list[Signal] | Refusal:
        if view.item_id not in self.conversation:
            return refusals.no_item("truncate", view.item_id)
        part = self.sent.truncate(view)
        if isinstance(part, Refusal):
            return part
        self.conversation.forget_words(view.item_id)
        place = {"item_id": view.item_id, "content_index": view.content_index}
        self._outbox.send("conversation.item.truncated", **place, audio_end_ms=view.audio_end_ms)
        return [_reported(view, part.response, view.audio_end_ms, final=True)]

    def _report(self, view: PlayoutReport) -> list[Signal] | Refusal:
        if view.state is not None:
            return self._line_reports(view) if self.buffer.plays else refusals.no_player(view.state)
        played_ms, part = self.sent.played(view), self.sent.get(view.item_id)
        if isinstance(played_ms, Refusal) or part is None:
            return played_ms if isinstance(played_ms, Refusal) else []
        return [_reported(view, part.response, played_ms, final=False)]

    def _line_reports(self, view: PlayoutReport) -> list[Signal]:
        """Whoever plays the audio tells where it is. What it tells of is what it was sent: there is nothing to refuse."""
        part = self.sent.get(view.item_id)
        if part is None:
            return []
        played_ms = part.at_most(view.played_ms)
        match view.state:
            case "started":
                self.buffer.started(view.item_id)
            case "stopped":
                self.buffer.stopped(view.item_id, played_ms)
            case "cleared":
                self.buffer.cleared(view.item_id, played_ms)
        return [_reported(view, part.response, played_ms, final=False)]

    # What its driver does.

    def add(self, item: _Json, previous: str | None = None) -> None:
        """Put an item into the conversation and say so."""
        before = self.conversation.add(item, previous)
        self._outbox.send("conversation.item.added", previous_item_id=before, item=item)
        self._outbox.send("conversation.item.done", previous_item_id=before, item=item)

    def release(self) -> None:
        """No response is open any more: what waited for that takes its place."""
        deferred, self._deferred = self._deferred, []
        for item, previous in deferred:
            self.add(item, previous if previous == "root" or previous in self.conversation else None)


def _reported(view: ItemTruncate | PlayoutReport, response: str, played_ms: int, *, final: bool) -> Signal:
    return PlayoutReported(
        response=response,
        item=view.item_id,
        content_index=view.content_index,
        played_ms=played_ms,
        final=final,
        source=view.source if isinstance(view, PlayoutReport) else "ack",
        halted=isinstance(view, PlayoutReport) and view.state in ("stopped", "cleared"),
    )
