"""Our end of the line of a caller whose call the provider holds: nothing comes by it, and it is told nothing."""

from ...core import signals as s
from ...core.core import Staged
from ...core.errors import TurnlogError
from ...core.state import State
from .audio_run import AudioRead, AudioWritten
from .wire import Message

__all__ = ["DirectLeg"]


class DirectLeg:
    """A caller that neither hears nor says anything here."""

    def receive(self, message: Message) -> list[s.Signal]:
        """Nothing."""
        return []

    def receive_audio(self, raw: bytes) -> list[s.Signal] | None:
        """None: no message is known."""
        return None

    def audio_read(self) -> AudioRead | None:
        """None: nothing comes by here."""
        return None

    def audio_written(self, audio: s.OutputAudio) -> AudioWritten | None:
        """None: nothing goes by here."""
        return None

    def refuse(self, raw: bytes, error: TurnlogError) -> list[bytes]:
        """Nothing."""
        return []

    def owed(self) -> list[bytes]:
        """Nothing."""
        return []

    def present(self, staged: Staged, state: State) -> list[bytes]:
        """Nothing: the provider tells its client what there is to tell."""
        return []

    def media(self, signal: s.Signal) -> list[bytes]:
        """Nothing."""
        return []
