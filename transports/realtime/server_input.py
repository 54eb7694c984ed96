"""The server's input buffer: the audio that a client appended, the speech in it, and the items that it becomes. Pure."""

from typing import Any

from ...core.errors import ProtocolError
from ...core.signals import AudioAppended, CommitRequested
from .audio import AudioFormat, duration_ms
from .audio_form import AudioReader
from .checks import Refusal
from .client_messages import AudioAppend
from .durations import decoded_size
from .outbox import Outbox
from .refusals import commit_empty
from .server_items import ServerItems
from .wire import Message, audio_text

__all__ = ["ServerInput"]

_MIN_COMMIT_MS = 100.0
_TRANSCRIPTION = "conversation.item.input_audio_transcription."


class ServerInput:
    """The input side of one connection. `promised` is the item that speech under way will make."""

    def __init__(self, outbox: Outbox, items: ServerItems) -> None:
        self.promised: str | None = None
        self._outbox = outbox
        self._items = items
        self._buffered_ms = 0.0  # appended since the last commit or clear
        self._audio: AudioReader[AudioAppend] = AudioReader()

    # From the client.

    def append(self, message: Message, view: AudioAppend, form: AudioFormat) -> AudioAppended:
        """A piece of audio. Raises InvalidMessage for what is no base64."""
        audio = audio_text(message)
        self._audio.learn(message.raw, view, bytes(view.audio))
        return self._appended(audio, None, form)

    def append_like_before(self, raw: bytes, form: AudioFormat) -> AudioAppended | None:
        """A message that is like the last piece of audio; None for any other, which is to be parsed."""
        if (heard := self._audio.read(raw)) is None:
            return None
        _, text, payload = heard
        return self._appended(text, payload, form)

    def _appended(self, audio: bytes, payload: bytes | None, form: AudioFormat) -> AudioAppended:
        ms = duration_ms(decoded_size(audio) if payload is None else len(payload), form)
        self._buffered_ms += ms
        return AudioAppended(audio=audio, ms=ms, payload=payload)

    def clear(self) -> None:
        """Throw the buffered audio away."""
        self._buffered_ms = 0.0
        self._outbox.send("input_audio_buffer.cleared")

    def commit_asked(self) -> CommitRequested | Refusal:
        """The client commits its audio itself."""
        if self._buffered_ms < _MIN_COMMIT_MS:
            return commit_empty(self._buffered_ms)
        item_id = self.promised or self._outbox.ids("item")
        self.commit(item_id)
        return CommitRequested(item=item_id)

    # What was heard.

    def speech_started(self, item_id: str, audio_start_ms: int) -> None:
        """See ServerProtocol.speech_started."""
        self._check_new(item_id)
        self.promised = item_id
        self._outbox.send("input_audio_buffer.speech_started", audio_start_ms=audio_start_ms, item_id=item_id)

    def commit(self, item_id: str) -> None:
        """See ServerProtocol.commit_audio."""
        self._check_new(item_id)
        self.promised, self._buffered_ms = None, 0.0
        content = [{"type": "input_audio", "transcript": None}]
        previous = self._items.conversation.last
        self._outbox.send("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        self._items.add({"id": item_id, "type": "message", "status": "completed", "role": "user", "content": content})

    def transcribed(self, event: str, item_id: str, **fields: Any) -> None:
        """A transcription's "delta", "completed" or "failed"; completed words are the item's."""
        self._outbox.send(_TRANSCRIPTION + event, item_id=item_id, content_index=0, **fields)
        conversation = self._items.conversation
        if event == "completed" and (item := conversation.get(item_id)) is not None:
            conversation.replace({**item, "content": [{"type": "input_audio", "transcript": fields["transcript"]}]})

    def _check_new(self, item_id: str) -> None:
        if item_id in self._items.conversation:
            raise ProtocolError("TL307", f"item {item_id!r} is in the conversation already")
