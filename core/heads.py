"""Playheads that follow from the log: where nobody here delivers audio, and where the provider plays it itself."""

from . import events as e
from .folds.playout import Sounding
from .ports import PartHead, Playhead, Playheads
from .state import State
from .words import spoken_ms

__all__ = ["BufferedPlayheads", "ClockPlayheads", "buffered_until_ms", "unbegun_until_ns"]

_BUFFER_GRACE_MS = 5_000  # by so much a provider may be late with the end of what it plays itself
_BUFFER_ERROR_MS = 100

_MS = 1_000_000


class BufferedPlayheads:
    """Playheads: of a response that its provider plays to the caller itself, by what it says (output_audio_buffer.*).

    Others are asked of `under`. From its start on a millisecond of audio takes a millisecond; stopped, it was heard whole.
    """

    def __init__(self, state: State, under: Playheads) -> None:
        self._state = state
        self.under = under

    def sample(self, response: str, now_ns: int) -> Playhead:
        """Where the playout of `response` stands."""
        one = self._state.playout.responses.get(response)
        below = self.under.sample(response, now_ns)
        if one is not None and one.buffered is None and self._goes_past_us(one):
            return _not_begun(one, below, now_ns)
        if one is None or one.buffered is None or one.started_ns is None:
            return below
        elapsed_ms = max(0, now_ns - one.started_ns) // _MS
        made = _made(one, below, elapsed_ms)
        total_ms = sum(part.generated_ms for part in made)
        left_ms = total_ms if one.buffered.state == "stopped" else elapsed_ms
        parts = _played(made, left_ms)
        until_ms = buffered_until_ms(one)
        plays = one.buffered.state == "started" and (until_ms is None or elapsed_ms < until_ms)
        return Playhead(
            parts=parts, source="buffer_event", error_ms=_BUFFER_ERROR_MS, ends_ns=now_ns, waiting=plays, arrived_ns=now_ns
        )

    def _goes_past_us(self, one: Sounding) -> bool:
        """Whether its audio is never to come by here: the provider holds the call with the caller itself."""
        modalities = self._state.links.settings.get("output_modalities") or self._state.life.definition.modalities
        return bool(self._state.call.link) and not one.link.startswith("v") and "audio" in modalities


def _not_begun(one: Sounding, below: Playhead, now_ns: int) -> Playhead:
    """Of a response that its provider has not begun to play nothing was heard, whatever words of it have come."""
    known = below.parts[0] if below.parts else PartHead(item="")
    words = one.ended.transcript if one.ended else known.words
    if not words:
        return Playhead(arrived_ns=below.arrived_ns)
    item = one.ended.parts[0].item if one.ended and one.ended.parts else known.item
    made = PartHead(item=item, content_index=known.content_index, received_ms=max(1, spoken_ms(words)), words=words)
    comes = one.ended is not None and now_ns < unbegun_until_ns(one)
    return Playhead(
        parts=[made], source="buffer_event", error_ms=_BUFFER_ERROR_MS, waiting=comes, arrived_ns=below.arrived_ns
    )


def unbegun_until_ns(one: Sounding) -> int:
    """Until when a provider may begin to play a response that it has finished."""
    return one.ended_ns + _BUFFER_GRACE_MS * _MS


def buffered_until_ms(one: Sounding) -> int | None:
    """By when behind its start a finished response has been played, though nobody said so; None while it goes on."""
    if one.ended is None:
        return None
    # Where no audio came by, its length is a guess by the words: a voice may be half as fast.
    return (one.ended.generated_ms or 2 * spoken_ms(one.ended.transcript)) + _BUFFER_GRACE_MS


def _made(one: Sounding, below: Playhead, elapsed_ms: int) -> list[e.PartGenerated]:
    """What there is of a response; while it goes on, what must have sounded by now, with the words that came."""
    if one.ended and one.ended.generated_ms:
        whole = e.PartGenerated(item="", generated_ms=one.ended.generated_ms, transcript=one.ended.transcript)
        return one.ended.parts or [whole]
    if one.ended:  # its audio has not come by here: it is as long as it sounds
        item = one.ended.parts[0].item if one.ended.parts else ""
        return [e.PartGenerated(item=item, generated_ms=elapsed_ms, transcript=one.ended.transcript)]
    known = below.parts[0] if below.parts else PartHead(item="")
    return [e.PartGenerated(item=known.item, content_index=known.content_index, generated_ms=elapsed_ms, transcript=known.words)]


def _played(made: list[e.PartGenerated], left_ms: int) -> list[PartHead]:
    """Parts that were delivered whole, of which `left_ms` have been played, one behind the other."""
    heads = []
    for part in made:
        played_ms = min(left_ms, part.generated_ms)
        left_ms -= played_ms
        heads.append(
            PartHead(
                item=part.item,
                content_index=part.content_index,
                received_ms=part.generated_ms,
                delivered_ms=part.generated_ms,
                played_ms=played_ms,
                words=part.transcript,
            )
        )
    return heads


class ClockPlayheads:
    """Playheads: all that was generated was delivered at once, and is heard from AudioStarted on, ms for ms."""

    def __init__(self, state: State) -> None:
        self._state = state

    def sample(self, response: str, now_ns: int) -> Playhead:
        """Where the playout of `response` stands by the clock."""
        one = self._state.playout.responses.get(response)
        if one is None or one.started_ns is None:
            return Playhead()
        elapsed_ms = max(0, now_ns - one.started_ns) // _MS
        if one.ended is None:
            part = PartHead(item="", received_ms=elapsed_ms, delivered_ms=elapsed_ms, played_ms=elapsed_ms)
            return Playhead(parts=[part], source="clock", ends_ns=now_ns, arrived_ns=one.started_ns)
        whole = e.PartGenerated(item="", generated_ms=one.ended.generated_ms, transcript=one.ended.transcript)
        parts = _played(one.ended.parts or [whole], elapsed_ms)
        ends_ns = one.started_ns + sum(part.delivered_ms for part in parts) * _MS
        return Playhead(parts=parts, source="clock", ends_ns=ends_ns, arrived_ns=one.started_ns)
