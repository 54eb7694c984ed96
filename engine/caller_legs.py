"""Which machine stands at our end of a caller's line: the protocol's, or for a program that carries the sound itself none."""

from collections.abc import Callable, Mapping
from typing import Final

from ..core.definition import SessionDefinition
from ..core.errors import TurnlogError
from ..core.ports import Link, PlayingLink
from ..transports.realtime.audio_leg import AudioLeg
from ..transports.realtime.caller_leg import CallerLeg
from .line import Leg, Line

__all__ = ["HANDED", "caller_leg", "handed"]

HANDED: Final = "pcm"
"""The transport of a caller whose audio is handed over: what LinkOpened names."""
_PCM: Final = "audio/pcm"
_PCM_ONLY: Final = (HANDED, "webrtc")


def handed(link: Link, transport: str, session: str, formats: Mapping[str, str]) -> str:
    """The transport that a link counts as. Raises TurnlogError TL505 for PCM where a caller has asked for another format."""
    if not isinstance(link, PlayingLink):
        return transport
    for side, form in formats.items():
        if form != _PCM:
            problem = f"session {session} has {form} as its audio ({side}); an AudioCaller brings {_PCM}"
            raise TurnlogError("TL505", problem, "start a session of its own for this caller")
    return HANDED


def caller_leg(
    name: str, link: Link, transport: str, definition: SessionDefinition, lines: Mapping[str, Line], ids: Callable[[str], str]
) -> Leg:
    """The machine for a caller's line `name`, beside the other lines of its session."""
    if isinstance(link, PlayingLink):
        return AudioLeg(name)

    def pcm_only() -> bool:
        return definition.transport == "webrtc" or any(line.transport in _PCM_ONLY for line in lines.values())

    return CallerLeg(name, definition.model or "", ids, plays=transport == "webrtc", pcm_only=pcm_only)
