"""The server's conversation: items in order, and which items a client may put there. Pure.

Ids are opaque and kept as the client made them; an id stands for one item. The last MOST_ITEMS are kept: of one that was
forgotten the server speaks as of one that was never there. Items are JSON objects, so that keys not
known here are given back as they came.
"""

from typing import Any

from .checks import Check, Refusal, each, nullable, obj, one_of, string, too_deep
from .refusals import duplicate_item, no_previous_item

__all__ = ["MOST_ITEMS", "Conversation", "check_item", "described", "stored_item"]

MOST_ITEMS = 1000  # some hours of a conversation: what a model reads, and what a connection holds, has an end

_Json = dict[str, Any]


def _content(*types: str) -> Check:
    part = {"type": one_of(*types), "text": string, "transcript": nullable(string), "audio": string}
    return each(obj(part, required=("type",), open_=True))


_CONTENT: dict[str, Check] = {
    "user": _content("input_text", "input_audio", "input_image"),
    "assistant": _content("output_text", "output_audio"),
    "system": _content("input_text"),
}
_ITEM_ID: dict[str, Check] = {"id": nullable(string)}
_ITEMS: dict[str, Check] = {
    "function_call": obj(
        {**_ITEM_ID, "call_id": string, "name": string, "arguments": string},
        required=("call_id", "name", "arguments"),
        open_=True,
    ),
    "function_call_output": obj({**_ITEM_ID, "call_id": string, "output": string}, required=("call_id", "output"), open_=True),
}
_KINDS = ("message", *_ITEMS)


def check_item(item: _Json) -> Refusal | None:
    """Why this `item` of a conversation.item.create cannot be stored."""
    kind = item.get("type")
    refusal = too_deep(item, "item") or obj({"type": one_of(*_KINDS)}, required=("type",), open_=True)(item, "item")
    if refusal is not None:
        return refusal
    if kind != "message":
        return _ITEMS[str(kind)](item, "item")
    role = obj({**_ITEM_ID, "role": one_of(*_CONTENT)}, required=("role", "content"), open_=True)(item, "item")
    return role or _CONTENT[item["role"]](item["content"], "item.content")


def stored_item(item: _Json, item_id: str) -> _Json:
    """The item as the server holds and echoes it: with an id and a status, and without the bytes of its audio."""
    stored = {**item, "id": item.get("id") or item_id}
    if item["type"] == "function_call_output":
        return stored
    stored["status"] = "completed"
    if item["type"] == "message":
        stored["content"] = [_without_audio(part) for part in item["content"]]
    return stored


def _without_audio(part: _Json) -> _Json:
    if part["type"] not in ("input_audio", "output_audio"):
        return part
    kept = {key: value for key, value in part.items() if key != "audio"}
    return {"transcript": None, **kept}


def described(item: _Json) -> tuple[str, str | None, str]:
    """(kind, role, text) of a stored item; text is what is known of its words, joined by a space."""
    words = (part.get("text") or part.get("transcript") for part in item.get("content") or ())
    return item["type"], item.get("role"), " ".join(filter(None, words))


class Conversation:
    """Items in the order of the conversation, the last MOST_ITEMS of them."""

    def __init__(self) -> None:
        self._items: dict[str, _Json] = {}
        self._order: list[str] = []

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._items

    @property
    def items(self) -> list[_Json]:
        """All items, first to last."""
        return [self._items[item_id] for item_id in self._order]

    @property
    def last(self) -> str | None:
        """The id of the last item."""
        return self._order[-1] if self._order else None

    def get(self, item_id: str) -> _Json | None:
        """The item of this id."""
        return self._items.get(item_id)

    def previous_of(self, item_id: str) -> str | None:
        """The id of the item before this one; None for the first, and for one that has been deleted."""
        place = self._order.index(item_id) if item_id in self._items else 0
        return self._order[place - 1] if place else None

    def refusal(self, item_id: str | None, previous: str | None, *, taken: bool) -> Refusal | None:
        """Why no item of this id can stand behind `previous`; `taken` if the id is promised to an item to come."""
        if taken or item_id in self._items:
            return duplicate_item(item_id)
        if previous is not None and previous != "root" and previous not in self._items:
            return no_previous_item(previous)
        return None

    def add(self, item: _Json, previous: str | None = None) -> str | None:
        """Put an item behind `previous` (None: last; "root": first); returns the id of the item now before it.

        Of too many those at the beginning are forgotten, and a call's output with its call.
        """
        item_id = item["id"]
        place = len(self._order) if previous is None else 0 if previous == "root" else self._order.index(previous) + 1
        self._items[item_id] = item
        self._order.insert(place, item_id)
        before = self._order[place - 1] if place else None
        while len(self._order) > MOST_ITEMS:
            self._forget(next(one for one in self._order if one != item_id))
        return before

    def _forget(self, item_id: str) -> None:
        item = self._items[item_id]
        self.delete(item_id)
        if item["type"] == "function_call":
            of_call = ("function_call_output", item["call_id"])
            for output in [one for one in self.items if (one["type"], one.get("call_id")) == of_call]:
                self.delete(output["id"])

    def replace(self, item: _Json) -> None:
        """Store a newer state of an item; nothing if it has been deleted meanwhile."""
        if item["id"] in self._items:
            self._items[item["id"]] = item

    def forget_words(self, item_id: str) -> None:
        """Take the transcripts out of an item that is there; its words are not known any more."""
        if (item := self._items.get(item_id)) is not None:
            content = [{key: value for key, value in part.items() if key != "transcript"} for part in item["content"]]
            self._items[item_id] = {**item, "content": content}

    def delete(self, item_id: str) -> None:
        """Take an item out that is there."""
        del self._items[item_id]
        self._order.remove(item_id)
