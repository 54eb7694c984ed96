"""A caller who speaks: recordings in, a recording out, in real time, over a Realtime link in this process.

What has come and was not heard is dropped when the engine tells that the caller's speech interrupts it.

Every 20 ms one frame leaves the microphone (speech, or silence) and one is heard (what has come, or silence). Both go into
WAV files of one timeline, frame by frame, so that what is between a question and its answer can be measured in them.
"""

import asyncio
from binascii import a2b_base64, b2a_base64
from pathlib import Path
from typing import Final

from ..core.errors import LinkClosed
from ..core.ports import Link
from ..core.signals import OutputAudio, SpeechBegan
from ..transports.realtime.audio import PCM16, WavWriter, bytes_for_ms
from ..transports.realtime.client import ClientProtocol
from ..transports.realtime.wire import parse

__all__ = ["SpokenCaller"]

_FRAME_MS: Final = 20
_FRAME: Final = bytes_for_ms(_FRAME_MS, PCM16)
_TAIL_FRAMES: Final = 10  # silence that is still recorded after the last word


class SpokenCaller:
    """Streams what speak() was given and records what it hears: caller.wav and heard.wav in `folder`, 24 kHz mono.

    Raises MediaError TL604 if they cannot be written.
    """

    def __init__(self, link: Link, folder: Path) -> None:
        self._link = link
        self._client = ClientProtocol()
        self._to_say = bytearray()
        self._to_hear = bytearray()
        self._connected = True
        self._files = (WavWriter(folder / "caller.wav", PCM16.rate), WavWriter(folder / "heard.wav", PCM16.rate))

    @property
    def recordings(self) -> tuple[Path, Path]:
        """What was said, and what was heard."""
        said, heard = self._files
        return said.path, heard.path

    @property
    def silent(self) -> bool:
        """Whether everything was said."""
        return not self._to_say

    @property
    def quiet(self) -> bool:
        """Whether everything was said and all that came was heard."""
        return not self._to_say and not self._to_hear

    def speak(self, pcm16: bytes) -> None:
        """Say this, after what is being said. 24 kHz mono."""
        self._to_say += pcm16 + bytes(-len(pcm16) % _FRAME)

    async def run(self) -> None:
        """Speak and hear until the link is closed and what came was heard."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            await self._clock()

    def stop(self) -> None:
        """Say and hear nothing more."""
        self._to_say.clear()
        self._to_hear.clear()

    async def hang_up(self) -> None:
        """Close the link."""
        await self._link.close()

    def close(self) -> None:
        """Close the recordings."""
        for file in self._files:
            file.close()

    async def _listen(self) -> None:
        try:
            while True:
                for signal in self._client.receive(parse(await self._link.receive())):
                    if isinstance(signal, OutputAudio):
                        self._to_hear += a2b_base64(signal.audio)
                    elif isinstance(signal, SpeechBegan):  # as clients do when their user speaks
                        self._to_hear.clear()
        except LinkClosed:
            self._connected = False

    async def _clock(self) -> None:
        """Tick by the clock: a late tick is followed by the next at once, so that the timeline stays true."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        tail = _TAIL_FRAMES
        while tail:
            due += _FRAME_MS / 1000
            await asyncio.sleep(due - loop.time())
            self._tick()
            tail = tail - 1 if not self._connected and not self._to_hear else _TAIL_FRAMES

    def _tick(self) -> None:
        said, heard = self._files
        mine, theirs = _take(self._to_say), _take(self._to_hear)
        said.write(mine)
        heard.write(theirs)
        if self._connected:
            try:
                self._link.send(self._client.append_audio(b2a_base64(mine, newline=False)))
            except LinkClosed:
                self._connected = False


def _take(waiting: bytearray) -> bytes:
    frame = bytes(waiting[:_FRAME])
    del waiting[:_FRAME]
    return frame.ljust(_FRAME, b"\0")
