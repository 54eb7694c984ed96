"""What a session is declared to be, and which declarations are valid.

Field names, defaults and error texts up to turn_detection are AgentField's, whose apps must run unchanged; what follows
turn_detection is turnlog's own. A provider x transport pair stands in TRANSPORTS only when it works.
"""

from typing import Any, Literal, get_args

import msgspec

from .commands import plain
from .errors import DefinitionError, HandlerError

__all__ = [
    "DEFAULT_MODELS",
    "DEFAULT_TRANSCRIPTION",
    "TRANSPORTS",
    "Answers",
    "ClientUpdates",
    "Echo",
    "SayMode",
    "SessionDefinition",
    "define_session",
    "normalize_turn_detection",
    "validate_transport",
]

Answers = Literal["handler", "model"]
Echo = Literal["client_aec", "guard", "half_duplex"]
ClientUpdates = Literal["reassert", "refuse"]
SayMode = Literal["out_of_band", "in_band", "tts"]

TRANSPORTS: dict[str, frozenset[str]] = {
    "azure": frozenset({"websocket"}),
    "local": frozenset({"in_process", "websocket"}),
    "openai": frozenset({"webrtc", "websocket"}),
    "openrouter": frozenset({"audio_turns"}),
    "scripted": frozenset({"in_process", "websocket"}),
}
DEFAULT_MODELS = {
    "azure": "gpt-realtime-2.1",
    "local": "local",
    "openai": "gpt-realtime-2.1",
    "openrouter": "openai/gpt-audio-mini",
    "scripted": "scripted",
}
DEFAULT_TRANSCRIPTION = "gpt-realtime-whisper"

