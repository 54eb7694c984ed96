"""A run of audio: pieces of one part that come one after the other with nothing between. Pure: bytes in, bytes out.

Strategy: what a leg finds out for one piece (whose it is, whether it is still heard, what stands around it on the wire) holds for
the next one while no other message comes and nothing is decided. So it is looked up once a run, and not nine times in ten for
nothing. Whoever holds one of these lets go of it as soon as either may have happened; they do not notice themselves.
"""

from .audio_form import AudioReader
from .client_parts import PartSize
from .messages import OutputAudioDelta
from .outbox import Outbox
from .server_playout import SentPart

__all__ = ["AUDIO_END", "AudioRead", "AudioWritten"]

AUDIO_END = b'"}'
"""What stands behind the payload of every audio message that is written here."""


class AudioRead:
    """Reads the pieces that a provider sends of one part, and counts them there."""

    __slots__ = ("_part", "bytes_per_ms", "split")

    def __init__(self, reader: AudioReader[OutputAudioDelta], part: PartSize, bytes_per_ms: float) -> None:
        self._part = part
        self.bytes_per_ms = bytes_per_ms
        self.split = reader.split
        """Where the payload of the next piece stands (start, end), and that decoded; None for what is no such piece."""

    def count(self, size: int) -> None:
        """A piece has come, `size` bytes long when it is decoded."""
        self._part.audio_bytes += size


class AudioWritten:
    """Writes the pieces that a client is sent of one part, and counts them there."""

    __slots__ = ("_head", "_outbox", "_part", "_tail")

    def __init__(self, head: bytes, tail: bytes, outbox: Outbox, part: SentPart) -> None:
        self._head = b"%b%b_" % (head, outbox.quoted)
        self._outbox = outbox
        self._part = part
        self._tail = b'"' + tail

    def before(self, size: int) -> bytes:
        """What stands before the payload of the next piece, `size` bytes long when it is decoded; behind it stands AUDIO_END."""
        self._part.size += size
        outbox = self._outbox
        outbox.count = count = outbox.count + 1
        return b"%b%d%b" % (self._head, count, self._tail)
