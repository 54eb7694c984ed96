"""What the log has told of the session as a whole: the conversation, what the handler has said, whether it is over."""

from collections import deque
from typing import Any

from ...core import commands as c
from ...core import events as e
from ...core.errors import SessionEnded
from ...core.folds.conversation import Conversation

__all__ = ["OBSERVED", "Record"]

OBSERVED = frozenset(
    {
        e.SessionStarted,
        e.TurnEnded,
        e.ItemSeeded,
        e.SayRequested,
        e.SaySettled,
        e.ResponseStarted,
        e.PlayoutEnded,
        e.AnswersSwitched,
    }
)
"""What `observe` looks at: the conversation's events, and those of the outbox."""

OUTBOX = 200  # says that `outbox` keeps; older ones are in the log


class Record:
    """The session as the log tells it so far.

    over: set when nobody can be heard or spoken to any more. ended: what is asked for now is in no log.
    """

    def __init__(self) -> None:
        self.conversation = Conversation()
        self.outbox: deque[dict[str, Any]] = deque(maxlen=OUTBOX)
        self.over: SessionEnded | None = None
        self.ended = False

    def observe(self, seq: int, at_ns: int, event: e.Event) -> None:
        """See an event that settles nothing by itself, in log order, before it is delivered if it is."""
        self.conversation.apply(seq, at_ns, event)
        if isinstance(event, e.SayRequested) and event.index:
            command = event.command
            kept = c.plain(command.metadata, "metadata")  # a copy: the handler may change what it is given
            self.outbox.append({"type": "speech", "text": command.text, "metadata": kept})

    def hang_up(self, why: str) -> None:
        """No more turns and no more says; calls that are open still complete."""
        self.over = SessionEnded("TL102", why, "leave the loop over turns(), or catch SessionEnded")
