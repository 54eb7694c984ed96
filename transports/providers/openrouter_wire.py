"""What OpenRouter's HTTP API is told, and how what it tells is read. Pure: no HTTP here.

Source of the shapes: https://openrouter.ai/docs/api/reference/streaming and …/errors-and-debugging, and of audio
https://openrouter.ai/docs/guides/overview/multimodal/{audio,stt,tts}. Three facts that are easily got wrong: audio comes out
only with stream=true and then only as pcm16 (24 kHz mono); transcriptions take JSON, no form; and what goes wrong once an
answer has begun comes inside of it, under HTTP 200.
"""

import json
import struct
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ...core.errors import LinkError, TurnlogError
from ..realtime.session_config import ResponseSettings
from ..speech.vad import VAD_RATE

__all__ = [
    "OUTPUT_RATE",
    "Chunk",
    "Events",
    "Refusal",
    "ToolCallDelta",
    "chat_body",
    "failure",
    "read_refusal",
    "speech_rate",
    "voice_name",
    "wav",
]

OUTPUT_RATE: Final = 24000
_MAX_EVENT_BYTES: Final = 8 * 1024 * 1024  # two minutes of audio in one event
_SHOWN: Final = 300  # characters of what the service says
_HINTS: Final = {
    400: "the model may lack audio: choose one that lists audio among its output modalities",
    401: "check OPENROUTER_API_KEY",
    402: "the account or the key has no credits left",
    403: "check what OPENROUTER_API_KEY may use, and what the model's moderation refuses",
    404: "check the model's name: author/slug, as on openrouter.ai/models",
    408: "the model was too slow; try another",
    429: "too many requests: slow down, or raise the key's limit",
    502: "the model's provider is down; try again, or another model",
    503: "no provider of this model is to be had now; try again, or another model",
}
_Json = dict[str, Any]


# --- what is asked ---


def chat_body(model: str, settings: ResponseSettings, items: list[_Json]) -> _Json:
    """The body of a chat completion that answers these items, streamed; spoken unless the response is to be text."""
    system = [{"role": "system", "content": settings.instructions}] if settings.instructions else []
    body: _Json = {"model": model, "messages": [*system, *_messages(items)], "stream": True}
    if settings.output_modalities != ["text"]:
        body |= {"modalities": ["text", "audio"], "audio": {"voice": voice_name(settings.output["voice"]), "format": "pcm16"}}
    tools = [_tool(tool) for tool in settings.tools if tool.get("type") == "function"]
    if tools:
        body |= {"tools": tools, "tool_choice": _tool_choice(settings.tool_choice)}
    if isinstance(settings.max_output_tokens, int):
        body["max_tokens"] = settings.max_output_tokens
    return body


def voice_name(voice: str | _Json) -> str:
    """A voice as OpenRouter wants it: its name or id."""
    return voice if isinstance(voice, str) else str(voice["id"])


def wav(pcm16: bytes, rate: int = VAD_RATE) -> str:
    """PCM16 mono as a WAV file in base64."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    data = struct.pack("<4sI", b"data", len(pcm16)) + pcm16
    return b64encode(struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data).decode()


def _messages(items: list[_Json]) -> list[_Json]:
    """The conversation as chat messages; items without words are left out, calls that follow each other are one message."""
    messages: list[_Json] = []
    for item in items:
        match item.get("type", "message"):
            case "function_call":
                call = {"id": item["call_id"], "type": "function"}
                call["function"] = {"name": item["name"], "arguments": item.get("arguments") or "{}"}
                if messages and "tool_calls" in messages[-1]:
                    messages[-1]["tool_calls"].append(call)
                else:
                    messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            case "function_call_output":
                messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]})
            case "message":
                messages += _message(item)
    return messages


def _message(item: _Json) -> list[_Json]:
    parts = [part for each in item.get("content") or [] if (part := _part(each)) is not None]
    if not parts:
        return []
    if all(part["type"] == "text" for part in parts):
        return [{"role": item["role"], "content": "".join(part["text"] for part in parts)}]
    return [{"role": item["role"], "content": parts}]


def _part(part: _Json) -> _Json | None:
    """The words of a part; its audio, if that is at hand, in their place. None where there is neither."""
    if part.get("pcm16"):
        return {"type": "input_audio", "input_audio": {"data": wav(part["pcm16"]), "format": "wav"}}
    if part.get("image_url"):
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    words = part.get("text") or part.get("transcript")
    return {"type": "text", "text": _sendable(words)} if words else None


def _sendable(text: str) -> str:
    return text.encode(errors="replace").decode()  # half a surrogate pair is no UTF-8


def _tool(tool: _Json) -> _Json:
    function = {key: tool[key] for key in ("name", "description", "parameters") if tool.get(key) is not None}
    return {"type": "function", "function": function}


def _tool_choice(choice: str | _Json) -> str | _Json:
    if isinstance(choice, dict) and "name" in choice:
        return {"type": "function", "function": {"name": choice["name"]}}
    return choice


# --- what is answered ---


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An error as OpenRouter tells it: as the body of an answer, in an event, or in a choice."""

    code: int | str | None = None
    message: str = ""
    metadata: _Json | None = None


