"""Calls that a client's own tools have to answer, and how long the model's follow-up to our tools waits for them."""

from .. import events as e

__all__ = ["CLIENT_ASKS_S", "CLIENT_OUTPUT_S", "ClientCalls"]

CLIENT_OUTPUT_S = 30  # a client that gives no output by then has none: the model goes on without it
CLIENT_ASKS_S = 1  # a client sends response.create right behind its output; asking before it would make two answers
_S = 1_000_000_000


class ClientCalls:
    """The calls since the model's last answer that wait for their client's output. Times are ns.

    What comes next of the conversation, an answer or speech of the user, passes over those that have none.
    """

    __slots__ = ("_open", "until_ns")

    def __init__(self) -> None:
        self._open: dict[str, int] = {}  # call id -> when it was made
        self.until_ns = 0  # until then the follow-up waits; 0: it need not

    @property
    def waiting(self) -> str:
        """The call that waits longest; "" if none does."""
        return next(iter(self._open), "")

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.ClientToolCalled():
                self._open[event.call_id] = at_ns
                self.until_ns = at_ns + CLIENT_OUTPUT_S * _S
            case e.ItemSeeded(raw={"type": "function_call_output", "call_id": str(call)}) if call in self._open:
                del self._open[call]
                self.until_ns = max(self._open.values()) + CLIENT_OUTPUT_S * _S if self._open else at_ns + CLIENT_ASKS_S * _S
            case e.ResponseStarted(say=None) | e.InputCommitted():
                self._open.clear()
                self.until_ns = 0
