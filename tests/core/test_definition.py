"""Declarations: AgentField's names, defaults and texts, and what turnlog adds."""

import inspect
from typing import Any

import msgspec
import pytest

from turnlog.core.definition import (
    DEFAULT_MODELS,
    DEFAULT_TRANSCRIPTION,
    TRANSPORTS,
    SessionDefinition,
    define_session,
    normalize_turn_detection,
    validate_transport,
)
from turnlog.core.errors import DefinitionError

# AgentField's dataclass SessionDefinition, field by field, and its defaults.
AGENTFIELD: dict[str, Any] = {
    "name": None,
    "provider": None,
    "transport": None,
    "model": None,
    "modalities": ["audio", "text"],
    "voice": None,
    "tools": [],
    "tags": [],
    "proposed_tags": [],
    "approved_tags": [],
    "metadata": {},
    "turn_detection": None,
}


NO_THRESHOLDS: list[Any] = [-0.1, 1.1, True, "0.5", None, float("nan"), float("inf"), 10**400, []]
NO_EAGERNESS: list[Any] = ["AUTO", "", None, []]


def define(**options: Any) -> SessionDefinition:
    """A definition with what every one needs."""
    return define_session(**{"name": "desk", "provider": "openai", "transport": "websocket", **options})


def test_the_first_fields_are_agentfields_in_its_order() -> None:
    """An AgentField definition reads as one of ours; turnlog's own fields follow."""
    names = SessionDefinition.__struct_fields__
    assert list(names[: len(AGENTFIELD)]) == list(AGENTFIELD)
    assert names[len(AGENTFIELD) :] == (
        *("instructions", "answers", "transcription", "language", "say_mode", "echo"),
        *("lead_ms", "min_speech_ms", "min_words", "resume_after_false_start", "client_updates"),
        *("reattach_grace_s", "client_tools", "answer_timeout_s"),
    )


def test_defaults_are_agentfields() -> None:
    """What is not declared is what it would be there."""
    bare = SessionDefinition(name="n", provider="p", transport="t")
    for name, default in list(AGENTFIELD.items())[3:]:
        assert getattr(bare, name) == default, name


def test_a_dictionary_has_agentfields_keys_only() -> None:
    """Registering with a control plane sends what its SDK would send."""
    made = define(tags=["a"], tools=["find"], metadata={"k": 1}, instructions="Be kind.")
    assert made.to_dict() == {
        "name": "desk",
        "provider": "openai",
        "transport": "websocket",
        "model": None,
        "modalities": ["audio", "text"],
        "voice": None,
        "tools": ["find"],
        "tags": ["a"],
        "proposed_tags": ["a"],
        "approved_tags": [],
        "metadata": {"k": 1},
        "turn_detection": {
            "type": "server_vad",
            "create_response": True,
            "interrupt_response": True,
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
        },
    }


def test_a_dictionary_without_turn_detection_leaves_its_key_out() -> None:
    """As at AgentField, and proposed tags fall back to the tags."""
    bare = SessionDefinition(name="n", provider="p", transport="t", tags=["x"]).to_dict()
    assert "turn_detection" not in bare
    assert bare["proposed_tags"] == ["x"]


def test_a_dictionary_shares_nothing_with_its_definition() -> None:
    """Changing what was sent changes no declaration."""
    made = define(tags=["a"], metadata={"k": 1})
    shown = made.to_dict()
    shown["tags"].append("b")
    shown["metadata"]["k"] = 2
    shown["turn_detection"]["threshold"] = 1
    assert made.tags == ["a"]
    assert made.metadata == {"k": 1}
    assert made.turn_detection is not None
    assert made.turn_detection["threshold"] == 0.5


# --- provider and transport ---


@pytest.mark.parametrize(("provider", "transport"), [(p, t) for p, ts in TRANSPORTS.items() for t in sorted(ts)])
def test_every_declared_pair_is_valid(provider: str, transport: str) -> None:
    """The matrix is what validation goes by, and each provider has a default model."""
    assert validate_transport(provider, transport) == (provider, transport)
    assert provider in DEFAULT_MODELS


