"""What a caller learns of its own speech: where it began and ended, the items it became, their words.

Speech that is held back (it may be an echo) is not told until it is confirmed, since standard clients stop playing when
they hear of it; what it became, item and words, is told in any case. An item's events are told once.
"""

from collections import deque

import msgspec

from ...core import events as e
from .recent import REMEMBERED
from .server import ServerProtocol

__all__ = ["CallerInput", "InputEvent"]

InputEvent = (
    e.SpeechStarted
    | e.SpeechConfirmed
    | e.SpeechStopped
    | e.InputCommitted
    | e.InputTranscribed
    | e.TranscriptArrivedLate
    | e.DigitPressed
)


class _Speech(msgspec.Struct, kw_only=True):
    began_ms: int = 0
    ended_ms: int | None = None
    told: bool = True  # whether the caller was told that it began
    committed: bool = False


class CallerInput:
    """The input side of one caller's line."""

    def __init__(self, server: ServerProtocol) -> None:
        self._server = server
        self._speech: dict[str, _Speech] = {}  # by the provider's user item, until its words are known
        self._items: dict[str, str] = {}  # the provider's user item -> the caller's, where the caller committed itself: the last
        self._committed: deque[str] = deque()  # items of the caller's own commits that the provider has not confirmed

    def committed_by_caller(self, item: str) -> None:
        """The caller's own commit made this item of its; the provider's comes later."""
        self._committed.append(item)

    def item(self, item: str) -> str:
        """The caller's id of a user item."""
        return self._items.get(item, item)

    def present(self, event: InputEvent, at_ns: int) -> None:
        """Tell the caller."""
        server = self._server
        match event:
            case e.SpeechStarted():
                self._speech[event.item] = _Speech(began_ms=event.audio_start_ms, told=not event.held)
                if not event.held:
                    server.speech_started(event.item, event.audio_start_ms)
            case e.SpeechConfirmed():
                self._confirm(event)
            case e.SpeechStopped():
                speech = self._speech.setdefault(event.item, _Speech())
                speech.ended_ms = event.audio_end_ms
                if speech.told:
                    server.speech_stopped(event.item, event.audio_end_ms)
            case e.InputCommitted():
                if (speech_of := self._speech.get(event.item)) is not None:
                    speech_of.committed = True
                if self._committed:
                    self._items[event.item] = self._committed.popleft()
                    if len(self._items) > REMEMBERED:
                        del self._items[next(iter(self._items))]
                else:
                    server.commit_audio(event.item)
            case e.InputTranscribed() | e.TranscriptArrivedLate():
                self._transcribe(event)
            case e.DigitPressed():
                server.digit(event.digit, at_ns // 1_000_000_000)

    def _confirm(self, event: e.SpeechConfirmed) -> None:
        speech = self._speech.get(event.item)
        if speech is None or speech.told or speech.committed:
            return  # this caller came later, or it is an item already
        speech.told = True
        self._server.speech_started(event.item, event.audio_start_ms)
        if speech.ended_ms is not None:
            self._server.speech_stopped(event.item, speech.ended_ms)

    def _transcribe(self, event: e.InputTranscribed | e.TranscriptArrivedLate) -> None:
        if event.item not in self._speech and not self._server.knows(self.item(event.item)):
            return  # of the time before this caller: its item comes with its turn
        match event:
            case e.InputTranscribed(status="completed") | e.TranscriptArrivedLate():
                speech = self._speech.pop(event.item, _Speech())
                lasted_ms = (speech.began_ms if speech.ended_ms is None else speech.ended_ms) - speech.began_ms
                usage = {"type": "duration", "seconds": lasted_ms / 1000}
                self._server.transcription_completed(self.item(event.item), event.transcript, usage)
            case e.InputTranscribed(status="failed" | "late"):
                self._server.transcription_failed(self.item(event.item), event.status, "The words of this audio are not known.")
