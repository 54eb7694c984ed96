"""The audio format a peer says it uses, and the size of base64 audio. Lenient: peers' dialects are read, never refused.

What our own server accepts is audio.format_from_wire's to judge; here a format that is missing or unknown counts as the
protocol's default, 24 kHz PCM.
"""

from typing import Any

from .audio import PCM16, PCMA, PCMU, AudioFormat

__all__ = ["decoded_size", "format_declared", "session_format"]

_BY_NAME = {"audio/pcm": PCM16, "audio/pcmu": PCMU, "audio/pcma": PCMA, "g711_ulaw": PCMU, "g711_alaw": PCMA}


def format_declared(value: object) -> AudioFormat:
    """The format behind a format object, or behind the bare name that the beta protocol used."""
    kind = value.get("type") if isinstance(value, dict) else value
    known = _BY_NAME.get(kind, PCM16) if isinstance(kind, str) else PCM16
    rate = value.get("rate") if isinstance(value, dict) and known is PCM16 else None
    return AudioFormat(rate=rate) if type(rate) is int and 0 < rate <= 384_000 else known


def session_format(session: dict[str, Any], side: str) -> AudioFormat:
    """The format of one side ("input" or "output") of a session or response object, in the GA or the beta shape."""
    audio = session.get("audio")
    part = audio.get(side) if isinstance(audio, dict) else None
    found = part.get("format") if isinstance(part, dict) else None
    return format_declared(found if found is not None else session.get(f"{side}_audio_format"))


def decoded_size(base64_text: bytes) -> int:
    """Bytes behind valid base64 text."""
    return len(base64_text) // 4 * 3 - base64_text[-2:].count(b"=")
