"""What leaves towards a provider over WebRTC: what of a caller's audio is said, when it is late."""

import asyncio
import base64
import struct

import pytest

from turnlog.core.errors import ProtocolError
from turnlog.transports.providers.rtp_input import RtpInput
from turnlog.transports.realtime.client import ClientProtocol
from turnlog.transports.webrtc.outgoing import Speaker

pytestmark = pytest.mark.realtime  # what is late is known by the clock: a machine that stands still is late with everything

FRAME_MS = 20
CUSHION = [0, 0]  # before what comes while nothing waits


class Line:
    """An input whose speaker says nothing until it is asked to. Time stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: now)
        self.speaker = Speaker()
        self.sent: list[bytes] = []
        self.input = RtpInput(self.speaker, self.sent.append)

    def comes(self, *levels: int, ms: int = FRAME_MS) -> None:
        """Audio, `ms` of each level at once."""
        for level in levels:
            pcm16 = struct.pack("<h", level) * (24 * ms)
            self.input.send(ClientProtocol().append_audio(base64.b64encode(pcm16)))

    def waits(self) -> list[int]:
        """The level of each 20 ms that is to be said."""
        found = []
        while (frame := self.speaker.take(asyncio.get_running_loop().time())) is not None:
            found.append(struct.unpack_from("<h", frame)[0])
        return found


async def test_silence_before_the_first_word_is_not_said_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came while the call was made: the words are kept whole, the silence before them but for a moment is not."""
    line = Line(monkeypatch)
    line.comes(*[3] * 100, 5000, 4000, 20, 5000)
    assert line.waits() == CUSHION + [3] * 3 + [5000, 4000, 20, 5000]


async def test_a_pause_of_what_is_late_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words and the pauses between them are said whole; so is silence, once nothing is late."""
    line = Line(monkeypatch)
    line.comes(*[5000] * 10, *[0] * 30, *[4000] * 10, *[0] * 90, *[3000] * 2)
    assert line.waits() == CUSHION + [5000] * 10 + [0] * 30 + [4000] * 10 + [0] * 35 + [3000] * 2


async def test_noise_is_a_pause_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who calls from a street is never silent: as quiet as at best within two seconds is a pause, but speech never is."""
    line = Line(monkeypatch)
    noise = [400, 500, 450] * 80
    line.comes(*[5000] * 5, *noise, *[900] * 5)
    kept = line.waits()[len(CUSHION) :]
    assert kept[:5] == [5000] * 5
    assert 125 <= len(kept) - 10 <= 135
    assert kept[-5:] == [900] * 5
    line.comes(*[6000, 5000] * 100)
    assert len(line.waits()) == 200


async def test_what_is_said_in_time_is_said_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that sends nothing faster than it is said loses nothing, however long it is silent."""
    line = Line(monkeypatch)
    for _ in range(60):
        line.comes(7)
        line.input._said_at = 0.0  # it was said
    assert line.waits() == [*CUSHION, 7] * 60


async def test_what_comes_a_little_late_leaves_no_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the first piece something still waits to be sent, for as long as the second one may be late."""
    line = Line(monkeypatch)
    line.comes(5000)
    assert [line.speaker.take(0.0) is not None for _ in range(3)] == [True] * 3
    line.comes(5000)
    assert line.waits() == [5000]


async def test_a_large_piece_is_looked_at_frame_by_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording that comes as one message is treated as the same audio in small ones."""
    line = Line(monkeypatch)
    line.comes(5000, 0, 4000, ms=2000)
    assert len(line.waits()) == len(CUSHION) + 100 + 35 + 100


async def test_what_is_no_audio_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text must be base64."""
    with pytest.raises(ProtocolError, match="TL305"):
        Line(monkeypatch).input.send(b'{"type":"input_audio_buffer.append","audio":"***"}')
