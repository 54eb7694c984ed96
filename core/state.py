"""The state of one session: the folds, applied together. This is all that replay runs of the core."""

from . import events as e
from .folds.call import Call
from .folds.conversation import Conversation
from .folds.delivery import Delivery
from .folds.floor import Floor
from .folds.lifecycle import Lifecycle, Links
from .folds.playout import Playout
from .folds.relay import Relay
from .folds.signals import Signals
from .folds.tools import Tools
from .folds.turns import Turns

__all__ = ["NOT_FOLDED", "State"]

# Strategy: most events of a session concern no fold, or one. A fold's `match` tries each of its types in turn, which is a good
# part of what a command costs. tests/core/test_state.py holds these two against what the folds name.
NOT_FOLDED = frozenset(
    {
        *(e.TransportReceived, e.TransportSent, e.BinaryReceived, e.BinarySent),
        *(e.MediaRecorded, e.PeerFaulted, e.Unknown, e.Erased),
        *(e.CallRefused, e.OutsideCallRequested, e.OutsideCallEnded),
        *(e.InputRequested, e.AttemptFailed, e.StreamRequested, e.CommandAbandoned, e.SaySpoken),
    }
)
_FOLDED_BY_TOOLS = frozenset({e.CallRequested, e.StepRequested, e.CallCompleted, e.CallFailed})
_FOLDED_BY_DELIVERY = frozenset({e.StreamItem, e.StreamEnded})


class State:
    """Eleven folds; each owns one concept and sees every event that it names."""

    __slots__ = (
        *("_folds", "call", "conversation", "delivery", "floor", "life"),
        *("links", "playout", "relay", "signals", "tools", "turns"),
    )

    def __init__(self) -> None:
        self.life = Lifecycle()
        self.links = Links()
        self.turns = Turns()
        self.delivery = Delivery()
        self.playout = Playout()
        self.floor = Floor()
        self.tools = Tools()
        self.relay = Relay()
        self.signals = Signals()
        self.conversation = Conversation()
        self.call = Call()
        self._folds = (
            self.life.apply,
            self.links.apply,
            self.turns.apply,
            self.delivery.apply,
            self.playout.apply,
            self.floor.apply,
            self.tools.apply,
            self.relay.apply,
            self.signals.apply,
            self.conversation.apply,
            self.call.apply,
        )

    @property
    def model_answers(self) -> bool:
        """Whether the model answers the user now; else the handler does."""
        return self.links.answers == "model"

    def apply(self, seq: int, at_ns: int, event: e.Event | e.Unknown | e.Erased) -> None:
        """Fold one event. Wire records, unknown types and erased payloads leave the state as it is."""
        kind = type(event)
        if kind in _FOLDED_BY_TOOLS:
            self.tools.apply(seq, at_ns, event)  # type: ignore[arg-type] # no Unknown or Erased
        elif kind in _FOLDED_BY_DELIVERY:
            self.delivery.apply(seq, at_ns, event)  # type: ignore[arg-type] # no Unknown or Erased
        elif kind not in NOT_FOLDED:
            for fold in self._folds:
                fold(seq, at_ns, event)  # type: ignore[arg-type] # no Unknown or Erased
