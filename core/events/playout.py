"""The mouth: what of a response was generated, delivered and heard, and what cut it short.

Milliseconds count the audio of one part (response, item, content index). Folds never read media, so each of these facts
carries the figures that were sampled when it was decided.
"""

from typing import Literal

import msgspec

from .base import Event

__all__ = [
    "CancelDispatched",
    "HeardPart",
    "ItemDeleteDispatched",
    "ItemTruncated",
    "PartGenerated",
    "PlayoutAcknowledged",
    "PlayoutBuffered",
    "PlayoutCut",
    "PlayoutEnded",
    "PlayoutSource",
    "ResponseDelivered",
    "SpeechConfirmed",
    "SpeechSustained",
    "TruncateDispatched",
]

PlayoutSource = Literal["ack", "mark", "rtp", "buffer_event", "clock", "none"]
"""How it is known what was heard: the caller said so (ack), played a mark, by its RTP clock, by the provider's buffer
events, or by our clock from the first delivered sample on."""


class PartGenerated(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a finished response: its audio and the words of it."""

    item: str
    content_index: int = 0
    generated_ms: int = 0
    transcript: str = ""


class HeardPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a response: its audio as the provider made it, as callers were sent it, and as it was heard."""

    item: str
    content_index: int = 0
    generated_ms: int = 0
    delivered_ms: int = 0
    heard_ms: int = 0
    heard_text: str = ""


class ResponseDelivered(Event, frozen=True, kw_only=True):
    """All there is of a finished response has gone to the callers; by the clock it is heard until `ends_ns`."""

    response: str
    delivered_ms: int = 0
    ends_ns: int = 0


class PlayoutAcknowledged(Event, frozen=True, kw_only=True):
    """A caller told how much of a part it has played: by conversation.item.truncate, or by turnlog.playout."""

    link: str
    response: str
    item: str
    content_index: int = 0
    played_ms: int = 0
    source: PlayoutSource = "ack"
    halted: bool = False  # no more of it is played: without that it goes on until the cut, if there is one


class PlayoutBuffered(Event, frozen=True, kw_only=True):
    """A provider that plays to the caller itself says so: it has begun a response, played it out, or dropped what was left."""

    link: str
    response: str
    state: Literal["started", "stopped", "cleared"]


class PlayoutCut(Event, frozen=True, kw_only=True):
    """A response is dead from here on: what was queued for the callers was dropped, and nothing more of it is delivered.

    reason: speech, cancelled, replaced, caller (its own cancel), mismatch, stalled,
    outcome_unknown, or why its session ends. heard: the playhead
    then. item: the speech that cut it.
    """

    response: str
    reason: str
    say: str | None = None
    item: str = ""
    heard: list[HeardPart] = []
    source: PlayoutSource = "none"
    error_ms: int = 0


class PlayoutEnded(Event, frozen=True, kw_only=True):
    """The caller hears nothing of a response any more; the mouth is free. heard: what it had of each part.

    say: whose words they were, None for the model's own. interrupted: it was cut before its end.
    """

    response: str
    say: str | None = None
    interrupted: bool = False
    heard: list[HeardPart] = []
    source: PlayoutSource = "none"
    error_ms: int = 0


class CancelDispatched(Event, frozen=True, kw_only=True):
    """response.cancel for one response is on its way."""

    link: str
    response: str


class TruncateDispatched(Event, frozen=True, kw_only=True):
    """conversation.item.truncate is on its way: the provider's history is to hold what was heard."""

    link: str
    item: str
    content_index: int = 0
    audio_end_ms: int = 0


class ItemDeleteDispatched(Event, frozen=True, kw_only=True):
    """conversation.item.delete is on its way: nothing of the item was heard."""

    link: str
    item: str


class ItemTruncated(Event, frozen=True, kw_only=True):
    """The provider has cut an item's audio, by itself or as we asked."""

    link: str
    item: str
    content_index: int = 0
    audio_end_ms: int = 0


class SpeechSustained(Event, frozen=True, kw_only=True):
    """While something sounded the caller's audio stayed above the bound of the outgoing level for long enough: no echo."""

    link: str
    ms: int = 0


class SpeechConfirmed(Event, frozen=True, kw_only=True):
    """Speech that was held back from the callers (it might have been an echo) is speech: they learn of it now."""

    item: str
    audio_start_ms: int
