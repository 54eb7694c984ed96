"""What is played to a peer: frames of 20 ms in the order in which they were put, told mark by mark, on the clock of RTP."""

import asyncio
from fractions import Fraction
from itertools import pairwise

import pytest

from tests.webrtc.peers import Played, level, tone
from turnlog.testing import virtual_time
from turnlog.transports.webrtc.opus import FRAME_BYTES, OpusDecoder, OpusEncoder
from turnlog.transports.webrtc.outgoing import Speaker, SpeakerTrack


class Counted(Speaker):
    """Knows how many frames were taken."""

    taken = 0

    def take(self, now: float) -> bytes | None:
        """The next frame."""
        pcm16 = super().take(now)
        self.taken += pcm16 is not None
        return pcm16


class Sent:
    """A track that is read as aiortc reads it: RTP time in ms and loop time in ms of every packet with audio.

    `fades`: of those behind it, which are silent.
    """

    def __init__(self) -> None:
        self.fades: list[tuple[int, int]] = []
        self.speaker = Counted()
        self.speaker.listener = self.played = Played()
        self.packets: list[tuple[int, int]] = []
        self.audio = bytearray()
        self._decoder = OpusDecoder()
        self._task = asyncio.create_task(self._read(SpeakerTrack(self.speaker)))

    async def _read(self, track: SpeakerTrack) -> None:
        loop = asyncio.get_running_loop()
        while True:
            packet = await track.recv()
            assert packet.pts is not None
            assert packet.time_base is not None
            rtp_ms = packet.pts * packet.time_base * 1000
            assert rtp_ms.denominator == 1
            is_audio = self.speaker.taken > len(self.packets)
            (self.packets if is_audio else self.fades).append((int(rtp_ms), round(loop.time() * 1000)))
            self.audio += self._decoder.decode(bytes(packet))

    async def stop(self) -> None:
        """Read no more."""
        self._task.cancel()
        await asyncio.wait((self._task,))


@virtual_time
async def test_audio_is_sent_by_the_clock_and_nothing_else_is() -> None:
    """A packet each 20 ms while there is audio, five of silence behind it, none in a pause; RTP time goes on with the clock."""
    sent = Sent()
    await asyncio.sleep(0.5)
    sent.speaker.put(tone(60), "a")
    await asyncio.sleep(1)
    sent.speaker.put(tone(40), "b")
    await asyncio.sleep(1)
    await sent.stop()
    assert sent.packets == [(500, 500), (520, 520), (540, 540), (1500, 1500), (1520, 1520)]
    assert sent.fades == [(at, at) for at in (*range(560, 660, 20), *range(1540, 1640, 20))]


@virtual_time
async def test_what_comes_into_the_silence_behind_ends_it() -> None:
    """At the next frame's time, and with silence of its own behind it."""
    sent = Sent()
    sent.speaker.put(tone(20), "a")
    await asyncio.sleep(0.05)
    sent.speaker.put(tone(20), "b")
    await asyncio.sleep(1)
    await sent.stop()
    assert [at for at, _ in sent.packets] == [0, 60]
    assert [at for at, _ in sent.fades] == [20, 40, *range(80, 180, 20)]


@virtual_time
async def test_marks_are_told_when_they_start_and_end() -> None:
    """In order, with what was sent of each; played_ms counts the frames sent."""
    sent = Sent()
    sent.speaker.put(tone(100), "a")
    sent.speaker.put(tone(50), "b")
    sent.speaker.finish("a")
    sent.speaker.finish("b")
    await asyncio.sleep(0.031)
    assert (sent.speaker.played_ms("a"), sent.speaker.played_ms("b"), sent.speaker.played_ms("c")) == (40, 0, 0)
    await asyncio.sleep(1)
    await sent.stop()
    assert sent.played.told == [("started", "a", 0), ("ended", "a", 100), ("started", "b", 0), ("ended", "b", 50)]
    assert len(sent.packets) == 8  # 50 ms are two frames and a padded one


@virtual_time
async def test_a_mark_ends_when_it_is_finished_after_all_was_sent() -> None:
    """At once then; once, however often it is finished; a mark without audio tells nothing."""
    sent = Sent()
    sent.speaker.put(tone(20), "a")
    await asyncio.sleep(1)
    assert sent.played.told == [("started", "a", 0)]
    sent.speaker.finish("a")
    sent.speaker.finish("a")
    sent.speaker.finish("silent")
    sent.speaker.put(b"", "empty")
    sent.speaker.finish("empty")
    assert sent.played.told == [("started", "a", 0), ("ended", "a", 20)]
    await sent.stop()


