"""G.711 (ITU-T): PCM16 to and from mu-law (audio/pcmu) and A-law (audio/pcma), one byte a sample. Pure, standard library.

Strategy: all codes are looked up. Decoding fills the low and high bytes of all samples by two bytes.translate, encoding maps
16-bit samples through 65536 entries, made at the first use (30 ms a law); so a 20 ms frame costs microseconds without numpy.
"""

import sys
from array import array
from functools import cache
from typing import Final

from .audio import PCMA, PCMU, AudioFormat

__all__ = ["decode_alaw", "decode_ulaw", "encode_alaw", "encode_ulaw", "from_pcm16", "to_pcm16"]

# --- the laws, one sample at a time ---

_ULAW_BIAS: Final = 33  # on the 14-bit scale: it makes every segment start at a power of two
_ULAW_MAX: Final = 8158


def _ulaw_value(code: int) -> int:
    code = ~code
    magnitude = ((((code & 0x0F) << 1) + _ULAW_BIAS) << (code >> 4 & 7)) - _ULAW_BIAS
    return -4 * magnitude if code & 0x80 else 4 * magnitude


def _ulaw_code(sample: int) -> int:
    value = sample >> 2  # 14 bits; the shift rounds down, also below zero
    magnitude = min(abs(value), _ULAW_MAX) + _ULAW_BIAS
    segment = magnitude.bit_length() - 6
    code = segment << 4 | magnitude >> (segment + 1) & 0x0F
    return ~code & (0x7F if value < 0 else 0xFF)


def _alaw_value(code: int) -> int:
    code ^= 0x55
    segment, step = code >> 4 & 7, code & 0x0F
    magnitude = (2 * step + 1 if segment == 0 else (2 * step + 33) << (segment - 1)) << 3
    return magnitude if code & 0x80 else -magnitude


def _alaw_code(sample: int) -> int:
    value = sample >> 3  # 13 bits
    magnitude = ~value if value < 0 else value
    segment = max(magnitude.bit_length() - 5, 0)
    code = segment << 4 | magnitude >> max(segment, 1) & 0x0F
    return code ^ (0x55 if value < 0 else 0xD5)


# --- tables over whole strings of samples ---


def _signed(sample: int) -> int:
    return sample - 0x10000 if sample & 0x8000 else sample


@cache
def _ulaw_codes() -> bytes:
    return bytes(_ulaw_code(_signed(sample)) for sample in range(0x10000))


@cache
def _alaw_codes() -> bytes:
    return bytes(_alaw_code(_signed(sample)) for sample in range(0x10000))


def _halves(values: list[int]) -> tuple[bytes, bytes]:
    return bytes(value & 0xFF for value in values), bytes(value >> 8 & 0xFF for value in values)


_ULAW_HALVES: Final = _halves([_ulaw_value(code) for code in range(256)])
_ALAW_HALVES: Final = _halves([_alaw_value(code) for code in range(256)])


def _decode(codes: bytes, halves: tuple[bytes, bytes]) -> bytes:
    pcm16 = bytearray(2 * len(codes))
    pcm16[0::2], pcm16[1::2] = codes.translate(halves[0]), codes.translate(halves[1])
    return bytes(pcm16)


def _encode(pcm16: bytes, codes: bytes) -> bytes:
    samples = array("H", pcm16)
    if sys.byteorder == "big":
        samples.byteswap()
    return bytes(map(codes.__getitem__, samples))


def decode_ulaw(codes: bytes) -> bytes:
    """Mu-law to PCM16, twice as many bytes."""
    return _decode(codes, _ULAW_HALVES)


def decode_alaw(codes: bytes) -> bytes:
    """A-law to PCM16, twice as many bytes."""
    return _decode(codes, _ALAW_HALVES)


def encode_ulaw(pcm16: bytes) -> bytes:
    """PCM16 (whole samples, else ValueError) to mu-law, half as many bytes."""
    return _encode(pcm16, _ulaw_codes())


def encode_alaw(pcm16: bytes) -> bytes:
    """PCM16 (whole samples, else ValueError) to A-law, half as many bytes."""
    return _encode(pcm16, _alaw_codes())


def to_pcm16(payload: bytes, form: AudioFormat) -> bytes:
    """A payload in one of the protocol's formats as PCM16 at the same rate."""
    if form == PCMU:
        return decode_ulaw(payload)
    return decode_alaw(payload) if form == PCMA else payload


def from_pcm16(pcm16: bytes, form: AudioFormat) -> bytes:
    """PCM16 as a payload in one of the protocol's formats at the same rate."""
    if form == PCMU:
        return encode_ulaw(pcm16)
    return encode_alaw(pcm16) if form == PCMA else pcm16