class AudioDelta(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of speech: base64 of pcm16, words of it, either or both."""

    data: str | None = None
    transcript: str | None = None


class CalledFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A name and arguments, a piece at a time."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the call at this place."""

    index: int = 0
    id: str | None = None
    function: CalledFunction = CalledFunction()


class ChoiceDelta(msgspec.Struct, frozen=True, kw_only=True):
    """What a chunk adds."""

    content: str | None = None
    audio: AudioDelta | None = None
    tool_calls: list[ToolCallDelta] | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The only choice, as no more are asked for."""

    delta: ChoiceDelta = ChoiceDelta()
    finish_reason: str | None = None
    error: Refusal | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of an answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a streamed answer."""

    choices: list[Choice] = []
    error: Refusal | None = None
    usage: Usage | None = None


class Events:
    """The data of server-sent events out of bytes, however these are cut; comments, names and ids are passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The events that are whole now. Raises LinkError TL340 for one that has no end."""
        # A CR may be the first half of a line end: it waits for the byte behind it.
        *lines, self._rest = (self._rest + piece).replace(b"\r\n", b"\n").split(b"\n")
        if len(self._rest) + sum(map(len, self._data)) > _MAX_EVENT_BYTES:
            raise failure("an event of its answer has no end")
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                data, self._data = b"\n".join(self._data), []
                yield data


class _ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    error: Refusal | str | None = None


def read_refusal(status: int, body: bytes) -> Refusal:
    """The error in a body; its text where it is none of OpenRouter's (a proxy's page)."""
    try:
        error = msgspec.json.decode(body, type=_ErrorBody, strict=False).error
    except (ValueError, RecursionError):
        error = None
    if isinstance(error, Refusal):
        return error if error.code is not None else msgspec.structs.replace(error, code=status)
    return Refusal(code=status, message=error or " ".join(body[:4096].decode(errors="replace").split()))


def failure(text: str, refusal: Refusal | None = None, *, retry_after: str = "") -> TurnlogError:
    """The TL340 to raise: `text` says what was asked of OpenRouter, or what is wrong with its answer."""
    if refusal is None:
        return LinkError("TL340", f"OpenRouter: {text}", "ask again, or another model")
    code = int(refusal.code or 0) if str(refusal.code).isdecimal() else 0
    said = " ".join(part for part in (refusal.message, _upstream(refusal.metadata or {})) if part)
    hint = _HINTS.get(code, "see https://openrouter.ai/docs/api/reference/errors-and-debugging")
    if retry_after.isdecimal():
        hint += f"; it asks to wait {retry_after} s"
    return LinkError("TL340", f"OpenRouter refused {text} ({refusal.code or 'error'}): {said[:_SHOWN]}", hint)


def _upstream(metadata: _Json) -> str:
    """What the model's own provider said, as far as it is told."""
    raw, name = metadata.get("raw"), metadata.get("provider_name")
    told = raw if isinstance(raw, str) else json.dumps(raw) if raw else ""
    return f"[{name or 'provider'}: {told[:_SHOWN]}]" if told or name else ""


def speech_rate(content_type: str) -> int:
    """The rate of raw samples by their content type, e.g. "audio/pcm;rate=24000;channels=1". Raises LinkError TL340."""
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    named = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
    rate, channels = named.get("rate", str(OUTPUT_RATE)), named.get("channels", "1")
    if kind not in ("audio/pcm", "audio/l16", "application/octet-stream") or channels != "1" or not rate.isdecimal():
        raise failure(f"speech came as {content_type[:100]!r}, not as raw mono samples; the speech model lacks pcm")
    if not 8000 <= int(rate) <= 192_000:
        raise failure(f"speech came at {rate[:20]} Hz")
    return int(rate)
