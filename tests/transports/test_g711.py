"""G.711: both laws against the standard's decision and quantised values, written out here from its tables."""

import struct
from collections.abc import Callable

import pytest

from turnlog.transports.realtime.audio import PCM16, PCMA, PCMU, AudioFormat
from turnlog.transports.realtime.g711 import (
    decode_alaw,
    decode_ulaw,
    encode_alaw,
    encode_ulaw,
    from_pcm16,
    to_pcm16,
)

ALL_SAMPLES = struct.pack("<65536h", *range(-32768, 32768))
ALL_CODES = bytes(range(256))


ULAW_STEPS = (2, 4, 8, 16, 32, 64, 128, 256)
ALAW_STEPS = (2, 2, 4, 8, 16, 32, 64, 128)


def ulaw_levels() -> list[int]:
    """ITU-T G.711 table 2a: the quantised values of the 128 positive codes, loudest last, on the 14-bit scale."""
    starts = (0, 31, 95, 223, 479, 991, 2015, 4063)  # of the segments; the first one's steps have their values at the start
    middles = (0, *(step // 2 for step in ULAW_STEPS[1:]))
    return [start + middle + step * n for start, middle, step in zip(starts, middles, ULAW_STEPS, strict=True) for n in range(16)]


def alaw_levels() -> list[int]:
    """ITU-T G.711 table 1a: the quantised values of the 128 positive codes, loudest last, on the 13-bit scale."""
    starts = (0, 32, 64, 128, 256, 512, 1024, 2048)
    return [start + step // 2 + step * n for start, step in zip(starts, ALAW_STEPS, strict=True) for n in range(16)]


def test_ulaw_has_the_standards_values() -> None:
    """Every code stands for the table's value: 0xFF is the quietest positive one, 0x7F the quietest negative one."""
    values = struct.unpack("<256h", decode_ulaw(ALL_CODES))
    assert [values[0xFF - n] for n in range(128)] == [4 * level for level in ulaw_levels()]
    assert [values[0x7F - n] for n in range(128)] == [-4 * level for level in ulaw_levels()]


def test_alaw_has_the_standards_values() -> None:
    """Every code stands for the table's value: even bits inverted, the sign in the first bit."""
    values = struct.unpack("<256h", decode_alaw(ALL_CODES))
    assert [values[(0x80 + n) ^ 0x55] for n in range(128)] == [8 * level for level in alaw_levels()]
    assert [values[n ^ 0x55] for n in range(128)] == [-8 * level for level in alaw_levels()]


@pytest.mark.parametrize(
    ("encode", "decode", "levels", "steps", "scale"),
    [
        (encode_ulaw, decode_ulaw, ulaw_levels(), ULAW_STEPS, 4),
        (encode_alaw, decode_alaw, alaw_levels(), ALAW_STEPS, 8),
    ],
    ids=["mu-law", "A-law"],
)
def test_every_sample_becomes_the_value_of_its_interval(
    encode: Callable[[bytes], bytes], decode: Callable[[bytes], bytes], levels: list[int], steps: tuple[int, ...], scale: int
) -> None:
    """No sample is further from its value than half a step of that segment (and what is below the scale); order is kept."""
    decoded = struct.unpack("<65536h", decode(encode(ALL_SAMPLES)))
    assert list(decoded) == sorted(decoded)
    reach = {scale * level: scale * (steps[n // 16] // 2 + 1) for n, level in enumerate(levels)}
    loudest = max(reach)
    for sample, value in zip(range(-32768, 32768), decoded, strict=True):
        assert abs(sample - value) <= reach[abs(value)] or abs(value) == loudest < abs(sample)


@pytest.mark.parametrize(("decode", "encode"), [(decode_ulaw, encode_ulaw), (decode_alaw, encode_alaw)])
def test_codes_survive_decoding(decode: Callable[[bytes], bytes], encode: Callable[[bytes], bytes]) -> None:
    """Encoding what was decoded gives the code back; only mu-law's negative zero becomes its positive one."""
    again = encode(decode(ALL_CODES))
    assert [(code, other) for code, other in zip(ALL_CODES, again, strict=True) if code != other] in ([], [(0x7F, 0xFF)])


def test_known_values() -> None:
    """The ends of both scales are those of the standard's tables, on the 16-bit scale."""
    assert struct.unpack("<3h", decode_ulaw(b"\x00\x80\xff")) == (-32124, 32124, 0)
    assert struct.unpack("<3h", decode_alaw(b"\x2a\xaa\xd5")) == (-32256, 32256, 8)


def test_half_a_sample_is_refused() -> None:
    """An odd number of PCM16 bytes is the caller's mistake."""
    with pytest.raises(ValueError, match="multiple"):
        encode_ulaw(b"\0\0\0")


@pytest.mark.parametrize(
    ("form", "encode", "decode"), [(PCM16, bytes, bytes), (PCMU, encode_ulaw, decode_ulaw), (PCMA, encode_alaw, decode_alaw)]
)
def test_formats_choose_the_law(form: AudioFormat, encode: Callable[[bytes], bytes], decode: Callable[[bytes], bytes]) -> None:
    """Payloads of each of the protocol's formats go to PCM16 and back; PCM passes untouched."""
    payload = from_pcm16(ALL_SAMPLES, form)
    assert payload == encode(ALL_SAMPLES)
    assert to_pcm16(payload, form) == decode(payload)
