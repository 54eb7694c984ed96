"""The says of a handler, as it may hold them: their handles and keys, and who watches what ends to be heard."""

from weakref import WeakSet

from ...core import commands as c
from ...core import events as e
from ...core.errors import HandlerError
from ...core.keys import remember
from .handles import Holder, SayHandle, SayOutcome, Utterances, utterance
from .record import Record

__all__ = ["Says"]


class Says:
    """`open`: the says that are not settled, or have a key, by which they may be asked for again. `keys`: what each was for.

    The last keys are remembered, twice: as the handler asks, and as the log has it, by which an answer may still come.
    """

    def __init__(self, holder: Holder, record: Record) -> None:
        self.open: dict[str, SayHandle] = {}
        self.keys: dict[str, c.Say] = {}
        self._holder = holder
        self._record = record
        self._keyed: dict[str, str] = {}  # key -> its say, as delivered
        self._watching: WeakSet[Utterances] = WeakSet()

    # --- the handler's side ---

    def is_repeated(self, command: c.Say) -> bool:
        """Whether the say's key was used for one before, of the same words. Raises HandlerError TL111 if for other words."""
        if not command.key:
            return False
        first = self.keys.get(command.key, command)
        remember(self.keys, command.key, command)
        clips = [one.clip.name if one.clip else "" for one in (first, command)]
        if not (first.stream or command.stream) and (first.text, clips[0]) != (command.text, clips[1]):
            hint = "one key is one say: use another key for other words"
            raise HandlerError("TL111", f"say(key={command.key!r}) was used for {first.text or clips[0]!r:.60}", hint)
        return first is not command

    def utterances(self) -> Utterances:
        """What ends to be heard from here on."""
        watching = Utterances(self._holder, self._is_heard_out)
        self._watching.add(watching)
        return watching

    def _is_heard_out(self) -> bool:
        """Whether nobody is heard any more, and what was to be heard has ended: how, is told to those who watch."""
        record = self._record
        waits = record.conversation.model_speaks or any(handle.outcome is None for handle in self.open.values())
        return record.ended or (record.over is not None and not waits)

    # --- what is delivered ---

    def requested(self, event: e.SayRequested | e.SayRepeated) -> SayHandle:
        """The handle of a say that is durable now."""
        handle = self.open.setdefault(event.say, SayHandle(self._holder, event.say, event.command))
        if handle.key and event.index and isinstance(event, e.SayRequested):
            forgotten = remember(self._keyed, handle.key, handle.id)
            if forgotten and (said := self.open.get(forgotten)) and said.outcome is not None:
                del self.open[forgotten]
        return handle

    def settled(self, event: e.SaySettled) -> None:
        """A say has ended."""
        if said := self.open.get(event.say):
            said.settle(SayOutcome.of(event))
            if self._keyed.get(said.key) != said.id:
                del self.open[event.say]

    def playout_ended(self, event: e.PlayoutEnded) -> bool:
        """Tell those who watch; false if nobody does, or it had no words: the model called a tool."""
        if not (self._watching and event.heard):
            return False
        one = utterance(event)
        for watching in list(self._watching):
            watching.ended.append(one)
        return True
