"""Our end of the line to this machine's own voice: says that the provider is not asked for, and their cancels.

Each request names the format and modality that the provider's session has by then, so the line needs no configuration and
has no handshake: a say may be asked for as soon as it stands. Nothing is heard by it.
"""

from ...core import events as e
from ...core import signals as s
from ...core.core import Staged
from ...core.state import State
from .client_leg import ClientLeg
from .session_wire import modalities

__all__ = ["VoiceLeg"]


class VoiceLeg(ClientLeg):
    """One connection to this machine's own voice. `link` is its name in the log."""

    def present(self, staged: Staged, state: State) -> list[bytes]:
        """The message that carries out a dispatch of this link."""
        event = staged.event
        if getattr(event, "link", None) != self._link:
            return []
        match event:
            case e.SayDispatched():
                return [self._speak(event, state)]
            case e.CancelDispatched():
                return [self._client.cancel(event.response, event_id=f"cancel_{staged.seq}")]
        return []

    def _speak(self, event: e.SayDispatched, state: State) -> bytes:
        settings = state.links.settings
        kinds = modalities(state.life.definition, settings)
        output = {"format": settings.get("output_format", {"type": "audio/pcm", "rate": 24000})}
        clip = state.delivery.says[event.say].command.clip
        if clip is not None:
            return self._client.play(event.say, event.attempt, clip.digest, output=output, modalities=kinds)
        return self._client.speak(event.say, event.attempt, event.text, output=output, modalities=kinds)

    def media(self, signal: s.Signal) -> list[bytes]:
        """Nothing: a voice hears nobody."""
        return []
