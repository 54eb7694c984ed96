"""turnlog: an event-sourced engine for live voice and multimodal sessions.

Declare sessions and tools on an App, run them with an Engine, replay what happened with replay. Everything public is here.
"""

from .core.definition import SessionDefinition
from .core.errors import (
    DefinitionError,
    Divergence,
    Fenced,
    HandlerError,
    LinkClosed,
    LinkError,
    MediaError,
    MissingExtra,
    ProtocolError,
    SessionEnded,
    StepError,
    StoreError,
    TurnlogError,
    WrongExpectedSeq,
)
from .core.turn import SessionTurn
from .engine.app import App
from .engine.engine import Engine
from .engine.live import LiveSession
from .engine.replay import Replayed, replay
from .engine.session import RealtimeSession, SayHandle, SayOutcome

__all__ = [
    "App",
    "DefinitionError",
    "Divergence",
    "Engine",
    "Fenced",
    "HandlerError",
    "LinkClosed",
    "LinkError",
    "LiveSession",
    "MediaError",
    "MissingExtra",
    "ProtocolError",
    "RealtimeSession",
    "Replayed",
    "SayHandle",
    "SayOutcome",
    "SessionDefinition",
    "SessionEnded",
    "SessionTurn",
    "StepError",
    "StoreError",
    "TurnlogError",
    "WrongExpectedSeq",
    "replay",
]
