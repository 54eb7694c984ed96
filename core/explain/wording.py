"""The words of a say: what was asked for, whole or as far as its stream has come, and how it is called in a sentence."""

from .. import events as e
from ..codec import decode_value
from ..folds.delivery import OpenSay
from .trail import Entry, Trail
from .waiter import brief
from .waits import work_name

__all__ = ["filler_tool", "named", "requested_words", "title"]


def requested_words(trail: Trail, requested: Entry[e.SayRequested], until: int) -> str:
    """The text of a say: of a stream what had come of it up to the entry `until`."""
    command = requested.event.command
    words = [command.text]
    for entry in trail.between(0, until) if command.stream else ():
        if isinstance(entry.event, e.StreamItem) and entry.event.index == command.stream and entry.event.n > command.after:
            item = decode_value(entry.event.item, f"the item in event {entry.seq}")
            words.append(item if isinstance(item, str) else "")
    return "".join(words)


def title(head: OpenSay) -> str:
    """An open say, as it is called in a sentence."""
    return named(head.requested, "".join(head.pieces))


def named(requested: e.SayRequested, words: str) -> str:
    """A say by its words, as it is called in a sentence."""
    command = requested.command
    if command.clip:
        return f"the clip {command.clip.name!r}"
    if not words:
        return "the stream"
    tool = command.metadata.get("filler", "") if requested.say.startswith(e.FILLER) else ""
    return f'the filler of {tool} "{brief(words)}"' if tool else f'"{brief(words)}"'


def filler_tool(trail: Trail, requested: Entry[e.SayRequested]) -> str:
    """The tool for which the engine has this said; "" for what a handler, or somebody outside, asked for."""
    if not requested.event.say.startswith(e.FILLER):
        return ""
    cause = trail.get(requested.cause)
    match cause.event if cause else None:
        case e.ToolRequested(name=name):
            return name
        case e.CallRequested() as work:
            return work_name(work)
    return str(requested.event.command.metadata.get("filler", ""))