def test_the_matrix_holds_the_pairs_that_work() -> None:
    """openai by WebRTC and WebSocket, azure by WebSocket, openrouter in turns; local and scripted in the process too."""
    assert {provider: set(transports) for provider, transports in TRANSPORTS.items()} == {
        "azure": {"websocket"},
        "local": {"in_process", "websocket"},
        "openai": {"webrtc", "websocket"},
        "openrouter": {"audio_turns"},
        "scripted": {"in_process", "websocket"},
    }


def test_names_are_normalised() -> None:
    """Stripped, lower case, hyphens as underscores, as at AgentField."""
    assert validate_transport(" LOCAL ", "In-Process\n") == ("local", "in_process")


@pytest.mark.parametrize(
    ("provider", "transport", "text"),
    [
        ("", "websocket", "session provider is required; AgentField does not infer providers"),
        (" ", "websocket", "session provider is required; AgentField does not infer providers"),
        (None, "websocket", "session provider is required; AgentField does not infer providers"),
        ("openai", "", "session transport is required; AgentField does not infer transports"),
        ("openai", None, "session transport is required; AgentField does not infer transports"),
        ("acme", "webrtc", 'unknown session provider "acme". Known providers: azure, local, openai, openrouter, scripted.'),
        (
            "OpenAI",
            "carrier-pigeon",
            'unsupported session transport "carrier-pigeon" for provider "openai". Supported transports: webrtc, websocket.',
        ),
        (
            "local",
            "webrtc",
            'unsupported session transport "webrtc" for provider "local". Supported transports: in_process, websocket.',
        ),
    ],
)
def test_a_pair_is_refused_in_agentfields_words(provider: Any, transport: Any, text: str) -> None:
    """The control plane's texts, with TL202 and a hint."""
    with pytest.raises(DefinitionError) as caught:
        define(provider=provider, transport=transport)
    assert (caught.value.code, caught.value.message) == ("TL202", text)
    assert caught.value.hint
    assert caught.value.field in ("provider", "transport")


# --- turn detection ---


def test_no_turn_detection_is_server_vad_with_agentfields_defaults() -> None:
    """None means the default, not none."""
    assert normalize_turn_detection(None) == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
    }


def test_semantic_vad_defaults_to_automatic_eagerness() -> None:
    """semantic_vad has no threshold."""
    assert normalize_turn_detection({"type": "semantic_vad"}) == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }


def test_what_was_declared_stands_over_the_defaults() -> None:
    """Each key by itself."""
    declared = {"type": "server_vad", "threshold": 1, "create_response": False}
    assert normalize_turn_detection(declared) == {**normalize_turn_detection(None), **declared}


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ([], "turn_detection must be an object"),
        ("server_vad", "turn_detection must be an object"),
        ({}, "turn_detection.type must be server_vad or semantic_vad"),
        ({"threshold": 0.5}, "turn_detection.type must be server_vad or semantic_vad"),
        ({"type": "none"}, "turn_detection.type must be server_vad or semantic_vad"),
        ({"type": []}, "turn_detection.type must be server_vad or semantic_vad"),
        ({"type": "server_vad", "eagerness": "low"}, "turn_detection.eagerness is unsupported for server_vad"),
        ({"type": "semantic_vad", "threshold": 0.5}, "turn_detection.threshold is unsupported for semantic_vad"),
        ({"type": "server_vad", "idle_timeout_ms": 5000}, "turn_detection.idle_timeout_ms is unsupported for server_vad"),
        ({"type": "server_vad", 1: 2}, "turn_detection.1 is unsupported for server_vad"),
        ({"type": "server_vad", "create_response": 1}, "turn_detection.create_response must be a boolean"),
        ({"type": "semantic_vad", "interrupt_response": None}, "turn_detection.interrupt_response must be a boolean"),
        *(
            ({"type": "server_vad", "threshold": value}, "turn_detection.threshold must be a finite number between 0 and 1")
            for value in NO_THRESHOLDS
        ),
        *(
            ({"type": "server_vad", key: value}, f"turn_detection.{key} must be a non-negative integer")
            for key in ("prefix_padding_ms", "silence_duration_ms")
            for value in (-1, 1.0, False, "300", None)
        ),
        *(
            (
                {"type": "semantic_vad", "eagerness": value},
                "turn_detection.eagerness must be auto, low, medium, or high",
            )
            for value in NO_EAGERNESS
        ),
    ],
)
def test_turn_detection_is_refused_in_agentfields_words(config: Any, text: str) -> None:
    """Key by key, with TL203 and the field's name."""
    with pytest.raises(DefinitionError) as caught:
        define(turn_detection=config)
    assert (caught.value.code, caught.value.message) == ("TL203", text)
    assert caught.value.field == text.split(" ")[0]
    assert caught.value.hint


