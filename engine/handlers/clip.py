"""Recorded sound that a handler plays: `HOLD = turnlog.clip("hold.wav")`, then `await session.say(HOLD)`.

The file is read once, when the clip is made; what is wrong with it is logged then, and raised when it is to be played. A replay
plays nothing: it needs no file, takes the digest that the log has, and compares only which clip the handler asked for, by name.
Best made at the top of a module: in a handler it holds up the other sessions, which strict mode refuses (TL104).
"""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ...core.commands import Clip
from ...core.errors import MediaError, MissingExtra
from ...transports.providers.voice import Recording
from ...transports.realtime.audio import read_wav
from ...transports.speech.resample import Resampler, read_audio

__all__ = ["CLIP_MAX_S", "AudioClip", "clip", "recordings"]

CLIP_MAX_S = 600
_RATE = 24_000  # what is not 16-bit mono WAV is read at the protocol's own rate
_MAX_BYTES = CLIP_MAX_S * 48_000 * 2 * 4  # a file of more than that is not even opened: 10 minutes of stereo in 32 bits

log = logging.getLogger("turnlog")


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioClip:
    """A recording as it was read, PCM16 mono, and what the log holds of it; or why it could not be read."""

    described: Clip  # by its file's own name, without folders: the log is read elsewhere
    pcm16: bytes = field(default=b"", repr=False)
    problem: MediaError | None = None

    def asked(self) -> Clip:
        """What a say of it holds. Raises MediaError TL602 if the file could not be read."""
        if self.problem is not None:
            raise MediaError(self.problem.code, self.problem.message, self.problem.hint)
        return self.described

    def asked_again(self, recorded: Clip | None) -> Clip:
        """What a say of it holds in a replay: what the record has at that command, if it is a clip of this name."""
        return recorded if recorded is not None and recorded.name == self.described.name else self.described

    def samples(self, rate: int) -> bytes:
        """All of it at `rate` Hz, PCM16 mono. Raises MediaError TL602, and MissingExtra where another rate needs PyAV."""
        resampler = Resampler(self.asked().rate, rate)
        return resampler.feed(self.pcm16) + resampler.flush()


def clip(path: str | os.PathLike[str]) -> AudioClip:
    """A recording to be played by `session.say(clip)`: 16-bit mono WAV, or with the extra `local` or `webrtc` any sound file.

    At most ten minutes. A file that is missing, holds no sound or is too long is reported in the log of Python's `logging`, and
    raises MediaError TL602 (`.problem`) where it is to be played live.
    """
    file = Path(path)
    try:
        pcm16, rate = _read(file)
    except MediaError as problem:
        log.warning("the clip %s cannot be played: %s (%s)", file.name, problem.message, problem.hint)
        return AudioClip(described=Clip(name=file.name, digest="", rate=0, ms=0), problem=problem)
    digest = sha256(pcm16).hexdigest()
    return AudioClip(described=Clip(name=file.name, digest=digest, rate=rate, ms=len(pcm16) * 500 // rate), pcm16=pcm16)


def _read(file: Path) -> tuple[bytes, int]:
    if not file.is_file():
        where = f"; relative paths begin at {Path.cwd()}" if not file.is_absolute() else ""
        raise MediaError("TL602", f"{file}: no such file", f"check the path{where}")
    if file.stat().st_size > _MAX_BYTES:
        raise _too_long(file)
    try:
        pcm16, rate = read_wav(file)
    except MediaError as no_plain_wav:
        try:
            pcm16, rate = read_audio(file, _RATE), _RATE
        except MissingExtra as missing:
            hint = f"{no_plain_wav.hint}; or {missing.hint}"
            raise MediaError("TL602", no_plain_wav.message, hint) from missing
    if not pcm16 or rate <= 0:
        raise MediaError("TL602", f"{file}: holds no sound", "give a file with an audio stream that is not empty")
    if len(pcm16) > CLIP_MAX_S * rate * 2:
        raise _too_long(file)
    return pcm16, rate


def recordings(clips: Mapping[str, AudioClip]) -> Callable[[str], Recording | None]:
    """How a voice finds what it is to play, by the say. clips: those of the says that are open."""

    def find(say: str) -> Recording | None:
        clip = clips.get(say)
        return None if clip is None else Recording(clip.described.digest, clip.pcm16, clip.described.rate)

    return find


def _too_long(file: Path) -> MediaError:
    return MediaError("TL602", f"{file}: longer than {CLIP_MAX_S // 60} minutes", "cut it; play several clips one after another")
