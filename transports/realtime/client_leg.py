"""What our ends of all lines to those who speak have in common: a client's machine that only its own dispatches move."""

from ...core import signals as s
from ...core.errors import TurnlogError
from .audio_run import AudioRead, AudioWritten
from .client import ClientProtocol
from .wire import Message

__all__ = ["ClientLeg"]


class ClientLeg:
    """One connection on which we are the client. `link` is its name in the log."""

    def __init__(self, link: str) -> None:
        self._link = link
        self._client = ClientProtocol()

    def receive(self, message: Message) -> list[s.Signal]:
        """What a message means. Raises ProtocolError for one that cannot be used."""
        return self._client.receive(message)

    def receive_audio(self, raw: bytes) -> list[s.Signal] | None:
        """What a message means that is audio like the last one; None for any other."""
        return self._client.receive_audio(raw)

    def audio_read(self) -> AudioRead | None:
        """How the audio that follows the last piece is read, as long as nothing else comes; None if that cannot be said."""
        return self._client.audio_run()

    def audio_written(self, audio: s.OutputAudio) -> AudioWritten | None:
        """None: who speaks here is not spoken to."""
        return None

    def refuse(self, raw: bytes, error: TurnlogError) -> list[bytes]:
        """Nothing: a client does not answer a server's unreadable message."""
        return []

    def owed(self) -> list[bytes]:
        """Nothing: a client owes no answers."""
        return []
