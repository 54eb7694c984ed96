"""A provider's data channel and its RTP audio as one stream of messages, in the order that a WebSocket has. Pure.

Over WebRTC the audio of a response comes by RTP, as long as it takes to be heard, while messages tell of it as fast as it is
generated. Here the audio becomes `response.output_audio.delta` of the response that output_audio_buffer.started named, words
come one by one when their audio does, and what ends an item that sounds waits until all of it has sounded. All else passes at
once. Where a response has several parts with audio, nobody tells which of them sounds: it is the next one's from the first pause
on after the words of the one before have about been said.

Strategy: the audio is the clock. It is gapless, 20 ms a piece, silence included, so every wait here is a number of pieces and
ends as long as the line stands.
"""

from collections import deque

import msgspec

from .recent import Recent
from .rtp_sounding import ALL_WORDS, NEVER, PIECE_MS, WORDS, Held, Of, Part, Piece, Sounding, Told

__all__ = ["DRAIN_MS", "GRACE_MS", "RtpOutput"]

DRAIN_MS = 120
"""What was sent before the provider said that it has stopped is on its way for at most so long."""
GRACE_MS = 5_000
"""So long a finished response may be silent until it counts as played though its provider has not said so."""
_UNTOLD = 10  # loud pieces of a response that was not said to have started: its provider does not tell
_EARLY = 25  # pieces that are kept of what may turn out to be the beginning of something
_LEAD = 2  # pieces before the first sound that belong to it: speech begins softly
_LOUD = 60  # of 32767: what a decoder makes of silence stays below
_ENDS_PART = frozenset({ALL_WORDS, "response.output_audio.done", "response.content_part.done"})
_ENDS_ITEM = frozenset({"response.output_item.done", "conversation.item.done"})
_read = msgspec.json.Decoder(Told).decode


