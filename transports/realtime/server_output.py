"""What the server sends of one response: its event sequence. Pure.

Invariants: every opened item is closed, every created response is done exactly once, nothing follows its response.done,
nothing is sent after the outbox is closed. A response writes the conversation only if it is in-band.

A response may write several message items at once, one for each part that its source names (PartKey); where it names none,
words of another kind open the next item. Output indices are given out as items open.
"""

from typing import Any, Literal, NamedTuple

import msgspec

from .audio_run import AUDIO_END, AudioWritten
from .conversation import Conversation
from .durations import decoded_size, format_declared
from .outbox import Outbox
from .server_buffer import OutputBuffer
from .server_playout import SentAudio, SentPart
from .session_config import ResponseSettings
from .wire import encode_value

__all__ = ["WHOLE", "Floor", "Outcome", "PartKey", "ResponseStream"]

PartKey = tuple[str, int]
"""The (item, content index) of whoever makes the response: what belongs to one item of ours."""
WHOLE: PartKey = ("", 0)
"""The part of a response that names none."""

_Json = dict[str, Any]
_encode = msgspec.json.Encoder().encode


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a response ended. `code` and `message` of a failure, `reason` of a cancelled or incomplete one."""

    status: Literal["completed", "cancelled", "failed", "incomplete"] = "completed"
    reason: str = ""
    code: str = ""
    message: str = ""
    usage: _Json | None = None

    def details(self) -> _Json | None:
        """status_details as on the wire."""
        if self.status == "completed":
            return None
        if self.status == "failed":
            return {"type": "failed", "error": {"type": "server_error", "code": self.code, "message": self.message}}
        return {"type": self.status, "reason": self.reason}


class Floor(NamedTuple):
    """Where the responses of a connection are spoken: what they all share."""

    outbox: Outbox
    conversation: Conversation
    conversation_id: str
    sent: SentAudio
    buffer: OutputBuffer


class _OpenMessage:
    """A message item that a response is writing: one part, spoken (then `sent` counts its audio) or text."""

    def __init__(self, place: _Json, sent: SentPart | None) -> None:
        self.place = place  # response_id, item_id, output_index, content_index: in every event of the part
        self.sent = sent
        self.words: list[str] = [] if sent is None else sent.words
        # Every delta of the part has the same bytes around its event_id and payload: written once.
        self.words_tail = b"," + _encode(place)[1:-1] + b',"delta":'
        self.audio_tail = self.words_tail + b'"'

    def part(self) -> _Json:
        text = "".join(self.words)
        return {"type": "text", "text": text} if self.sent is None else {"type": "audio", "transcript": text}

    def item(self, status: str) -> _Json:
        part = {**self.part(), "type": "output_text" if self.sent is None else "output_audio"}
        content = [] if status == "in_progress" else [part]
        return {"id": self.place["item_id"], "type": "message", "status": status, "role": "assistant", "content": content}


_AUDIO_HEAD = b'{"type":"response.output_audio.delta","event_id":'
_TRANSCRIPT_HEAD = b'{"type":"response.output_audio_transcript.delta","event_id":'
_TEXT_HEAD = b'{"type":"response.output_text.delta","event_id":'


class ResponseStream:
    """One open response, from response.created to response.done."""

    def __init__(self, response_id: str, settings: ResponseSettings, floor: Floor) -> None:
        self.id = response_id
        self.settings = settings
        self._floor = floor
        self._output: list[_Json] = []  # every item by its index, as it is by now
        self._messages: dict[PartKey, _OpenMessage] = {}
        floor.outbox.send("response.created", response=self._body("in_progress", None, None))

    # Public methods for what the model says.

    def item_id(self, part: PartKey = WHOLE) -> str | None:
        """The message item that is being written for this part."""
        message = self._messages.get(part)
        return None if message is None else message.place["item_id"]

    def audio(self, base64_text: bytes, part: PartKey = WHOLE) -> None:
        """A piece of audio: base64 text, which is not looked into."""
        message = self._writing(part, spoken=True)
        if message.sent is not None:
            message.sent.size += decoded_size(base64_text)
        self._floor.buffer.put(self.id, message.place["item_id"], in_band=self.settings.in_band)
        self._floor.outbox.send_delta(_AUDIO_HEAD, message.audio_tail, base64_text, AUDIO_END)

    def audio_run(self, part: PartKey) -> AudioWritten | None:
        """How more audio of a part is written that is being spoken; None for any other."""
        message = self._messages.get(part)
        if message is None or message.sent is None:
            return None
        return AudioWritten(_AUDIO_HEAD, message.audio_tail, self._floor.outbox, message.sent)

    def transcript(self, delta: str, part: PartKey = WHOLE) -> None:
        """Words of the audio."""
        self._words(_TRANSCRIPT_HEAD, delta, part, spoken=True)

    def text(self, delta: str, part: PartKey = WHOLE) -> None:
        """Text of a text response."""
        self._words(_TEXT_HEAD, delta, part, spoken=False)

    def _words(self, head: bytes, delta: str, part: PartKey, *, spoken: bool) -> None:
        encoded = encode_value(delta, "the words of a response")
        message = self._writing(part, spoken=spoken)
        message.words.append(delta)
        self._floor.outbox.send_delta(head, message.words_tail, encoded, b"}")

    def function_call(self, call_id: str, name: str, arguments: str) -> str:
        """A whole call, as an item of its own; returns the item's id."""
        encode_value([call_id, name, arguments], "a function call")
        self._close_messages("completed")
        outbox = self._floor.outbox
        call = {"id": outbox.ids("item"), "type": "function_call", "name": name, "call_id": call_id}
        index = self._open_item({**call, "status": "in_progress", "arguments": ""})
        place = {"response_id": self.id, "item_id": call["id"], "output_index": index, "call_id": call_id}
        outbox.send("response.function_call_arguments.delta", **place, delta=arguments)
        outbox.send("response.function_call_arguments.done", **place, name=name, arguments=arguments)
        self._close_item(index, {**call, "status": "completed", "arguments": arguments})
        return call["id"]

    def finish(self, outcome: Outcome) -> None:
        """Close what is open, then response.done."""
        self._close_messages("completed" if outcome.status == "completed" else "incomplete")
        self._floor.outbox.send("response.done", response=self._body(outcome.status, outcome.details(), outcome.usage))
        self._floor.buffer.done(self.id)

    # Private methods.

    def _body(self, status: str, details: _Json | None, usage: _Json | None) -> _Json:
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": self._output,
            "conversation_id": self._floor.conversation_id if self.settings.in_band else None,
            "output_modalities": self.settings.output_modalities,
            "max_output_tokens": self.settings.max_output_tokens,
            "audio": {"output": self.settings.output},
            "usage": usage,
            "metadata": self.settings.metadata,
        }

    def _writing(self, part: PartKey, *, spoken: bool) -> _OpenMessage:
        message = self._messages.get(part)
        if message is not None and (message.sent is not None) == spoken:
            return message
        if message is not None:
            self._close_message(self._messages.pop(part), "completed")
        item_id = self._floor.outbox.ids("item")
        place = {"response_id": self.id, "item_id": item_id, "output_index": len(self._output), "content_index": 0}
        form = format_declared(self.settings.output["format"])
        sent = self._floor.sent.begin(item_id, self.id, form.bytes_per_ms) if spoken else None
        message = self._messages[part] = _OpenMessage(place, sent)
        self._open_item(message.item("in_progress"))
        self._floor.outbox.send("response.content_part.added", **place, part=message.part())
        return message

    def _close_messages(self, status: str) -> None:
        """Close what is open, in order: what has been followed by another item is whole, whatever happened to the last."""
        while self._messages:
            message = self._messages.pop(next(iter(self._messages)))
            self._close_message(message, "completed" if self._messages else status)

    def _close_message(self, message: _OpenMessage, status: str) -> None:
        part, outbox = message.part(), self._floor.outbox
        if message.sent is not None:
            self._floor.buffer.closing(self.id)
            outbox.send("response.output_audio.done", **message.place)
            outbox.send("response.output_audio_transcript.done", **message.place, transcript=part["transcript"])
        else:
            outbox.send("response.output_text.done", **message.place, text=part["text"])
        outbox.send("response.content_part.done", **message.place, part=part)
        self._close_item(message.place["output_index"], message.item(status))
        if message.sent is not None and message.sent.cut_ms is not None:
            self._floor.conversation.forget_words(message.place["item_id"])

    def _open_item(self, item: _Json) -> int:
        index, floor = len(self._output), self._floor
        self._output.append(item)
        floor.outbox.send("response.output_item.added", response_id=self.id, output_index=index, item=item)
        if self.settings.in_band:
            previous = floor.conversation.add(item)
            floor.outbox.send("conversation.item.added", previous_item_id=previous, item=item)
        return index

    def _close_item(self, index: int, item: _Json) -> None:
        floor = self._floor
        if self.settings.in_band:
            floor.conversation.replace(item)
            previous = floor.conversation.previous_of(item["id"])
            floor.outbox.send("conversation.item.done", previous_item_id=previous, item=item)
        floor.outbox.send("response.output_item.done", response_id=self.id, output_index=index, item=item)
        self._output[index] = item
