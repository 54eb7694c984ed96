"""The mouth: which responses are audible, and until when by the clock.

generated is what the provider sent, heard what the caller's ear has had: from the first delivered sample on, one
millisecond of audio takes one millisecond to hear.
"""

from .. import events as e

__all__ = ["Playout", "Sounding"]


class Sounding:
    """A response from its start to the end of its playout."""

    __slots__ = ("ended", "started_ns")

    def __init__(self) -> None:
        self.started_ns: int | None = None  # when its first audio was delivered
        self.ended: e.ResponseEnded | None = None

    def end_ns(self, at_ns: int) -> int:
        """When the playout ends, for a response that ended at `at_ns`."""
        if self.started_ns is None or self.ended is None:
            return at_ns
        return max(at_ns, self.started_ns + self.ended.generated_ms * 1_000_000)

    def heard_ms(self, now_ns: int) -> int:
        """Milliseconds heard until now, by the clock."""
        if self.started_ns is None:
            return 0
        heard = max(0, (now_ns - self.started_ns) // 1_000_000)
        return min(heard, self.ended.generated_ms) if self.ended else heard


class Playout:
    """Responses that are being generated or heard."""

    __slots__ = ("responses", "until_ns", "voice_heard")

    def __init__(self) -> None:
        self.responses: dict[str, Sounding] = {}
        self.until_ns: dict[str, int] = {}  # response -> end of playout, once the response has ended
        self.voice_heard = False  # from then on the provider will not change its voice

    def apply(self, seq: int, at_ns: int, event: e.Event) -> None:
        """Fold one event."""
        match event:
            case e.ResponseStarted():
                self.responses[event.response] = Sounding()
            case e.AudioStarted() if event.response in self.responses:
                sounding = self.responses[event.response]
                sounding.started_ns = at_ns
                self.voice_heard = True
                if sounding.ended:
                    self.until_ns[event.response] = sounding.end_ns(at_ns)
            case e.ResponseEnded() if event.response in self.responses:
                sounding = self.responses[event.response]
                sounding.ended = event
                self.until_ns[event.response] = sounding.end_ns(at_ns)
            case e.PlayoutEnded():
                self.responses.pop(event.response, None)
                self.until_ns.pop(event.response, None)
            case e.LinkClosed() if event.link.startswith("p"):
                # What was sounding was heard so far: it stays until that is written down.
                self.responses = {key: one for key, one in self.responses.items() if one.started_ns is not None}
                self.until_ns = {key: until for key, until in self.until_ns.items() if key in self.responses}
