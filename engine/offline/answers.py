"""What a log answered to a handler's commands, given out again in order to commands that are equal.

A command is equal to another by its kind and arguments; its index plays no part. Pure.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ...core import commands as c
from ...core import events as e
from ...core.codec import decode_value
from .divergence import command_of, records_command

__all__ = ["Answer", "Answers", "Decoded", "Recollection", "readdress", "say_ms", "say_words_ms"]

_MS_A_CHARACTER = 65  # speech of about 15 characters a second


class Decoded(NamedTuple):
    """An entry of a log, decoded."""

    seq: int
    at_ns: int
    event: e.Event


Answer = Decoded


class Recollection(NamedTuple):
    """A recorded command and the events that answered it, in order."""

    seq: int
    at_ns: int
    number: int  # its index among the recorded commands
    command: c.Command
    answers: list[Answer]


class Answers:
    """The recorded commands of one log."""

    def __init__(self, log: Iterable[Decoded]) -> None:
        self.by_index: dict[int, Recollection] = {}
        self.claimed: set[int] = set()
        self._unclaimed: dict[bytes, deque[Recollection]] = {}
        self._says: dict[str, int] = {}
        before: Recollection | None = None  # the command of the event just before, if that was one
        for seq, at_ns, event in log:
            if records_command(event):
                before = self._enter(seq, at_ns, event)
                continue
            if before and isinstance(event, e.SessionEnding) and isinstance(before.command, c.End | c.Return | c.Fail):
                before.answers.append(Answer(seq, at_ns, event))
            elif (index := self.answered(event)) in self.by_index:
                self.by_index[index].answers.append(Answer(seq, at_ns, event))
            before = None

    def _enter(self, seq: int, at_ns: int, event: e.Event) -> Recollection:
        index, command = command_of(event)
        found = Recollection(seq, at_ns, index, command, [])
        self.by_index[index] = found
        self._unclaimed.setdefault(_key(command), deque()).append(found)
        if isinstance(event, e.SayRequested):
            self._says[event.say] = index
        return found

    def answered(self, event: e.Event) -> int:
        """The recorded index of the command that this event answers; 0 if it answers none."""
        match event:
            case e.CallCompleted() | e.CallFailed() | e.StreamItem() | e.StreamEnded() | e.UpdateApplied() | e.UpdateRefused():
                return event.index
            case e.SaySettled():
                return self.said(event.say)
        return 0

    def said(self, say: str) -> int:
        """The recorded index of the command that asked for this say; 0 for the engine's own."""
        return self._says.get(say, 0)

    def spoken(self, command: c.Say, stream: int) -> str:
        """The words of a say; of one that speaks a stream, what the recorded stream of index `stream` brought."""
        known = self.by_index.get(stream) if command.stream else None
        came = [one.event for one in known.answers] if known else []
        items = [event.item for event in came if isinstance(event, e.StreamItem) and event.n > command.after]
        words = [decode_value(item, "an item of a spoken stream") for item in items]
        return "".join([command.text, *(word for word in words if isinstance(word, str))]).strip()

    def filled(self, say: str) -> int:
        """The recorded index of the handler's call that this filler of the engine's bridges; 0 for a call of the model's."""
        number = say.removeprefix("filler_call_")
        known = self.by_index.get(int(number)) if number.isascii() and number.isdecimal() else None
        return known.number if known and isinstance(known.command, c.Call) else 0

    def claim(self, command: c.Command) -> Recollection | None:
        """The next recorded command that equals this one, with its answers. Each is given once."""
        waiting = self._unclaimed.get(_key(command))
        if not waiting:
            return None
        found = waiting.popleft()
        self.claimed.add(found.number)
        return found


def _key(command: c.Command) -> bytes:
    if isinstance(command, c.Say) and command.stream:  # the index of its stream plays no part either
        command = msgspec.structs.replace(command, stream=1)
    return b"abandon" if isinstance(command, c.Abandon) else c.compared(command)


def readdress(answer: e.Event, index: int) -> e.Event:
    """The same answer to the command of another index."""
    match answer:
        case e.CallCompleted() | e.CallFailed() | e.StreamItem() | e.StreamEnded() | e.UpdateApplied() | e.UpdateRefused():
            return msgspec.structs.replace(answer, index=index)
        case e.SaySettled():
            return msgspec.structs.replace(answer, say=f"say_{index}")
    return answer


def say_ms(command: c.Say) -> int:
    """How long a say that the record does not know takes: a recording's own time, else its words'."""
    return command.clip.ms if command.clip else say_words_ms(command.text)


def say_words_ms(text: str) -> int:
    """How long words take to be spoken, by their number of characters."""
    return max(1, len(text) * _MS_A_CHARACTER)
