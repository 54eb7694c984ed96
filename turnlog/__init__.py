"""turnlog: an event-sourced engine for live voice and multimodal sessions.

Declare sessions and tools on an App, run them with an Engine, replay what happened with replay. Everything public is here.
"""

import _turnlog_start  # noqa: F401 -- first of all: for `python -m turnlog` Ctrl-C is quiet from here on

from .core.definition import SessionDefinition
from .core.divergence import DivergenceReport, DivergenceSide
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
from .core.ports import AudioPart
from .core.turn import SessionTurn
from .engine.answering import Answered
from .engine.app import App
from .engine.handlers.clip import AudioClip, clip
from .engine.engine import Engine
from .engine.offline.fork import Forked, fork
from .engine.garbage import collections_when_idle
from .engine.handlers.handles import ItemStream, SayHandle, SayOutcome, Utterance
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
from .engine.offline.rederive import Rederived, rederive
from .engine.offline.replay import Replayed, replay
from .engine.offline.replay_all import SessionReplay, replay_all
from .engine.handlers.session import RealtimeSession
from .engine.offline.side_by_side import WhatIf
from .engine.handlers.watchdog import HandlerLimits
from .engine.offline.what_if import what_if
from .store.feed import FeedEntry
from .store.projection_folder import ProjectionFolder
from .transports.callers.audio import AudioCaller, AudioCleared, AudioFinished, AudioPlayer, PlayAudio, ShowText
from .transports.control_plane import ControlPlane
from .transports.webrtc.ice import IceServer, IceSettings

__all__ = [
    "BUILT_IN_PROJECTIONS",
    "Answered",
    "App",
    "AudioCaller",
    "AudioCleared",
    "AudioClip",
    "AudioFinished",
    "AudioPart",
    "AudioPlayer",
    "ControlPlane",
    "DefinitionError",
    "Divergence",
    "DivergenceReport",
    "DivergenceSide",
    "Engine",
    "FeedEntry",
    "Fenced",
    "Forked",
    "HandlerError",
    "HandlerLimits",
    "HandlerStuck",
    "IceServer",
    "IceSettings",
    "ItemStream",
    "LinkClosed",
    "LinkError",
    "LiveSession",
    "MediaError",
    "MissingExtra",
    "PlayAudio",
    "Projection",
    "ProjectionContext",
    "ProjectionFolder",
    "ProjectionStatus",
    "Projections",
    "ProtocolError",
    "RealtimeSession",
    "Rederived",
    "Replayed",
    "SayHandle",
    "SayOutcome",
    "SessionDefinition",
    "SessionEnded",
    "SessionReplay",
    "SessionTurn",
    "ShowText",
    "StepError",
    "StoreError",
    "TurnlogError",
    "Utterance",
    "VoiceLocked",
    "WhatIf",
    "WrongExpectedSeq",
    "catch_up",
    "clip",
    "collections_when_idle",
    "fork",
    "projection",
    "rederive",
    "replay",
    "replay_all",
    "what_if",
]
