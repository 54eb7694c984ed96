"""Tools that run and were declared to want something: a filler while they are slow, or an end when the user speaks.

The declarations stand in SessionStarted, so that nothing here needs the program that made them.
"""

from .. import events as e

__all__ = ["Running", "RunningTools"]


class Running:
    """A call that has not come back. `interrupted`: seq of the user's speech that is to cancel it; 0: none."""

    __slots__ = ("at_ns", "call", "filled", "interrupted", "rules", "seq")

    def __init__(self, seq: int, at_ns: int, call: str, rules: e.ToolRules) -> None:
        self.seq = seq
        self.at_ns = at_ns
        self.call = call
        self.rules = rules
        self.filled = False
        self.interrupted = 0


class RunningTools:
    """The running calls of tools with rules: the handler's by command index, the model's by call id."""

    __slots__ = ("calls", "rules", "spoke")

    def __init__(self) -> None:
        self.rules: dict[str, e.ToolRules] = {}
        self.calls: dict[int | str, Running] = {}
        self.spoke: dict[str, int] = {}  # user items that are no turn yet -> seq of what first told of them

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SessionStarted():
                self.rules = {rules.name: rules for rules in event.tools}
            case e.CallRequested() if rules := self.rules.get(event.command.target):
                self.calls[event.index] = Running(seq, at_ns, event.call, rules)
            case e.ToolRequested(allowed=True) if rules := self.rules.get(event.name):
                self.calls[event.call_id] = Running(seq, at_ns, event.call_id, rules)
            case e.CallCompleted() | e.CallFailed():
                self.calls.pop(event.index, None)
            case e.ToolAnswered():
                self.calls.pop(event.call_id, None)
            case e.SayRequested(say=say) if say.startswith(e.FILLER):
                for call in self.calls.values():  # one filler stands for all that run while it is asked for
                    call.filled = True
            case e.SpeechStarted() | e.InputCommitted():
                self.spoke.setdefault(event.item, seq)
            case e.TurnDiscarded():
                self.spoke.pop(event.item, None)
            case e.TurnEnded(channel="audio"):
                self._interrupt(seq, self.spoke.pop(event.item, seq))
            case e.PlayoutCut(reason="speech"):
                self._interrupt(seq, seq)

    def _interrupt(self, seq: int, since: int) -> None:
        """Speech that began at event `since` came between: later words than those that a call answers."""
        for call in self.calls.values():
            if call.rules.cancel_on_interruption and not call.interrupted and call.seq < since:
                call.interrupted = seq
