"""The answer that the model owes once it has the outputs of its tools: asked for once, and not where one comes anyway."""

from typing import Any

from .. import events as e

__all__ = ["FollowUp"]


class FollowUp:
    """Whether the model must still be asked to go on.

    Invariant: while a response of the model's own runs, or one was asked for and has not begun, nothing becomes owed; so
    each one that begins while something is owed knows the outputs.
    """

    __slots__ = ("answering", "asked", "covered", "owed", "refusals", "refused_ns", "request")

    def __init__(self) -> None:
        self.answering: set[str] = set()  # the model's own responses that have begun and not ended
        self.asked: dict[int, int] = {}  # seq of each request for an answer that has not begun -> when it was made (ns)
        self.owed = 0  # seq of the last output that no answer has followed; 0: none
        self.covered = (0, 0)  # the request that the last answer was taken for, and the output that it followed
        self.refusals = 0  # of the request for what is owed now
        self.request: dict[str, Any] = {}  # how the client has asked for it, while tools of ours still ran
        self.refused_ns: int | None = None  # when the latest one came; the next request waits for a response to end, or a while

    def owe(self, seq: int) -> None:
        """All outputs of a response are on their way; `seq`: of the last."""
        self.owed, self.refusals, self.refused_ns = seq, 0, None

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.AnswerAsked(held=True):
                self.request = event.request
            case e.AnswerDispatched():
                self.asked[seq] = at_ns
            case e.AnswerRefused():
                self._refuse(at_ns, event.answer)
            case e.ResponseStarted() if (event.say is None and not event.dead) or event.in_band:
                self.answering.add(event.response)
                if event.say is None:
                    self._begin()
            case e.LinkClosed() if event.link.startswith("p"):  # nobody will tell us of their ends
                self.answering.clear()
                self.asked.clear()
            case e.ResponseEnded():
                self.answering.discard(event.response)
                self.refused_ns = None

    def _begin(self) -> None:
        """An answer has begun: ours, the caller's, or the provider's own. It knows all outputs that are on their way."""
        request = next(iter(self.asked), 0)
        self.asked.pop(request, None)
        self.request = {}
        if self.owed:
            self.covered, self.owed = (request, self.owed), 0

    def _refuse(self, at_ns: int, request: int) -> None:
        """A request was refused. If a response was taken for its answer, that one was the provider's own, made before."""
        if self.asked.pop(request, None) is None and request and request == self.covered[0]:
            self.owed, self.covered = self.covered[1], (0, 0)
        self.refusals += 1
        self.refused_ns = at_ns
