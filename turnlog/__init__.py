"""turnlog: an event-sourced engine for live voice and multimodal sessions.

Declare sessions and tools on an App, run them with an Engine, replay what happened with replay. Everything public is here.
"""

from .core.definition import SessionDefinition
from .core.errors import (
    DefinitionError,
    Divergence,
    Fenced,
    HandlerError,
    HandlerStuck,
    LinkClosed,
    LinkError,
    MediaError,
    MissingExtra,
    ProtocolError,
    SessionEnded,
    StepError,
    StoreError,
    TurnlogError,
    VoiceLocked,
    WrongExpectedSeq,
)
from .core.turn import SessionTurn
from .engine.app import App
from .engine.engine import Engine
from .engine.journal import SayHandle, SayOutcome
from .engine.live import LiveSession
from .engine.projections import (
    BUILT_IN_PROJECTIONS,
    Projection,
    ProjectionContext,
    Projections,
    ProjectionStatus,
    catch_up,
    projection,
)
from .engine.replay import Replayed, replay
from .engine.session import RealtimeSession
from .engine.watchdog import HandlerLimits
from .store.feed import FeedEntry
from .store.projection_folder import ProjectionFolder

__all__ = [
    "BUILT_IN_PROJECTIONS",
    "App",
    "DefinitionError",
    "Divergence",
    "Engine",
    "FeedEntry",
    "Fenced",
    "HandlerError",
    "HandlerLimits",
    "HandlerStuck",
    "LinkClosed",
    "LinkError",
    "LiveSession",
    "MediaError",
    "MissingExtra",
    "Projection",
    "ProjectionContext",
    "ProjectionFolder",
    "ProjectionStatus",
    "Projections",
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
    "VoiceLocked",
    "WrongExpectedSeq",
    "catch_up",
    "projection",
    "replay",
]
