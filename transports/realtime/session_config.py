"""The server's session object: its defaults, how updates merge into it, and what a response takes from it. Pure.

Invariant: a refused update changes nothing; a session object is replaced, never changed in place, so that a response
keeps the configuration of its creation.
"""

from typing import Any

import msgspec

from ...core.errors import ProtocolError
from .audio import format_from_wire
from .checks import (
    Check,
    Refusal,
    anything,
    boolean,
    each,
    integer,
    nullable,
    number,
    obj,
    one_of,
    string,
    string_map,
    too_deep,
)

__all__ = ["ResponseSettings", "check_request", "default_session", "merge_session", "response_settings", "without_formats"]

_Json = dict[str, Any]

# --- what a session holds before anybody has changed it ---

_VAD_DEFAULTS: dict[str, _Json] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True},
}


def default_session(session_id: str, model: str, expires_at: int | None) -> _Json:
    """A new session object; `expires_at` in seconds since the Unix epoch, None if it never expires."""
    pcm = {"type": "audio/pcm", "rate": 24000}
    turn_detection = dict(_VAD_DEFAULTS["server_vad"])
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": expires_at,
        "audio": {
            "input": {"format": pcm, "transcription": None, "noise_reduction": None, "turn_detection": turn_detection},
            "output": {"format": pcm, "voice": "alloy", "speed": 1.0},
        },
        "include": None,
    }


# --- what a client may ask for ---


def _format(value: object, path: str) -> Refusal | None:
    if refusal := obj({"type": string, "rate": anything}, required=("type",))(value, path):
        return refusal
    try:
        format_from_wire(value)
    except ProtocolError as error:
        return Refusal(code="invalid_value", param=path, message=f"Invalid value for '{path}': {error.message}.")
    return None


def _modalities(value: object, path: str) -> Refusal | None:
    if value in (["audio"], ["text"]):
        return None
    message = f"Invalid value for '{path}'. Supported combinations are: ['text'] and ['audio']."
    return Refusal(code="invalid_value", param=path, message=message)


def _voice(value: object, path: str) -> Refusal | None:
    return obj({"id": string}, required=("id",))(value, path) if isinstance(value, dict) else string(value, path)


def _turn_detection(value: object, path: str) -> Refusal | None:
    kind = value.get("type") if isinstance(value, dict) else None
    known = _TURN_DETECTION.get(kind) if isinstance(kind, str) else None
    if known is not None:
        return known(value, path)
    return obj({"type": one_of(*_TURN_DETECTION)}, required=("type",), open_=True)(value, path)


_VAD_FLAGS: dict[str, Check] = {"type": string, "create_response": boolean, "interrupt_response": boolean}
_TURN_DETECTION: dict[str, Check] = {
    "server_vad": obj(
        {
            **_VAD_FLAGS,
            "threshold": number(0, 1),
            "prefix_padding_ms": integer(0, 60_000),
            "silence_duration_ms": integer(0, 60_000),
            "idle_timeout_ms": nullable(integer(1, 3_600_000)),
        }
    ),
    "semantic_vad": obj({**_VAD_FLAGS, "eagerness": one_of("low", "medium", "high", "auto")}),
}

_TOOL = obj({"type": string, "name": string, "description": string, "parameters": nullable(obj({}, open_=True))}, open_=True)


def _tool_choice(value: object, path: str) -> Refusal | None:
    return obj({"type": string}, open_=True)(value, path) if isinstance(value, dict) else string(value, path)


def _max_output_tokens(value: object, path: str) -> Refusal | None:
    return None if value == "inf" else integer(1, 1_000_000)(value, path)


_SHARED: dict[str, Check] = {  # by session and response
    "output_modalities": _modalities,
    "instructions": string,
    "tools": each(_TOOL),
    "tool_choice": _tool_choice,
    "max_output_tokens": _max_output_tokens,
    "prompt": nullable(obj({}, open_=True)),
    "parallel_tool_calls": boolean,
    "reasoning": nullable(obj({}, open_=True)),
}
_TRANSCRIPTION = obj({"model": string}, open_=True)  # its other keys are the recogniser's own
_SESSION = obj(
    {
        **_SHARED,
        "type": one_of("realtime"),
        "model": string,
        "tracing": anything,
        "truncation": anything,
        "include": nullable(each(string)),
        "audio": obj(
            {
                "input": obj(
                    {
                        "format": _format,
                        "transcription": nullable(_TRANSCRIPTION),
                        "noise_reduction": nullable(obj({"type": string}, open_=True)),
                        "turn_detection": nullable(_turn_detection),
                    }
                ),
                "output": obj({"format": _format, "voice": _voice, "speed": number(0.25, 1.5)}),
            }
        ),
    },
    required=("type",),
)
_REQUEST = obj(
    {
        **_SHARED,
        "conversation": one_of("auto", "none"),
        "input": each(obj({"type": string}, open_=True)),
        "metadata": nullable(string_map),
        "audio": obj({"output": obj({"format": _format, "voice": _voice})}),
    }
)


