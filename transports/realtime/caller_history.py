"""What a caller that comes later is told of what was said before: items of the conversation, each side as it was heard. Pure."""

from collections.abc import Callable, Iterable
from typing import Any

from ...core.folds.conversation import Contribution

__all__ = ["history"]


def history(said: Iterable[Contribution], ids: Callable[[str], str]) -> list[dict[str, Any]]:
    """Items in the order of the conversation; where callers know none by its id, or it was taken, it gets one of `ids`."""
    items: dict[str, dict[str, Any]] = {}
    for one in said:
        item_id = one.item if one.item and one.item not in items else ids("item")
        item = {"id": item_id, "type": "message", "status": "completed", "role": one.line.role}
        items[item_id] = {**item, "content": [_content(one)]}
    return list(items.values())


def _content(one: Contribution) -> dict[str, str]:
    side = "input" if one.line.role == "user" else "output"
    if one.spoken:
        return {"type": f"{side}_audio", "transcript": one.line.text}
    return {"type": f"{side}_text", "text": one.line.text}
