"""Cutting audio into pieces at sample boundaries, by its base64 text alone. Pure.

Eight characters of base64 are six bytes: three samples of PCM16, six of G.711; so a cut there is between samples in every
format of the protocol, and the pieces' texts, decoded one by one, are the bytes of the whole.
"""

from ...core import signals as s
from ...transports.realtime.durations import decoded_size

__all__ = ["LONGEST_MS", "pieces"]

LONGEST_MS = 100
"""What is delivered at once of a response that is paced: a cut leaves at most the lead and this at the caller."""


def pieces(audio: s.OutputAudio, longest_ms: int = LONGEST_MS) -> list[s.OutputAudio]:
    """The audio in pieces of at most `longest_ms`, but never of less than eight characters."""
    if audio.ms <= longest_ms:
        return [audio]
    text, size = audio.audio, decoded_size(audio.audio)
    step = max(1, int(longest_ms * size / audio.ms) // 6) * 8
    step_ms = audio.ms * (step // 8 * 6) / size
    found = []
    for at in range(0, len(text), step):
        piece = text[at : at + step]
        ms = step_ms if at + step < len(text) else audio.ms - step_ms * (at // step)
        found.append(
            s.OutputAudio(
                response=audio.response, item=audio.item, content_index=audio.content_index, audio=piece, ms=max(0.0, ms)
            )
        )
    return found
