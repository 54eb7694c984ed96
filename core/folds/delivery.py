"""What is owed to the caller: every say from its request to its one terminal state, in order.

A say is spoken piece by piece: long text by sentences, a stream as its sentences arrive. Its state is that of the piece in
question; what was heard of the pieces before is kept beside it.
"""

from collections import deque

from .. import events as e
from ..codec import decode_value
from ..commands import Say
from ..keys import remember
from ..states import SAY, SayState, step
from ..words import SentenceStream, sentences

__all__ = ["Delivery", "OpenSay"]

_KEPT_ITEMS = 128
_KEPT_STREAMS = 8


class OpenSay:
    """A say that is not settled."""

    __slots__ = (
        *("attempt", "cut", "ended", "failed", "generated_ms", "heard", "piece", "pieces", "places"),
        *("requested", "response", "retried"),
        *("dispatched_ns", "seq", "source", "state", "stream", "tries"),
    )

    def __init__(self, seq: int, requested: e.SayRequested) -> None:
        command = requested.command
        self.seq = seq
        self.requested = requested
        self.state = SayState.PENDING
        self.stream = SentenceStream() if command.stream else None  # None: all pieces are known
        words = [""] if command.clip else sentences(command.text)
        self.pieces = self.stream.feed(command.text) if self.stream else words
        self.piece = 0  # which is in question
        self.attempt = 0  # of the whole say: each request to a provider has its own
        self.tries = 0  # of this piece
        self.retried = False  # this piece was spoken in other words, and is asked for once more
        self.dispatched_ns = 0  # when the latest attempt was asked for
        self.response: str | None = None  # of the latest piece
        self.places: dict[str, int] = {}  # response -> the piece that it is to speak
        self.ended: e.ResponseEnded | None = None
        self.heard: list[e.HeardPart] = []  # of the pieces whose playout has ended
        self.generated_ms = 0
        self.source: tuple[e.PlayoutSource, int] = ("none", 0)  # how the last of it is known, good to so many ms
        self.cut: e.PlayoutCut | None = None  # the first one: what followed it had not been heard
        self.failed = ""  # why the words of a stream came to no good end

    @property
    def command(self) -> Say:
        """What the handler asked for."""
        return self.requested.command

    @property
    def is_spoken(self) -> bool:
        """Whether there is nothing more of it to ask for."""
        return self.stream is None and self.piece >= len(self.pieces)

    def text_of(self, response: str) -> str:
        """The piece that a response is to speak."""
        place = self.places.get(response)
        return "" if place is None else self.pieces[place]

    def hear_of(self, event: e.StreamItem | e.StreamEnded) -> None:
        """Take what its stream brings: more words, or the end of them."""
        if self.stream is None:
            return
        if isinstance(event, e.StreamEnded):
            self.pieces += [rest for rest in self.stream.finish() if rest.strip()]
            self.stream = None
            self.failed = self.failed or event.type_name
            return
        item = decode_value(event.item, "an item of a spoken stream")
        if isinstance(item, str):
            self.pieces += self.stream.feed(item)
        else:
            self.failed = "not_text"

    @property
    def rest(self) -> str:
        """The text from the piece in question on."""
        return "".join(self.pieces[self.piece :])


class Delivery:
    """Open says in the order of their requests; settled ones are forgotten here (the log has them)."""

    __slots__ = ("_responses", "_streams", "keys", "last_said", "outside", "refused_ns", "says", "settled")

    def __init__(self) -> None:
        self.says: dict[str, OpenSay] = {}
        self.settled = 0
        self.refused_ns: int | None = None  # when the head was last refused; it waits for a response to end, or a second
        self.keys: dict[str, str] = {}  # the handler's key -> its say, of the last that had one
        self.outside: dict[str, bool] = {}  # the keys of the last says from outside that had one
        self.last_said = ""  # the words of the say that was settled last
        self._responses: dict[str, str] = {}  # response -> its say
        self._streams: dict[int, deque[e.StreamItem | e.StreamEnded]] = {}  # the last items of streams that no say speaks

    def by_response(self, response: str) -> OpenSay | None:
        """The open say that this response speaks, or spoke a piece of."""
        return self.says.get(self._responses.get(response, ""))

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.SayRequested():
                say = self.says[event.say] = OpenSay(seq, event)
                if event.command.key and event.index:
                    remember(self.keys, event.command.key, event.say)
                elif event.command.key:
                    remember(self.outside, event.command.key, True)
                for came in self._streams.pop(event.command.stream, ()):
                    if isinstance(came, e.StreamEnded) or came.n > event.command.after:
                        say.hear_of(came)
            case e.SayDispatched():
                say = self._move(event.say, event)
                say.attempt, say.dispatched_ns, say.response, say.ended = event.attempt, at_ns, None, None
                say.tries += 1
                self.refused_ns = None
            case e.SayRefused():
                self._move(event.say, event)
                self.refused_ns = at_ns
            case e.SayResumed():
                say = self._move(event.say, event)
                say.retried = say.cut is not None and say.cut.reason == "mismatch"
                say.pieces, say.piece, say.tries, say.response, say.cut = sentences(event.text), 0, 0, None, None
                say.places = {}
            case e.SaySettled():
                settled = self._move(event.say, event)
                del self.says[event.say]
                self.settled += 1
                self.last_said = settled.command.text or "".join(settled.pieces)
                self._responses = {key: say for key, say in self._responses.items() if say != event.say}
            case e.StreamItem() | e.StreamEnded():
                self._words_came(event)
            case _:
                self._apply_response(event)

    def _apply_response(self, event: e.Event) -> None:
        match event:
            case e.ResponseStarted(say=str(), dead=False) if event.say in self.says:
                say = self._move(event.say, event)
                say.response = event.response
                say.places[event.response] = say.piece
                self._responses[event.response] = event.say
            case e.ResponseEnded():
                self.refused_ns = None
                if (current := self._current(event.response)) is not None:
                    current.state, current.ended = step(SAY, current.state, event), event
                    current.generated_ms += event.generated_ms
            case e.ResponseDelivered():
                if (current := self._current(event.response)) is not None:
                    current.piece += 1
                    current.tries, current.retried = 0, False
            case e.PlayoutCut():
                if (spoken := self.by_response(event.response)) is not None:
                    spoken.state, spoken.cut = step(SAY, spoken.state, event), spoken.cut or event
            case e.PlayoutEnded():
                if (spoken := self.by_response(event.response)) is not None:
                    spoken.heard += event.heard
                    spoken.source = (event.source, event.error_ms)
                    if spoken.response == event.response:
                        spoken.state = step(SAY, spoken.state, event)

    def _current(self, response: str) -> OpenSay | None:
        say = self.by_response(response)
        return say if say is not None and say.response == response else None

    def _move(self, say: str, event: e.Event) -> OpenSay:
        moved = self.says[say]
        moved.state = step(SAY, moved.state, event)
        return moved

    def _words_came(self, event: e.StreamItem | e.StreamEnded) -> None:
        say = next((one for one in self.says.values() if one.stream and one.command.stream == event.index), None)
        if say:
            say.hear_of(event)
            return
        # Strategy: a say names a stream that may have gone on while it was on its way here. What came last is kept.
        self._streams.setdefault(event.index, deque(maxlen=_KEPT_ITEMS)).append(event)
        if len(self._streams) > _KEPT_STREAMS:
            del self._streams[next(iter(self._streams))]
