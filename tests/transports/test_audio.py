"""The formats of the Realtime protocol, their arithmetic, base64 and WAV files."""

import base64
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.core.errors import MediaError, ProtocolError
from turnlog.transports.realtime.audio import (
    PCM16,
    PCMA,
    PCMU,
    AudioFormat,
    WavWriter,
    bytes_for_ms,
    decode_base64,
    duration_ms,
    format_from_wire,
    read_wav,
)

FORMATS = st.sampled_from([PCM16, PCMU, PCMA, AudioFormat(rate=16000), AudioFormat(rate=22050)])


def test_the_formats_of_the_wire_have_the_protocols_rates() -> None:
    """A second is 48000 bytes of PCM and 8000 bytes of either G.711 law."""
    assert [duration_ms(48000, PCM16), duration_ms(8000, PCMU), duration_ms(8000, PCMA)] == [1000.0, 1000.0, 1000.0]
    assert [PCM16.bytes_per_ms, PCMU.bytes_per_ms] == [48, 8]


@given(FORMATS, st.integers(0, 10_000_000))
def test_bytes_and_ms_are_inverse_within_a_sample(form: AudioFormat, ms: int) -> None:
    """bytes_for_ms gives whole samples, at most one sample short of the duration asked for."""
    size = bytes_for_ms(ms, form)
    assert size % form.sample_bytes == 0
    assert 0 <= ms - duration_ms(size, form) < 1000 / form.rate + 1e-6


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "audio/pcm", "rate": 24000}, PCM16),
        ({"type": "audio/pcm"}, PCM16),
        ({"type": "audio/pcmu"}, PCMU),
        ({"type": "audio/pcma", "rate": None}, PCMA),
    ],
)
def test_a_wire_format_is_read(value: object, expected: AudioFormat) -> None:
    """The three formats are known, with or without their rate."""
    assert format_from_wire(value) == expected


@pytest.mark.parametrize(
    "value", [{"type": "audio/pcm", "rate": 16000}, {"type": "audio/opus"}, {"type": ["audio/pcm"]}, {}, "pcm16", None, []]
)
def test_another_wire_format_is_refused(value: object) -> None:
    """Anything else is a ProtocolError that quotes the value and names the formats there are."""
    with pytest.raises(ProtocolError, match="audio format") as caught:
        format_from_wire(value)
    assert (caught.value.code, repr(value) in caught.value.message) == ("TL304", True)
    assert "audio/pcmu" in caught.value.hint


@pytest.mark.parametrize("rate", [0, -1])
def test_a_format_without_a_rate_does_not_exist(rate: int) -> None:
    """A rate that is not positive is refused, and so is G.711 at another rate than 8000 Hz."""
    with pytest.raises(ValueError, match="does not exist"):
        AudioFormat(rate=rate)
    with pytest.raises(ValueError, match="does not exist"):
        AudioFormat(type="audio/pcmu", rate=16000)


@given(st.binary(max_size=200))
def test_base64_round_trips(payload: bytes) -> None:
    """What was encoded comes back, from text and from bytes."""
    text = base64.b64encode(payload)
    assert decode_base64(text, "x") == decode_base64(text.decode(), "x") == payload


@pytest.mark.parametrize("payload", ["QUJ", "QUI*", "QU I=", "QUI=\n", "=QUI", "QUI=QUI=", "Q", "äöü=", "QUJD-_=="])
def test_bad_base64_is_refused_with_its_place(payload: str) -> None:
    """Missing padding, other alphabets, white space and joined payloads raise TL305 that names the field."""
    with pytest.raises(ProtocolError, match=r"input_audio_buffer\.append\.audio") as caught:
        decode_base64(payload, "input_audio_buffer.append.audio")
    assert caught.value.code == "TL305"
    assert caught.value.hint


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_what_was_written_piece_by_piece_is_read(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    """However the samples are cut, even inside one, the file holds all whole samples."""
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    with WavWriter(path, 24000) as writer:
        for piece in pieces:
            writer.write(piece)
    sound = b"".join(pieces)
    assert read_wav(path) == (sound[: len(sound) & ~1], 24000)


def test_the_file_is_valid_before_it_is_closed(tmp_path: Path) -> None:
    """After every write, and before the first, another reader finds a whole WAV: a killed process loses nothing."""
    path = tmp_path / "a.wav"
    writer = WavWriter(path, 16000)
    assert read_wav(path) == (b"", 16000)
    writer.write(b"\1\0\2\0\3")
    assert read_wav(path) == (b"\1\0\2\0", 16000)
    writer.write(b"\0")
    assert read_wav(path) == (b"\1\0\2\0\3\0", 16000)
    assert path.stat().st_size == int.from_bytes(path.read_bytes()[4:8], "little") + 8
    writer.close()
    writer.close()
    assert read_wav(path) == (b"\1\0\2\0\3\0", 16000)


def test_a_file_that_cannot_be_written_is_a_media_error(tmp_path: Path) -> None:
    """A folder that is not there, or a full disk, is TL604 with the path."""
    with pytest.raises(MediaError, match="nowhere") as caught:
        WavWriter(tmp_path / "nowhere" / "a.wav", 24000)
    assert caught.value.code == "TL604"
    if Path("/dev/full").exists():
        with pytest.raises(MediaError, match="/dev/full: No space left"):
            WavWriter("/dev/full", 24000)


def test_a_wav_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Stereo or 8 bits is TL602, saying what it is and how to convert it."""
    path = tmp_path / "stereo.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\0\0")
    with pytest.raises(MediaError, match="2 channels of 8 bits") as caught:
        read_wav(path)
    assert (caught.value.code, "ffmpeg" in caught.value.hint) == ("TL602", True)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"hello, this is no sound at all", None])
def test_a_file_that_is_no_wav_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Empty, cut, other and missing files are TL602 with the path."""
    path = tmp_path / "broken.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=r"broken\.wav") as caught:
        read_wav(path)
    assert caught.value.code == "TL602"
