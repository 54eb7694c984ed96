"""A caller that follows a test: it speaks, types, interrupts, hangs up or drops, and knows what it heard to the sample.

It speaks as the protocol's real clients do: in real time, in frames of 20 ms. How it hears stands in listener.py.
"""

import asyncio
import os
from binascii import b2a_base64
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from ..core.errors import LinkClosed
from ..core.ports import Link
from ..transports.realtime.audio import PCM16, AudioFormat, bytes_for_ms, read_wav
from ..transports.realtime.g711 import from_pcm16
from ..transports.speech.resample import Resampler
from .fake_speech import WORD_MS, speak
from .listener import Listener
from .playout import Sound

__all__ = ["Dials", "ScriptedCaller"]

Dials = Callable[["ScriptedCaller"], Awaitable[None]]

_FRAME_MS: Final = 20
_LISTENED_MS: Final = 2000  # of silence sent behind speech, at most, until the other side takes it for a turn


class ScriptedCaller(Listener):
    """One caller on a link. `run` reads it; a Call does that.

    dials: connects it anew, if it is to come back (`takes` gives it the link). acknowledges: after a flush it tells by
    conversation.item.truncate how much of the item it played. word_ms: how fast it speaks.
    """

    def __init__(
        self, link: Link, *, acknowledges: bool = False, word_ms: int = WORD_MS, dials: Dials | None = None
    ) -> None:
        super().__init__()
        self.acknowledges = acknowledges
        self.word_ms = word_ms
        self._link = link
        self._dials = dials

    async def run(self) -> None:
        """Read the link to its end."""
        link = self._link
        try:
            while True:
                self.take(msgspec.json.decode(await link.receive()))
        except LinkClosed as closed:
            if link is self._link:
                self.take_end(closed)

    def takes(self, link: Link) -> None:
        """Go on with another link."""
        self._link, self.closed = link, None

    def cut(self, sound: Sound) -> None:
        """Tell what was played of the item that was cut, if it is one that tells."""
        if self.acknowledges:
            played_ms = self.playout.item_ms(sound.item, self.now_ns)
            told = {"item_id": sound.item, "content_index": 0, "audio_end_ms": played_ms}
            self.sends({"type": "conversation.item.truncate", **told})

    # --- doing ---

    async def says(self, text: str, *, commits: bool = False) -> None:
        """Speak, in real time, then listen until it is taken for a turn. commits: say by hand that the turn is over."""
        await self._speaks(speak(text, word_ms=self.word_ms, rate=self.formats["input"].rate), commits=commits)

    async def plays(self, path: str | os.PathLike[str], *, commits: bool = False) -> None:
        """Send the sound of a WAV file (16-bit mono) as speech; another rate than the session's needs the extra "local"."""
        pcm16, rate = await asyncio.get_running_loop().run_in_executor(None, read_wav, path)
        resampler = Resampler(rate, self.formats["input"].rate)
        await self._speaks(resampler.feed(pcm16) + resampler.flush(), commits=commits)

    async def interrupts(self, text: str, *, after_ms: float = 800) -> None:
        """Speak `after_ms` after what sounds now, or next, began to sound here."""
        response = await self.sounding()
        began_ns = self.playout.started_ns(response) or self.now_ns
        await asyncio.sleep(max(0.0, (began_ns - self.now_ns) / 1e9 + after_ms / 1000))
        await self.says(text)

    def types(self, text: str) -> None:
        """A typed turn: an item, and the wish for an answer."""
        content = [{"type": "input_text", "text": text}]
        self.sends({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}})
        self.sends({"type": "response.create"})

    async def is_silent(self, duration_s: float) -> None:
        """Let time pass. Nothing is sent: a muted microphone."""
        await asyncio.sleep(duration_s)

    async def hangs_up(self) -> None:
        """Close the link."""
        await self._link.close()

    async def drops(self, code: int = 1006, reason: str = "the connection was lost") -> None:
        """Lose the connection, as a page that is reloaded or a telephone in a tunnel: it plays no more of what it had."""
        self.playout.flush(self.now_ns)
        await self._link.close(code, reason)

    async def comes_back(self) -> None:
        """Connect anew to the same session; one that has not dropped takes its own place over."""
        assert self._dials is not None, "this caller has no way to connect anew; one of a Call has"
        await self._dials(self)

    def sends(self, event: dict[str, Any]) -> None:
        """Send any event of the protocol. Raises LinkClosed."""
        self._link.send(msgspec.json.encode(event))

    async def _speaks(self, pcm16: bytes, *, commits: bool) -> None:
        """Send speech, then silence until the other side says that it has ended."""
        form = self.formats["input"]
        size = bytes_for_ms(_FRAME_MS, PCM16) * form.rate // PCM16.rate
        before = len(self.events("input_audio_buffer.committed"))
        for start in range(0, len(pcm16), size):
            await self._frame(pcm16[start : start + size].ljust(size, b"\0"), form)
        if commits:
            self.sends({"type": "input_audio_buffer.commit"})
            return
        for _ in range(0, _LISTENED_MS, _FRAME_MS):
            if self.closed or len(self.events("input_audio_buffer.committed")) > before:
                return
            await self._frame(bytes(size), form)

    async def _frame(self, pcm16: bytes, form: AudioFormat) -> None:
        audio = b2a_base64(from_pcm16(pcm16, form), newline=False).decode()
        await asyncio.sleep(_FRAME_MS / 1000)  # it can be sent once it was spoken
        self.sends({"type": "input_audio_buffer.append", "audio": audio})
