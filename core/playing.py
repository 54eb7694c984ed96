"""Decisions on the playout of a response: delivered, cut, ended. Live only.

What was heard is a measurement: by the play clock, or by what a caller says it played. What is decided carries the figures.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from . import events as e
from .folds.playout import Sounding
from .heads import buffered_until_ms
from .ports import PartHead, Playhead, Playheads
from .state import State
from .words import heard_words, spoken_ms

__all__ = ["ACK_WAIT_MS", "FLUSHED", "STALL_S", "Heads", "acknowledged", "cut", "delivered", "ended", "ends_ns"]


class Heads(NamedTuple):
    """Where playouts stand at the moment of the decision."""

    playheads: Playheads
    now_ns: int

    def __call__(self, response: str) -> Playhead:
        """Where that of `response` does."""
        return self.playheads.sample(response, self.now_ns)


FLUSHED = frozenset({"speech", "caller"})
"""The cuts by which callers throw away what they have and have not played. After others they play it: at most the lead."""
ACK_WAIT_MS = 250  # how long a caller whose playout was cut may take to say what it played
STALL_S = 15  # a response of which nothing comes for so long has come to nothing
_ACK_GRACE_MS = 1000  # by so much a caller that reports its playout may lag behind our clock
_ACK_ERROR_MS = 50
_MS = 1_000_000


def delivered(response: str, head: Playhead, now_ns: int) -> e.ResponseDelivered:
    """The fact that all of a finished response is with the callers."""
    total_ms = sum(part.delivered_ms for part in head.parts)
    until_ns = max(head.ends_ns, now_ns) if total_ms else now_ns
    return e.ResponseDelivered(response=response, delivered_ms=total_ms, ends_ns=until_ns)


def cut(state: State, heads: Heads, response: str, reason: str, item: str = "") -> Iterator[e.Event]:
    """Stop a response that is being generated, delivered or heard; a second time does nothing."""
    one = state.playout.responses.get(response)
    if one is None or one.cut is not None:
        return
    head = heads(response)
    heard = _heard(state, response, one, head, heads.now_ns)
    source, error_ms = _measured(one, head) if heard else ("none", 0)
    yield e.PlayoutCut(
        response=response, reason=reason, say=one.say, item=item, heard=heard, source=source, error_ms=error_ms
    )


def _measured(one: Sounding, head: Playhead) -> tuple[e.PlayoutSource, int]:
    """How it is known what was heard: by what the caller said last, else by our clock."""
    if not one.acks:
        return head.source, head.error_ms
    return max(one.acks.values(), key=lambda ack: ack.at_ns).source, _ACK_ERROR_MS


def acknowledged(state: State, heads: Heads, ack: e.PlayoutAcknowledged, *, final: bool) -> Iterator[e.Event]:
    """A caller says what it has played. A final word means that it plays no more of it."""
    one = state.playout.responses.get(ack.response)
    if one is None:
        if final and ack.item:
            yield ack
        return
    yield ack
    if final:
        yield from cut(state, heads, ack.response, "caller")


def ends_ns(one: Sounding) -> int | None:
    """When the playout of a response is over, as far as that is known."""
    if one.cut is not None:
        waits = one.cut.reason in ("speech", "caller") and bool(one.cut.heard) and not _told_since(one)
        return one.cut_ns + (ACK_WAIT_MS * _MS if waits else 0)
    if one.delivered is None:
        until_ms = buffered_until_ms(one)
        if one.buffered is None or one.started_ns is None or until_ms is None:
            return None
        return one.started_ns + until_ms * _MS
    if one.acks and sum(ack.played_ms for ack in one.acks.values()) < one.delivered.delivered_ms:
        return one.delivered.ends_ns + _ACK_GRACE_MS * _MS
    return one.delivered.ends_ns if not one.acks else max(ack.at_ns for ack in one.acks.values())


def _told_since(one: Sounding) -> bool:
    return any(ack.at_ns >= one.cut_ns for ack in one.acks.values())


def ended(state: State, heads: Heads, response: str) -> e.PlayoutEnded:
    """The end of a response's playout: what was heard of each part."""
    one = state.playout.responses[response]
    if one.cut is None:
        head = heads(response)
        heard = _heard(state, response, one, head)
        if one.acks or head.source == "rtp":  # a line that reports and has told nothing has played nothing
            source, error_ms = _measured(one, head)
            return e.PlayoutEnded(response=response, say=one.say, heard=heard, source=source, error_ms=error_ms)
        if not sum(part.delivered_ms for part in heard):
            return e.PlayoutEnded(response=response, say=one.say, heard=heard)
        whole = [_whole(part) for part in heard]  # the clock has run to the end of what was delivered
        return e.PlayoutEnded(
            response=response, say=one.say, heard=whole, source=head.source, error_ms=head.error_ms
        )
    heard, told = [], None
    for part in one.cut.heard:
        ack = one.acks.get((part.item, part.content_index))
        if ack is None or ack.at_ns < one.cut_ns:
            heard.append(part)
            continue
        told = ack.source
        heard_ms = min(ack.played_ms, part.delivered_ms)
        heard.append(_shortened(one, part, heard_ms))
    return e.PlayoutEnded(
        response=response,
        say=one.say,
        interrupted=True,
        heard=heard,
        source=told or one.cut.source,
        error_ms=_ACK_ERROR_MS if told else one.cut.error_ms,
    )