@virtual_time
async def test_small_steps_are_gathered_and_the_last_waits_40_ms() -> None:
    """Steps of 7 ms are whole frames; what is left over is padded when nothing more has come for 40 ms."""
    sent = Sent()
    sound = tone(70)
    for at in range(0, len(sound), 336):
        sent.speaker.put(sound[at : at + 336], "a")
    await asyncio.sleep(1)
    assert [at for at, _ in sent.packets] == [0, 20, 40, 60]
    assert sent.speaker.played_ms("a") == 70
    sent.speaker.put(tone(10), "a")
    await asyncio.sleep(0.035)
    assert len(sent.packets) == 4
    await asyncio.sleep(0.03)
    assert len(sent.packets) == 5
    assert sent.speaker.played_ms("a") == 80
    await sent.stop()


@virtual_time
async def test_clear_takes_effect_with_the_next_frame() -> None:
    """Nothing of what waited is sent, no mark of it is told as ended, and the position is what was sent."""
    sent = Sent()
    sent.speaker.put(tone(1000), "a")
    sent.speaker.put(tone(1010), "b")
    await asyncio.sleep(0.105)
    sent.speaker.clear()
    sent.speaker.finish("a")
    sent.speaker.finish("b")
    await asyncio.sleep(1)
    assert len(sent.packets) == 6
    assert (sent.speaker.played_ms("a"), sent.speaker.played_ms("b")) == (120, 0)
    assert sent.played.told == [("started", "a", 0)]
    sent.speaker.put(tone(20), "c")
    await asyncio.sleep(1)
    await sent.stop()
    assert sent.packets[-1][0] >= 1100
    assert sent.played.told[-1] == ("started", "c", 0)


@virtual_time
async def test_a_loop_that_was_blocked_does_not_send_what_is_late_in_one_burst() -> None:
    """Up to 100 ms are caught up; after more, time has gone by."""
    sent = Sent()
    sent.speaker.put(tone(400), "a")
    await asyncio.sleep(0.041)
    loop = asyncio.get_running_loop()
    moved = loop.time

    def later() -> float:
        return moved() + 1

    loop.time = later  # type: ignore[method-assign]  # as if the process had been stopped for a second
    await asyncio.sleep(0.5)
    await sent.stop()
    steps = [after - before for (before, _), (after, _) in pairwise(sent.packets) if after - before != 20]
    assert len(steps) == 1
    assert 900 < steps[0] < 1100


@virtual_time
async def test_marks_are_not_remembered_for_ever() -> None:
    """The oldest are forgotten; those that wait are not."""
    sent = Sent()
    sent.speaker.put(tone(20), "first")
    await asyncio.sleep(0.1)
    for number in range(600):
        sent.speaker.put(tone(1), number)
    assert sent.speaker.played_ms("first") == 0
    await asyncio.sleep(30)
    assert sent.speaker.played_ms(599) == 1
    await sent.stop()


@pytest.mark.parametrize("hertz", [200, 1000, 4000])
def test_what_is_encoded_is_heard_again(hertz: int) -> None:
    """Mono, 24 kHz, at its level, packet for packet; the packets are those of a voice, not of music."""
    encoder, decoder = OpusEncoder(), OpusDecoder()
    sound, heard, size = tone(1000, hertz), bytearray(), 0
    for number, at in enumerate(range(0, len(sound), FRAME_BYTES)):
        packet = encoder.encode(sound[at : at + FRAME_BYTES], number * 960)
        assert (packet.pts, packet.time_base) == (number * 960, Fraction(1, 48_000))
        size += packet.size
        heard += decoder.decode(bytes(packet))
    assert len(sound) - 100 <= len(heard) <= len(sound)
    assert level(bytes(heard[9600:])) == pytest.approx(level(sound), rel=0.1)
    assert size < 50 * 150


@pytest.mark.parametrize("payload", [b"", b"\x03", b"\xff\xff\xff", b"abcdef" * 50])
def test_a_packet_that_is_no_opus_gives_nothing_and_what_follows_is_heard(payload: bytes) -> None:
    """Whatever a peer sends: no exception, and no state that stays broken."""
    encoder, decoder = OpusEncoder(), OpusDecoder()
    decoder.decode(bytes(encoder.encode(tone(20), 0)))
    decoder.decode(payload)
    heard = b"".join(decoder.decode(bytes(encoder.encode(tone(20), 0))) for _ in range(5))
    assert len(heard) == 5 * FRAME_BYTES
    assert level(heard) > 1000
