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

    __slots__ = ("_part", "_reader", "bytes_per_ms")

    def __init__(self, reader: AudioReader[OutputAudioDelta], part: PartSize, bytes_per_ms: float) -> None:
        self._reader = reader
        self._part = part
        self.bytes_per_ms = bytes_per_ms

    def read(self, raw: bytes) -> tuple[int, int, bytes] | None:
        """Where the payload of the next piece stands (start, end), and that decoded. None, uncounted, for what is none."""
        found = self._reader.split(raw)
        if found is not None:
            self._part.audio_bytes += len(found[2])
        return found


class AudioWritten:
    """Writes the pieces that a client is sent of one part, and counts them there."""

    __slots__ = ("_head", "_outbox", "_part", "_tail")

    def __init__(self, head: bytes, tail: bytes, outbox: Outbox, part: SentPart) -> None:
        self._head = head
        self._tail = tail
        self._outbox = outbox
        self._part = part

    def before(self, size: int) -> bytes:
        """What stands before the payload of the next piece, `size` bytes long when it is decoded; behind it stands AUDIO_END."""
        self._part.size += size
        return b"%b%b%b" % (self._head, self._outbox.next_id(), self._tail)