def _whole(part: e.HeardPart) -> e.HeardPart:
    if part.heard_ms >= part.delivered_ms:
        return part
    return msgspec.structs.replace(part, heard_ms=part.delivered_ms)


def _shortened(one: Sounding, part: e.HeardPart, heard_ms: int) -> e.HeardPart:
    """The part by what was told of it. Words are measured by the audio that they are of.

    Those of a response that nobody has told of are known as far as they were taken for heard at the cut.
    """
    made = next((known for known in one.ended.parts if _is_of(known, part)), None) if one.ended else None
    if made and made.transcript:
        words, whole_ms = made.transcript, made.generated_ms or part.generated_ms
    else:
        words, whole_ms = part.heard_text, part.heard_ms
    return msgspec.structs.replace(
        part, heard_ms=heard_ms, heard_text=heard_words(words, heard_ms, whole_ms) if heard_ms and whole_ms else ""
    )


def _is_of(made: e.PartGenerated, part: e.HeardPart) -> bool:
    return (made.item, made.content_index) == (part.item, part.content_index)


def _heard(
    state: State, response: str, one: Sounding, head: Playhead, going_on_ns: int | None = None
) -> list[e.HeardPart]:
    """What was heard of each part. Parts of text alone, which take no time, were heard as they came.

    going_on_ns: the time, if it is being played now: what a caller last told of it has gone on since.
    """
    made = {(part.item, part.content_index): part for part in one.ended.parts} if one.ended else {}
    known = {(part.item, part.content_index): part for part in head.parts}
    if one.ended and not one.ended.parts and not known and one.ended.transcript:
        made[("", 0)] = e.PartGenerated(item="", generated_ms=one.ended.generated_ms, transcript=one.ended.transcript)
    asked = _asked_words(state, response) if len(known | made) == 1 else ""
    return [
        _part(key, made.get(key), known.get(key), one, asked, going_on_ns)
        for key in [*known, *(key for key in made if key not in known)]
    ]


def _part(
    key: tuple[str, int],
    made: e.PartGenerated | None,
    head: PartHead | None,
    one: Sounding,
    asked: str,
    going_on_ns: int | None,
) -> e.HeardPart:
    generated_ms = (made.generated_ms if made else 0) or (head.received_ms if head else 0)
    delivered_ms = head.delivered_ms if head else 0
    told = made.transcript if made else head.words if head else ""
    words = told or asked
    heard_ms = min(_played(key, head, one, going_on_ns), delivered_ms)
    if generated_ms:
        # Words that nobody told to be of this audio are those of all of it, and more of it may have been to come.
        whole_ms = generated_ms if told or one.ended else max(generated_ms, spoken_ms(words))
        text = heard_words(words, heard_ms, whole_ms) if heard_ms else ""
    else:
        text = words
    return e.HeardPart(
        item=key[0],
        content_index=key[1],
        generated_ms=generated_ms,
        delivered_ms=delivered_ms,
        heard_ms=heard_ms,
        heard_text=text,
    )


def _played(key: tuple[str, int], head: PartHead | None, one: Sounding, going_on_ns: int | None) -> int:
    ack = one.acks.get(key)
    if ack is None:
        return head.played_ms if head else 0
    if going_on_ns is None or ack.halted:
        return ack.played_ms
    return ack.played_ms + max(0, going_on_ns - ack.at_ns) // _MS


def _asked_words(state: State, response: str) -> str:
    """The words that a response was to speak, for a provider that does not tell what it spoke."""
    say = state.delivery.by_response(response)
    return "" if say is None else say.text_of(response).strip()
