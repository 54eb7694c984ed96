"""The clock behind a peer's line of audio: silence by itself, and patience with a loop that was blocked."""

import asyncio

from tests.webrtc.peers import level, tone
from turnlog.testing import virtual_time
from turnlog.transports.webrtc.incoming import Microphone
from turnlog.transports.webrtc.opus import FRAME_BYTES, OpusEncoder


def spoken(ms: int) -> list[bytes]:
    """Packets of a tone."""
    encoder, sound = OpusEncoder(), tone(ms)
    return [bytes(encoder.encode(sound[at : at + FRAME_BYTES], 0)) for at in range(0, len(sound), FRAME_BYTES)]


@virtual_time
async def test_a_peer_that_sends_nothing_is_silent_by_the_clock() -> None:
    """Ten minutes of nothing are ten minutes of silence, and nothing comes before start() or after stop()."""
    heard: list[bytes] = []
    microphone = Microphone(heard.append)
    microphone.packet(1, 1, 0, spoken(20)[0])
    await asyncio.sleep(1)
    assert heard == []
    microphone.start()
    await asyncio.sleep(600)
    assert 600_000 - 100 <= len(heard) * 20 <= 600_000
    assert set(heard) == {bytes(FRAME_BYTES)}
    microphone.stop()
    count = len(heard)
    await asyncio.sleep(1)
    assert len(heard) == count


@virtual_time
async def test_speech_begins_and_ends_where_it_was_spoken() -> None:
    """A second of speech after two of silence, then nothing: it lies at its place, and silence follows without being sent."""
    heard = bytearray()
    microphone = Microphone(heard.extend)
    microphone.start()
    await asyncio.sleep(2)
    for number, payload in enumerate(spoken(1000)):
        await asyncio.sleep(0.02)
        microphone.packet(9, 100 + number, 96_000 + number * 960, payload)
    await asyncio.sleep(1)
    microphone.stop()
    loud = [at for at in range(0, len(heard), FRAME_BYTES) if level(bytes(heard[at : at + FRAME_BYTES])) > 1000]
    assert 1950 <= loud[0] / 48 <= 2060
    assert 2950 <= loud[-1] / 48 <= 3060
    assert 3850 <= len(heard) / 48 <= 4000


@virtual_time
async def test_what_waits_in_the_socket_while_the_loop_is_blocked_is_heard() -> None:
    """A loop that stood still for 150 ms first reads what came; it does not put silence there and drop the speech."""
    heard = bytearray()
    microphone = Microphone(heard.extend)
    loop = asyncio.get_running_loop()
    packets = spoken(400)
    microphone.start()
    for number, payload in enumerate(packets[:10]):
        await asyncio.sleep(0.02)
        microphone.packet(9, number, number * 960, payload)
    before = loop.time
    loop.time = lambda: before() + 0.15  # type: ignore[method-assign]  # the block
    for number, payload in enumerate(packets[10:17], start=10):
        loop.call_later(number * 0.0005, microphone.packet, 9, number, number * 960, payload)
    await asyncio.sleep(0.02)
    microphone.stop()
    quiet = [level(bytes(heard[at : at + FRAME_BYTES])) < 1000 for at in range(0, len(heard), FRAME_BYTES)]
    assert quiet == [False] * 17