# --- merging ---


def merge_session(
    session: _Json, changes: _Json, *, voice_locked: bool, formats_fixed: bool = False
) -> _Json | Refusal:
    """The session after session.update{changes}; `voice_locked` once audio has been produced.

    formats_fixed: audio formats that are asked for must exist, and are passed over.
    """
    refusal = too_deep(changes, "session") or _SESSION(changes, "session")
    if refusal is None and changes.get("model", session["model"]) != session["model"]:
        refusal = Refusal(code="invalid_value", param="session.model", message="The model of a session cannot be changed.")
    if refusal is not None:
        return refusal
    merged = _deep_merge(session, without_formats(changes) if formats_fixed else changes)
    for side in ("input", "output"):
        if merged["audio"][side]["format"] == {"type": "audio/pcm"}:
            merged["audio"][side]["format"] = {"type": "audio/pcm", "rate": 24000}
    if voice_locked and merged["audio"]["output"]["voice"] != session["audio"]["output"]["voice"]:
        return Refusal(
            code="cannot_update_voice",
            param="session.audio.output.voice",
            message="Cannot update a conversation's voice if assistant audio is present.",
        )
    return merged


def without_formats(changes: _Json) -> _Json:
    """The same changes, of a session or a response, that leave the audio formats as they are; valid ones."""
    audio = changes.get("audio")
    if not audio:
        return changes
    kept = {side: {key: value for key, value in part.items() if key != "format"} for side, part in audio.items()}
    return {**changes, "audio": kept}


_WHOLE = frozenset({"format", "voice", "tracing", "truncation", "prompt", "tool_choice", "reasoning"})
"""Objects that are replaced, not merged: a key left over from the old one would change the new one's meaning."""


def _deep_merge(old: _Json, changes: _Json) -> _Json:
    merged = dict(old)
    for key, value in changes.items():
        before = old.get(key)
        if not isinstance(value, dict) or key in _WHOLE:
            merged[key] = value
        elif key == "turn_detection":
            same = isinstance(before, dict) and before["type"] == value["type"]
            merged[key] = {**(before if same and before else _VAD_DEFAULTS[value["type"]]), **value}
        elif key == "transcription":
            merged[key] = {**(before or {"model": "", "language": None, "prompt": None}), **value}
        else:
            merged[key] = _deep_merge(before or {}, value)
    return merged


# --- responses ---


class ResponseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a response was created with: the session at that moment, overridden by its request.

    `input` is None if the response reads the conversation, else the items to read instead of it. `request` as sent.
    """

    in_band: bool
    output_modalities: list[str]
    instructions: str
    tools: list[_Json]
    tool_choice: str | _Json
    max_output_tokens: int | str
    output: _Json  # audio.output: format and voice
    input: list[_Json] | None
    metadata: dict[str, str] | None
    request: _Json


def check_request(request: _Json) -> Refusal | None:
    """Why this `response` object of a response.create cannot be used."""
    return too_deep(request, "response") or _REQUEST(request, "response")


def response_settings(session: _Json, request: _Json, *, in_band: bool, metadata: dict[str, str] | None) -> ResponseSettings:
    """The settings of a response created now; `request` has passed check_request."""
    output = {key: session["audio"]["output"][key] for key in ("format", "voice")}
    output.update((request.get("audio") or {}).get("output") or {})
    chosen = {
        key: request[key] if key in request else session[key]
        for key in ("output_modalities", "instructions", "tools", "tool_choice", "max_output_tokens")
    }
    return ResponseSettings(
        in_band=in_band, output=output, input=request.get("input"), metadata=metadata, request=request, **chosen
    )
