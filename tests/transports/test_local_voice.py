"""Text to words and audio: nothing is lost, nothing comes late."""

from base64 import b64decode

import pytest

from turnlog.transports.providers.local_voice import voiced
from turnlog.transports.providers.model import Audio, Words
from turnlog.transports.realtime.audio import PCM16, PCMU, AudioFormat
from turnlog.transports.speech.synthesise import EspeakSynthesiser


@pytest.mark.parametrize("form", [PCM16, PCMU])
def test_words_never_come_after_their_audio(form: AudioFormat, espeak: EspeakSynthesiser) -> None:
    """Each sentence's words stand before its audio, and all audio is there, in whole samples."""
    text = "This is the first one. And here is the second. Third."
    deltas = [delta for some in voiced(espeak, text, form) for delta in some]
    assert isinstance(deltas[0], Words) and deltas[0].text == "This is the first one. "
    assert "".join(delta.text for delta in deltas if isinstance(delta, Words)) == text
    size = sum(len(b64decode(delta.base64_text)) for delta in deltas if isinstance(delta, Audio))
    source = sum(len(piece) for piece in espeak.synthesise(text)) / 2 / espeak.rate
    assert abs(size / form.sample_bytes / form.rate - source) < 0.01