@pytest.mark.parametrize("threshold", [0, 1, 0.0, 1.0, 0.25])
def test_the_bounds_of_a_threshold_are_inside(threshold: float) -> None:
    """0 and 1 are valid, as integers too."""
    assert normalize_turn_detection({"type": "server_vad", "threshold": threshold})["threshold"] == threshold


# --- the rest ---


def test_the_handler_answers_and_speech_is_transcribed_by_default() -> None:
    """Without a word about it, turns have text and the handler speaks."""
    made = define()
    assert (made.answers, made.transcription) == ("handler", DEFAULT_TRANSCRIPTION)


@pytest.mark.parametrize("transcription", [None, ""])
def test_a_handler_without_transcription_must_say_so(transcription: Any) -> None:
    """transcription=None leaves a handler without words: that is an error, not a silent session."""
    with pytest.raises(DefinitionError, match="leaves the handler without the user's words") as caught:
        define(transcription=transcription)
    assert (caught.value.code, caught.value.field) == ("TL201", "transcription")


def test_no_transcription_can_be_declared() -> None:
    """"none" is a choice; where the model answers, None is one too."""
    assert define(transcription="none").transcription is None
    assert define(transcription=None, answers="model").transcription is None


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a.b"}, "name"),
        ({"name": " a"}, "name"),
        ({"name": 5}, "name"),
        ({"answers": "nobody"}, "answers"),
        ({"answers": None}, "answers"),
        ({"colour": "red"}, "colour"),
        ({"metadata": {"k": object()}}, "metadata"),
        ({"metadata": {1: "x"}}, "metadata"),
        ({"modalities": "audio"}, ""),
        ({"tools": "find"}, ""),
        ({"tools": [1]}, ""),
        ({"voice": 5}, ""),
        ({"metadata": []}, ""),
        ({"transcription": 5}, ""),
        ({"model": b"x"}, ""),
    ],
)
def test_other_options_are_checked(options: dict[str, Any], field: str) -> None:
    """A wrong option is TL201, with its name in the field or in the text."""
    with pytest.raises(DefinitionError) as caught:
        define(**options)
    assert caught.value.code == "TL201"
    assert caught.value.field == field
    assert caught.value.hint
    assert next(iter(options)) in caught.value.message


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_empty_options_are_the_defaults(nothing: Any) -> None:
    """As at AgentField: no modalities are both, no tools and tags are none."""
    made = define(modalities=nothing, tools=nothing, tags=nothing)
    assert (made.modalities, made.tools, made.tags, made.proposed_tags) == (["audio", "text"], [], [], [])


def test_a_definition_survives_the_log() -> None:
    """It is stored whole in SessionStarted."""
    made = define(tools=["a"], metadata={"deep": {"x": [1, None]}}, turn_detection={"type": "semantic_vad"}, language="en")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=SessionDefinition) == made


def test_a_definition_shares_nothing_with_what_it_was_made_of() -> None:
    """Changing a list or dict afterwards changes no declaration."""
    tools, metadata = ["a"], {"k": [1]}
    made = define(tools=tools, metadata=metadata)
    tools.append("b")
    metadata["k"].append(2)
    assert (made.tools, made.metadata) == (["a"], {"k": [1]})


def test_provider_and_transport_are_never_inferred() -> None:
    """Both are required, by keyword, without defaults."""
    parameters = inspect.signature(define_session).parameters
    for name in ("provider", "transport"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is inspect.Parameter.empty
