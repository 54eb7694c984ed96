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

    __slots__ = ("_open", "answered", "until_ns")

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, str]] = {}  # call id -> when it was made, and by which response
        self.until_ns = 0  # until then the follow-up waits; 0: it need not
        self.answered: set[str] = set()  # responses for which the client gave an output, and nothing else has come since

    @property
    def waiting(self) -> str:
        """The call that waits longest; "" if none does."""
        return next(iter(self._open), "")

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.ClientToolCalled():
                self._open[event.call_id] = at_ns, event.response
                self.until_ns = at_ns + CLIENT_OUTPUT_S * _S
            case e.ItemSeeded(raw={"type": "function_call_output", "call_id": str(call)}) if call in self._open:
                self.answered.add(self._open.pop(call)[1])
                open_ns = [made_ns for made_ns, _ in self._open.values()]
                self.until_ns = max(open_ns) + CLIENT_OUTPUT_S * _S if open_ns else at_ns + CLIENT_ASKS_S * _S
            case e.AnswerAsked(held=True) if not self._open:
                self.until_ns = 0  # it has asked
            case e.ItemSeeded(role="user"):
                self.answered.clear()
            case e.ResponseStarted(say=None) | e.InputCommitted():
                self._open.clear()
                self.answered.clear()
                self.until_ns = 0