class RtpOutput:
    """One connection's messages and audio in, messages in a WebSocket's order out."""

    def __init__(self) -> None:
        self._responses: dict[str, Sounding] = {}
        self._finished = Recent()
        self._current = ""  # whose audio comes
        self._next = ""  # what has started while the end of the current one is still on its way
        self._early: deque[Piece] = deque(maxlen=_EARLY)  # what was not handed on, or not yet

    # --- data in ---

    def receive(self, raw: bytes) -> list[bytes]:
        """A message of the data channel: what is to be handed on now."""
        try:
            told = _read(raw)
        except (ValueError, RecursionError):
            return [raw]  # whoever reads it in earnest says what is wrong with it
        match told.type:
            case "response.content_part.added" if told.part.type in ("audio", "output_audio"):
                self._add_part(told)
            case "output_audio_buffer.started":
                return [raw, *self._started(told.response_id)]
            case "output_audio_buffer.stopped" | "output_audio_buffer.cleared":
                self._stopped(told.response_id, was_cleared=told.type == "output_audio_buffer.cleared")
            case "response.done" if told.response.id in self._responses:
                return self._done(told.response, raw)
            case _ if (one := self._of(told)) is not None:
                return one.hold(raw, told)
        return [raw]

    def audio(self, pcm16: bytes) -> list[bytes]:
        """PIECE_MS of what the provider plays, PCM16 mono at 24 kHz: what is to be handed on now."""
        is_loud = _is_loud(pcm16)
        self._early.append(Piece(pcm16, is_loud))
        given = [] if self._current in self._responses else self._untold()
        current = self._responses.get(self._current)
        given += [] if current is None else self._sound(current)
        for name, one in list(self._responses.items()):
            if self._ends(name, one, is_loud=is_loud):
                given += self._over(name)
        return given

    # --- messages ---

    def _add_part(self, told: Told) -> None:
        one = self._known(told.response_id)
        if one is not None:
            one.parts.append(Part(told.item_id, _delta_head(told)))

    def _known(self, name: str) -> Sounding | None:
        return None if name in self._finished else self._responses.setdefault(name, Sounding())

    def _of(self, told: Told) -> Sounding | None:
        """The response among whose audio a message keeps its place."""
        if told.type == WORDS or told.type in _ENDS_PART:
            one = self._responses.get(told.response_id)
            return one if one is not None and one.has(told.item_id) else None
        if told.type in _ENDS_ITEM:
            return next((one for one in self._responses.values() if one.has(told.item.id)), None)
        return None

    def _done(self, response: Of, raw: bytes) -> list[bytes]:
        """A response is finished. It is handed on when nothing of it will sound any more."""
        one = self._responses[response.id]
        if one.state == "waiting" and response.status in ("cancelled", "failed"):
            one.cleared = True
            one.enter("over")
        one.done = True
        one.held.append(Held(raw, NEVER, "", is_words=False))
        if one.state != "over":
            return []
        return self._over(response.id)

    # --- what sounds ---

    def _started(self, name: str) -> list[bytes]:
        if self._known(name) is None:
            return []
        current = self._responses.get(self._current) if self._current != name else None
        if current is not None and current.state == "draining":
            self._next = name
            return []
        self._next = name
        if current is None:
            self._begin()
            return []
        return self._over(self._current)

    def _untold(self) -> list[bytes]:
        """Start what sounds though nobody said so."""
        waiting = next((name for name, one in self._responses.items() if one.state == "waiting" and one.parts), None)
        if waiting is None or sum(piece.is_loud for piece in self._early) < _UNTOLD:
            return []
        return self._started(waiting)

    def _stopped(self, name: str, *, was_cleared: bool) -> None:
        one = self._responses.get(name)
        if one is not None and one.state != "over":
            one.cleared = was_cleared
            one.enter("draining")

    def _begin(self) -> None:
        self._current, self._next = self._next, ""
        if one := self._responses.get(self._current):
            one.enter("playing")
        else:
            self._early.clear()

    def _sound(self, one: Sounding) -> list[bytes]:
        """The audio that has come, as far as it is this response's: from its first sound to its last."""
        pieces = list(self._early)
        if not one.parts:
            return []
        if not (one.sounded and one.state == "playing"):
            loud = [at for at, piece in enumerate(pieces) if piece.is_loud]
            if not loud:
                return []
            first = 0 if one.sounded else max(0, loud[0] - _LEAD)
            pieces = pieces[first:] if one.state == "playing" else pieces[first : loud[-1] + 1]
        self._early.clear()
        one.sounded = True
        return [one.sound(piece) for piece in pieces] + one.due()

    def _ends(self, name: str, one: Sounding, *, is_loud: bool) -> bool:
        """PIECE_MS have passed: whether nothing of a response will sound any more."""
        if one.state == "draining":
            one.quiet_ms += PIECE_MS
            return one.quiet_ms >= DRAIN_MS or (name == self._current and bool(self._next) and not is_loud)
        if not one.done or (self._current in self._responses and name != self._current):
            return False  # it is not at its end, or it waits for its turn
        one.quiet_ms = 0 if is_loud else one.quiet_ms + PIECE_MS
        return one.quiet_ms >= GRACE_MS

    def _over(self, name: str) -> list[bytes]:
        """Nothing of a response sounds any more: what waited for that goes on."""
        one = self._responses[name]
        one.enter("over")
        if name == self._current:
            self._begin()
        if one.done:
            del self._responses[name]
            self._finished.add(name)
        return one.release()


def _is_loud(pcm16: bytes) -> bool:
    samples = memoryview(pcm16).cast("h")
    return max(samples) > _LOUD or min(samples) < -_LOUD


def _delta_head(told: Told) -> bytes:
    head = {
        "type": "response.output_audio.delta",
        "response_id": told.response_id,
        "item_id": told.item_id,
        "output_index": told.output_index,
        "content_index": told.content_index,
        "delta": "",
    }
    return msgspec.json.encode(head)[:-2]