_BOUNDS = {
    "answer_timeout_s": (1, 600),
    "lead_ms": (20, 5000),
    "min_speech_ms": (0, 5000),
    "min_words": (0, 20),
    "reattach_grace_s": (0, 600),
}
_COMMON_KEYS = {"type", "create_response", "interrupt_response"}
_VAD_KEYS = {
    "server_vad": _COMMON_KEYS | {"threshold", "prefix_padding_ms", "silence_duration_ms"},
    "semantic_vad": _COMMON_KEYS | {"eagerness"},
}
_VAD_DEFAULTS: dict[str, dict[str, Any]] = {
    "server_vad": {"threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500},
    "semantic_vad": {"eagerness": "auto"},
}


class SessionDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A declared session. Built by define_session, which validates; stored whole in SessionStarted."""

    name: str
    provider: str
    transport: str
    model: str | None = None
    modalities: list[str] = msgspec.field(default_factory=lambda: ["audio", "text"])
    voice: str | None = None
    tools: list[str] = []
    tags: list[str] = []
    proposed_tags: list[str] = []
    approved_tags: list[str] = []
    metadata: dict[str, Any] = {}
    turn_detection: dict[str, Any] | None = None
    instructions: str = ""
    answers: Answers = "handler"
    transcription: str | None = DEFAULT_TRANSCRIPTION  # the transcription model; None: declared to have none
    language: str | None = None  # ISO 639-1 hint for the transcription
    say_mode: SayMode = "out_of_band"  # how says without a mode of their own are spoken
    echo: Echo | None = None  # who keeps what is played out of what is heard; None: guard for WebSocket callers
    lead_ms: int = 300  # how far ahead of the playout audio is sent to callers while a handler answers
    min_speech_ms: int = 0  # shorter speech does not interrupt
    min_words: int = 0  # while something sounds fewer words neither interrupt nor are a turn
    resume_after_false_start: bool = False  # what was cut by no speech is spoken on
    client_updates: ClientUpdates = "reassert"  # in a direct call: what becomes of a configuration that its client sends past us
    reattach_grace_s: int = 30  # how long a session waits for a caller whose connection dropped
    client_tools: bool = False  # a client's own instructions, tools and tool_choice reach the model
    answer_timeout_s: int = 10  # how long a caller's response.create waits for a say, before it gets an empty answer

    def to_dict(self) -> dict[str, Any]:
        """AgentField's dictionary of a definition: its keys only, turn_detection left out where there is none."""
        keys = ("name", "provider", "transport", "model", "modalities", "voice", "tools", "tags", "proposed_tags")
        out: dict[str, Any] = {key: msgspec.to_builtins(getattr(self, key)) for key in keys}
        out["proposed_tags"] = list(self.proposed_tags or self.tags)
        out |= {"approved_tags": list(self.approved_tags), "metadata": dict(self.metadata)}
        if self.turn_detection is not None:
            out["turn_detection"] = dict(self.turn_detection)
        return out


def validate_transport(provider: str, transport: str) -> tuple[str, str]:
    """The normalised (provider, transport) pair. Raises DefinitionError TL202 with AgentField's texts.

    Normalised means stripped, lower case, "-" as "_". Neither is ever inferred from the other.
    """
    provider_key, transport_key = _normalize(provider), _normalize(transport)
    if not provider_key:
        raise DefinitionError(
            "TL202", "session provider is required; AgentField does not infer providers", _known(), field="provider"
        )
    if not transport_key:
        raise DefinitionError(
            "TL202", "session transport is required; AgentField does not infer transports", _known(), field="transport"
        )
    supported = TRANSPORTS.get(provider_key)
    if supported is None:
        known = ", ".join(sorted(TRANSPORTS))
        text = f'unknown session provider "{provider}". Known providers: {known}.'
        raise DefinitionError("TL202", text, "set provider= to one of these", field="provider")
    if transport_key not in supported:
        choices = ", ".join(sorted(supported))
        text = f'unsupported session transport "{transport}" for provider "{provider_key}". Supported transports: {choices}.'
        raise DefinitionError("TL202", text, f"set transport= to one of: {choices}", field="transport")
    return provider_key, transport_key


def _normalize(value: object) -> str:
    return value.strip().lower().replace("-", "_") if isinstance(value, str) else ""


def _known() -> str:
    pairs = (f"{provider} ({', '.join(sorted(transports))})" for provider, transports in sorted(TRANSPORTS.items()))
    return "known: " + ", ".join(pairs)


def normalize_turn_detection(config: dict[str, Any] | None) -> dict[str, Any]:
    """The whole turn detection: AgentField's defaults under what was declared.

    Raises DefinitionError TL203, naming the key, with AgentField's texts.
    """
    if config is None:
        config = {"type": "server_vad"}
    if not isinstance(config, dict):
        raise _vad_error("must be an object", "")
    kind = config.get("type")
    if not isinstance(kind, str) or kind not in _VAD_KEYS:
        raise _vad_error("must be server_vad or semantic_vad", ".type")
    for key, value in config.items():
        if key not in _VAD_KEYS[kind]:
            raise _vad_error(f"is unsupported for {kind}", f".{key}")
        problem = _vad_problem(key, value)
        if problem:
            raise _vad_error(problem, f".{key}")
    return {"create_response": True, "interrupt_response": True, **_VAD_DEFAULTS[kind], **config}


def _vad_problem(key: str, value: object) -> str:
    match key:
        case "create_response" | "interrupt_response" if type(value) is not bool:
            return "must be a boolean"
        case "threshold" if type(value) not in (int, float) or not 0 <= value <= 1:  # type: ignore[operator] # the type was checked first; NaN is in no range
            return "must be a finite number between 0 and 1"
        case "prefix_padding_ms" | "silence_duration_ms" if type(value) is not int or value < 0:
            return "must be a non-negative integer"
        case "eagerness" if value not in ("auto", "low", "medium", "high"):
            return "must be auto, low, medium, or high"
    return ""


def _vad_error(problem: str, key: str) -> DefinitionError:
    return DefinitionError(
        "TL203", f"turn_detection{key} {problem}", "see docs/reference/sessions.md", field=f"turn_detection{key}"
    )


def define_session(
    name: str,
    *,
    provider: str,
    transport: str,
    transcription: str | None = DEFAULT_TRANSCRIPTION,
    turn_detection: dict[str, Any] | None = None,
    **options: Any,
) -> SessionDefinition:
    """A validated SessionDefinition; options are its other fields.

    `transcription` is the transcription model (on Azure: a deployment name); "none" declares that no words of the user
    are wanted. None is refused while a handler answers, since then no turn would ever have words.
    Raises DefinitionError TL201 (a field), TL202 (provider or transport), TL203 (turn detection).
    """
    provider, transport = validate_transport(provider, transport)
    if type(name) is not str or not name or "." in name or name != name.strip():
        raise DefinitionError("TL201", f"session name {name!r} must be a word without dots", "rename it", field="name")
    answers = options.get("answers", "handler")
    if answers not in get_args(Answers):
        raise DefinitionError(
            "TL201", f"answers={answers!r} must be 'handler' or 'model'", "the default is 'handler'", field="answers"
        )
    _refuse_wrong_times(options)
    if not transcription and answers == "handler":
        raise DefinitionError(
            "TL201",
            f"transcription={transcription!r} leaves the handler without the user's words",
            'name a transcription model, or say transcription="none" if that is meant',
            field="transcription",
        )
    fields: dict[str, Any] = {"name": name, "provider": provider, "transport": transport, **options}
    fields["transcription"] = None if transcription in ("none", "") else transcription
    fields["turn_detection"] = normalize_turn_detection(turn_detection)
    fields.setdefault("proposed_tags", list(options.get("tags") or []))
    fields["modalities"] = options.get("modalities") or None
    fields = {key: value for key, value in fields.items() if value is not None or key == "transcription"}
    try:
        fields["metadata"] = plain(fields.get("metadata", {}), "metadata")
        _refuse_unknown(fields)
        return msgspec.convert(fields, SessionDefinition)
    except msgspec.ValidationError as error:
        raise DefinitionError("TL201", f"session {name!r}: {error}", "correct the named option") from None
    except HandlerError as error:
        raise DefinitionError("TL201", f"session {name!r}: {error.message}", error.hint, field="metadata") from None


def _refuse_wrong_times(options: dict[str, Any]) -> None:
    for key, (least, most) in _BOUNDS.items():
        given = options.get(key, least)
        if type(given) is not int or not least <= given <= most:
            raise DefinitionError("TL201", f"{key}={given!r} must be a whole number from {least} to {most}", "", field=key)


def _refuse_unknown(fields: dict[str, Any]) -> None:
    unknown = sorted(set(fields) - set(SessionDefinition.__struct_fields__))
    if unknown:
        known = ", ".join(SessionDefinition.__struct_fields__)
        raise DefinitionError("TL201", f"unknown session option {unknown[0]!r}", f"known: {known}", field=unknown[0])
