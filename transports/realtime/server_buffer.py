"""The output buffer of a server that plays to its client itself, as over WebRTC: output_audio_buffer.* and what cuts leave. Pure.

Whoever plays reports of each item (turnlog.playout with a `state`); the client is told of each response: once when it begins to
sound, and once when it has sounded or what was left of it was thrown away. Invariants: `started` stands before the response's
output_audio.done unless another one still sounds, `stopped` behind its response.done, and neither after `cleared`.
Where the client plays, nothing is told and nothing is kept.
"""

import msgspec

from .conversation import Conversation
from .outbox import Outbox
from .server_playout import SentAudio

__all__ = ["OutputBuffer"]


class _Playing(msgspec.Struct, kw_only=True):
    """A response of which audio is in the buffer."""

    in_band: bool
    waiting: set[str]  # items that have not been played whole
    started: bool = False
    done: bool = False  # its response.done was sent


class OutputBuffer:
    """What is in the buffer of one connection."""

    def __init__(self, outbox: Outbox, sent: SentAudio, conversation: Conversation, *, plays: bool) -> None:
        self.plays = plays
        self._outbox = outbox
        self._sent = sent
        self._conversation = conversation
        self._playing: dict[str, _Playing] = {}

    # What the server does.

    def put(self, response: str, item: str, *, in_band: bool) -> None:
        """A piece of an item's audio goes to whoever plays it."""
        if not self.plays:
            return
        playing = self._playing.get(response)
        if playing is None:
            self._playing[response] = _Playing(in_band=in_band, waiting={item})
        else:
            playing.waiting.add(item)

    def closing(self, response: str) -> None:
        """The output_audio.done of one of its items is next."""
        if response in self._playing and not any(one.started for one in self._playing.values()):
            self._start(response)

    def done(self, response: str) -> None:
        """The response.done was sent."""
        if (playing := self._playing.get(response)) is not None:
            playing.done = True
            self._stop_if_over(response)

    def interrupt(self) -> None:
        """Speech throws away what is in the buffer, if it may interrupt any of it: what is in the conversation."""
        if any(playing.in_band for playing in self._playing.values()):
            self.clear()

    def clear(self) -> bool:
        """Throw away what is in the buffer; the client is told of each response. False if nothing was."""
        cleared, self._playing = self._playing, {}
        for response in cleared:
            self._outbox.send("output_audio_buffer.cleared", response_id=response)
        return bool(cleared)

    # What whoever plays reports.

    def started(self, item: str) -> None:
        """The item's first audio was sent."""
        if (part := self._sent.get(item)) is not None:
            self._start(part.response)

    def stopped(self, item: str, played_ms: int) -> None:
        """All of the item was played that there was.

        Strategy: a cut ends the item before it clears the buffer. Where the buffer was empty at that moment, as after a stall,
        whoever plays tells only this; it is told as what was left of the others is.
        """
        part = self._sent.get(item)
        if part is None:
            return
        playing = self._playing.get(part.response)
        if playing is None:
            self.cleared(item, played_ms)
            return
        self._start(part.response)
        playing.waiting.discard(item)
        self._stop_if_over(part.response)

    def cleared(self, item: str, played_ms: int) -> None:
        """Nothing more of the item is played: of one that is not whole a conversation keeps what was heard."""
        spoken = self._conversation.get(item)
        if spoken is None or not self._sent.shorten(item, played_ms, whole=spoken["status"] == "completed"):
            return
        self._conversation.forget_words(item)
        self._outbox.send("conversation.item.truncated", item_id=item, content_index=0, audio_end_ms=played_ms)

    def _start(self, response: str) -> None:
        playing = self._playing.get(response)
        if playing is not None and not playing.started:
            playing.started = True
            self._outbox.send("output_audio_buffer.started", response_id=response)

    def _stop_if_over(self, response: str) -> None:
        playing = self._playing[response]
        if playing.done and not playing.waiting:
            del self._playing[response]
            self._outbox.send("output_audio_buffer.stopped", response_id=response)
