"""G.711: the tables against the standard library's own codec, where that still exists (before Python 3.13)."""

import struct
import warnings
from collections.abc import Callable
from types import ModuleType

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


@pytest.fixture(scope="module")
def audioop() -> ModuleType:
    """The standard library's codec."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module: ModuleType = pytest.importorskip("audioop", reason="audioop left the standard library with Python 3.13")
        return module


def test_ulaw_equals_audioop(audioop: ModuleType) -> None:
    """Every sample and every mu-law code is converted as audioop does it, bit for bit."""
    assert encode_ulaw(ALL_SAMPLES) == audioop.lin2ulaw(ALL_SAMPLES, 2)
    assert decode_ulaw(ALL_CODES) == audioop.ulaw2lin(ALL_CODES, 2)


def test_alaw_equals_audioop(audioop: ModuleType) -> None:
    """Every sample and every A-law code is converted as audioop does it, bit for bit."""
    assert encode_alaw(ALL_SAMPLES) == audioop.lin2alaw(ALL_SAMPLES, 2)
    assert decode_alaw(ALL_CODES) == audioop.alaw2lin(ALL_CODES, 2)


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
