"""What the server sends: the outbox, and the event sequence of one response. Pure.

Invariants: every opened item is closed, every created response is done exactly once, nothing follows its response.done,
nothing is sent after the outbox is closed. A response writes the conversation only if it is in-band.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from .conversation import Conversation
from .session_config import ResponseSettings
from .wire import encode_event, encode_value

__all__ = ["Outbox", "Outcome", "ResponseStream"]

_Json = dict[str, Any]
_encode = msgspec.json.Encoder().encode


class Outbox:
    """Messages owed to the peer, oldest first. `ids(kind)` makes opaque ids."""

    def __init__(self, ids: Callable[[str], str]) -> None:
        self.ids = ids
        self.closed = False
        self._messages: list[bytes] = []

    def send(self, type_: str, /, **fields: Any) -> None:
        """Queue an event with a new event_id."""
        if not self.closed:
            self._messages.append(encode_event(type_, self.ids("event"), **fields))

    def send_delta(self, head: bytes, *tail: bytes) -> None:
        """Queue an event whose bytes are known but for its event_id: head, id, tail."""
        if not self.closed:
            self._messages.append(b"".join((head, _encode(self.ids("event")), *tail)))

    def drain(self) -> list[bytes]:
        """Take all that is owed."""
        messages, self._messages = self._messages, []
        return messages


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


class _OpenMessage:
    """The message item that a response is writing: one part, spoken or text."""

    def __init__(self, item_id: str, place: _Json, *, spoken: bool) -> None:
        self.item_id = item_id
        self.place = place  # response_id, item_id, output_index, content_index: in every event of the part
        self.spoken = spoken
        self.words: list[str] = []
        # Every delta of the part has the same bytes around its event_id and payload: written once.
        self.words_tail = b"," + _encode(place)[1:-1] + b',"delta":'
        self.audio_tail = self.words_tail + b'"'

    def part(self) -> _Json:
        text = "".join(self.words)
        return {"type": "audio", "transcript": text} if self.spoken else {"type": "text", "text": text}

    def item(self, status: str) -> _Json:
        content = [] if status == "in_progress" else [{**self.part(), "type": "output_audio" if self.spoken else "output_text"}]
        return {"id": self.item_id, "type": "message", "status": status, "role": "assistant", "content": content}


_AUDIO_HEAD = b'{"type":"response.output_audio.delta","event_id":'
_TRANSCRIPT_HEAD = b'{"type":"response.output_audio_transcript.delta","event_id":'
_TEXT_HEAD = b'{"type":"response.output_text.delta","event_id":'


class ResponseStream:
    """One open response, from response.created to response.done."""

    def __init__(
        self, response_id: str, settings: ResponseSettings, outbox: Outbox, conversation: Conversation, conversation_id: str
    ) -> None:
        self.id = response_id
        self.settings = settings
        self._outbox = outbox
        self._conversation = conversation if settings.in_band else None
        self._output: list[_Json] = []
        self._message: _OpenMessage | None = None
        self._conversation_id = conversation_id if settings.in_band else None
        outbox.send("response.created", response=self._body("in_progress", None, None))

    # Public methods for what the model says.

    @property
    def item_id(self) -> str | None:
        """The message item being written."""
        return None if self._message is None else self._message.item_id

    def audio(self, base64_text: bytes) -> None:
        """A piece of audio: base64 text, which is not looked into."""
        message = self._writing(spoken=True)
        self._outbox.send_delta(_AUDIO_HEAD, message.audio_tail, base64_text, b'"}')

    def transcript(self, delta: str) -> None:
        """Words of the audio."""
        encoded = encode_value(delta, "a transcript")
        message = self._writing(spoken=True)
        message.words.append(delta)
        self._outbox.send_delta(_TRANSCRIPT_HEAD, message.words_tail, encoded, b"}")

    def text(self, delta: str) -> None:
        """Text of a text response."""
        encoded = encode_value(delta, "a text")
        message = self._writing(spoken=False)
        message.words.append(delta)
        self._outbox.send_delta(_TEXT_HEAD, message.words_tail, encoded, b"}")

    def function_call(self, call_id: str, name: str, arguments: str) -> str:
        """A whole call, as an item of its own; returns the item's id."""
        encode_value([call_id, name, arguments], "a function call")
        self._close_message("completed")
        call = {"id": self._outbox.ids("item"), "type": "function_call", "name": name, "call_id": call_id}
        place = {"response_id": self.id, "item_id": call["id"], "output_index": len(self._output), "call_id": call_id}
        self._open_item({**call, "status": "in_progress", "arguments": ""})
        self._outbox.send("response.function_call_arguments.delta", **place, delta=arguments)
        self._outbox.send("response.function_call_arguments.done", **place, name=name, arguments=arguments)
        self._close_item({**call, "status": "completed", "arguments": arguments})
        return call["id"]

    def finish(self, outcome: Outcome) -> None:
        """Close what is open, then response.done."""
        self._close_message("completed" if outcome.status == "completed" else "incomplete")
        self._outbox.send("response.done", response=self._body(outcome.status, outcome.details(), outcome.usage))

    # Private methods.

    def _body(self, status: str, details: _Json | None, usage: _Json | None) -> _Json:
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": self._output,
            "conversation_id": self._conversation_id,
            "output_modalities": self.settings.output_modalities,
            "max_output_tokens": self.settings.max_output_tokens,
            "audio": {"output": self.settings.output},
            "usage": usage,
            "metadata": self.settings.metadata,
        }

    def _writing(self, *, spoken: bool) -> _OpenMessage:
        message = self._message
        if message is not None and message.spoken == spoken:
            return message
        self._close_message("completed")
        item_id = self._outbox.ids("item")
        place = {"response_id": self.id, "item_id": item_id, "output_index": len(self._output), "content_index": 0}
        self._message = message = _OpenMessage(item_id, place, spoken=spoken)
        self._open_item(message.item("in_progress"))
        self._outbox.send("response.content_part.added", **place, part=message.part())
        return message

    def _close_message(self, status: str) -> None:
        if (message := self._message) is None:
            return
        self._message = None
        part = message.part()
        if message.spoken:
            self._outbox.send("response.output_audio.done", **message.place)
            self._outbox.send("response.output_audio_transcript.done", **message.place, transcript=part["transcript"])
        else:
            self._outbox.send("response.output_text.done", **message.place, text=part["text"])
        self._outbox.send("response.content_part.done", **message.place, part=part)
        self._close_item(message.item(status))

    def _open_item(self, item: _Json) -> None:
        self._outbox.send("response.output_item.added", response_id=self.id, output_index=len(self._output), item=item)
        if self._conversation is not None:
            previous = self._conversation.add(item)
            self._outbox.send("conversation.item.added", previous_item_id=previous, item=item)

    def _close_item(self, item: _Json) -> None:
        if self._conversation is not None:
            self._conversation.replace(item)
            previous = self._conversation.previous_of(item["id"])
            self._outbox.send("conversation.item.done", previous_item_id=previous, item=item)
        self._outbox.send("response.output_item.done", response_id=self.id, output_index=len(self._output), item=item)
        self._output.append(item)
