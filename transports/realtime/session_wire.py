"""The session object that configures a provider, from a definition and what its callers asked for. Pure.

A handler answers, or a say is open: then create_response and interrupt_response go out as false, whatever was declared (the
engine decides what is said and what is cut). Where a handler answers the model gets no tools. A client's tools (`client_tools`)
stand behind the session's own, which keep their names. A null idle_timeout_ms is never sent, since with a value the model would
speak by itself.
"""

from typing import Any

from ...core import events as e
from ...core.definition import SessionDefinition

__all__ = ["call_session", "caller_session", "modalities", "provider_session"]

_PCM = {"type": "audio/pcm", "rate": 24000}


def modalities(definition: SessionDefinition, settings: dict[str, Any]) -> list[str]:
    """["audio"] or ["text"]: what callers asked for, else audio if the definition has it (the protocol takes one)."""
    asked = settings.get("output_modalities")
    if asked:
        return list(asked)
    return ["audio"] if "audio" in definition.modalities else ["text"]


def provider_session(
    definition: SessionDefinition, asked: e.ConfigurationDispatched, tools: list[dict[str, Any]]
) -> dict[str, Any]:
    """What session.update asks of the provider."""
    settings, answers = asked.settings, (asked.answers or definition.answers) == "model"
    transcription = None
    if definition.transcription:
        language = {"language": definition.language} if definition.language else {}
        transcription = {"model": definition.transcription, **language}
    formats = {} if definition.transport == "webrtc" else settings  # by RTP it is always PCM on this side
    input_ = {
        "format": formats.get("input_format", _PCM),
        "transcription": transcription,
        "turn_detection": _turn_detection(definition, settings, answers=answers, held=asked.answer_held),
    }
    output = {"format": formats.get("output_format", _PCM)}
    if voice := settings.get("voice") or definition.voice:
        output["voice"] = voice
    session: dict[str, Any] = {
        "output_modalities": modalities(definition, settings),
        "audio": {"input": input_, "output": output},
    }
    if instructions := settings.get("instructions", definition.instructions):
        session["instructions"] = instructions
    named = settings.get("tools", definition.tools)
    theirs = [tool for tool in settings.get("client_tools", ()) if tool.get("name") not in named]
    if answers and (named or theirs or not settings.keys().isdisjoint(("tools", "client_tools"))):
        ours = [tool for tool in tools if tool["name"] in named]
        session |= {"tools": [*ours, *theirs], "tool_choice": settings.get("tool_choice", "auto")}
    elif not answers and definition.answers == "model":
        session["tools"] = []  # those it had while it answered
    return session


def call_session(
    definition: SessionDefinition, asked: e.ConfigurationDispatched, tools: list[dict[str, Any]], *, model: str = ""
) -> dict[str, Any]:
    """What a call is opened with, and what session.update asks of it by its sideband: whole, and without formats.

    The media is WebRTC's own affair. model: only where the call is opened, since it never changes.
    """
    session = provider_session(definition, asked, tools)
    session = {"instructions": "", "tools": [], "tool_choice": "auto", **session}
    session["audio"]["input"].pop("format")
    session["audio"]["output"].pop("format")
    if not session["audio"]["output"]:
        session["audio"].pop("output")
    return {"type": "realtime", **({"model": model} if model else {}), **session}


def _turn_detection(
    definition: SessionDefinition, settings: dict[str, Any], *, answers: bool, held: bool
) -> dict[str, Any] | None:
    declared = settings.get("turn_detection", definition.turn_detection)
    if declared is None:
        return None
    effective = {key: value for key, value in declared.items() if key != "idle_timeout_ms"}
    if not answers or held:  # held: while a say is owed or sounds the model answers nobody by itself, and cuts no say of ours
        effective |= {"create_response": False, "interrupt_response": False}
    return effective


def caller_session(definition: SessionDefinition, settings: dict[str, Any]) -> dict[str, Any]:
    """What a caller finds in its session.created, under which its own updates are merged: the session as it now is.

    settings: what callers, and the handler, have set since the declaration.
    """
    input_: dict[str, Any] = {"turn_detection": settings.get("turn_detection", definition.turn_detection)}
    if definition.transcription:
        input_["transcription"] = {"model": definition.transcription}
    output: dict[str, Any] = {}
    for side, key in ((input_, "input_format"), (output, "output_format")):
        if key in settings:
            side["format"] = settings[key]
    if voice := settings.get("voice") or definition.voice:
        output["voice"] = voice
    audio = {"input": input_, "output": output} if output else {"input": input_}
    return {"output_modalities": modalities(definition, settings), "audio": audio}
