"""Our end of the line of a caller whose sound this program itself carries: PCM by calls, and no protocol. Pure.

What such a caller says is input_audio_buffer.append, as of any other, and how much it has played turnlog.playout; so the log has
both as messages. What it hears is handed over and no message (see core.ports.PlayingLink). It is sent two only:
output_audio_buffer.cleared when what has not sounded of a response is to be thrown away, and response.output_audio.done when
no more of it comes; of each audible one, also if this caller came too late to be handed any of it.
"""

import msgspec

from ...core import events as e
from ...core import signals as s
from ...core.core import Staged
from ...core.errors import ProtocolError, TurnlogError
from ...core.payload import decoded
from ...core.playing import FLUSHED
from ...core.state import State
from .audio import PCM16, duration_ms
from .audio_run import AudioRead, AudioWritten
from .client_messages import AudioAppend, OutputBufferClear, PlayoutReport
from .durations import decoded_size
from .wire import Message, audio_text, encode_event

__all__ = ["APPENDS", "CLEARED", "DONE", "END", "AudioLeg", "Played"]

APPENDS = b'{"type":"input_audio_buffer.append","audio":"'
END = b'"}'
CLEARED = "output_audio_buffer.cleared"
DONE = "response.output_audio.done"


class Played(msgspec.Struct, kw_only=True, tag="turnlog.playout"):
    """turnlog.playout as such a caller sends it: in the provider's ids, with the response. final: no more of it is played."""

    response_id: str
    item_id: str
    content_index: int
    played_ms: int
    final: bool = False


_played = msgspec.json.Decoder(Played).decode


class AudioLeg:
    """One such caller. `link` is its name in the log."""

    def __init__(self, link: str) -> None:
        self._link = link
        self._told = 0

    # --- from the caller ---

    def receive(self, message: Message) -> list[s.Signal]:
        """What a message means. Raises ProtocolError TL305 for one that such a caller does not send."""
        match message.view:
            case AudioAppend():
                audio = audio_text(message)
                return [s.AudioAppended(audio=audio, ms=duration_ms(decoded_size(audio), PCM16))]
            case OutputBufferClear():
                return [s.OutputCleared()]
            case PlayoutReport():
                return [_reported(_played(message.raw))]
        raise ProtocolError("TL305", f"{message.type}: no message of a caller that is handed its audio")

    def receive_audio(self, raw: bytes) -> list[s.Signal] | None:
        """What a message means that is audio; None for any other."""
        if not (raw.startswith(APPENDS) and raw.endswith(END)):
            return None
        start, end = len(APPENDS), len(raw) - len(END)
        payload = decoded(raw, start, end)
        if payload is None:
            return None
        return [s.AudioAppended(audio=raw[start:end], ms=duration_ms(len(payload), PCM16), payload=payload)]

    def audio_read(self) -> AudioRead | None:
        """None: a caller speaks in no parts."""
        return None

    def refuse(self, raw: bytes, error: TurnlogError) -> list[bytes]:
        """Nothing: whoever made the message is this program."""
        return []

    def owed(self) -> list[bytes]:
        """Nothing."""
        return []

    # --- to the caller ---

    def audio_written(self, audio: s.OutputAudio) -> AudioWritten | None:
        """None: audio is no message here."""
        return None

    def media(self, signal: s.Signal) -> list[bytes]:
        """Nothing: see audio_written."""
        return []

    def present(self, staged: Staged, state: State) -> list[bytes]:
        """That audio is to be thrown away, or that no more of it comes."""
        match staged.event:
            case e.PlayoutCut(response=response, reason=reason):
                return [self._of(CLEARED if reason in FLUSHED else DONE, response)]
            case e.ResponseDelivered(response=response):
                return [self._of(DONE, response)]
        return []

    def _of(self, type_: str, response: str) -> bytes:
        self._told += 1
        return encode_event(type_, f"event_{self._link}_{self._told}", response_id=response)


def _reported(told: Played) -> s.PlayoutReported:
    return s.PlayoutReported(
        response=told.response_id,
        item=told.item_id,
        content_index=told.content_index,
        played_ms=told.played_ms,
        final=told.final,
        halted=told.final,
    )
