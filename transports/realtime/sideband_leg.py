"""Our end of the sideband of a call that the provider holds with the caller itself. It carries no audio either way.

Its configuration is whole: the caller's client may have sent its own past us, and what ours did not name would stay.
"""

from ...core import events as e
from ...core import signals as s
from ...core.core import Staged
from ...core.decide import CONFIGURATION
from ...core.state import State
from .audio_run import AudioRead
from .provider_leg import ProviderLeg
from .session_wire import call_session
from .wire import Message

__all__ = ["SidebandLeg"]


class SidebandLeg(ProviderLeg):
    """A sideband. `link` is its name in the log, `tools` what the model may call."""

    def receive(self, message: Message) -> list[s.Signal]:
        """What a message means. Audio that a service sends all the same is not for us: it plays it to the caller."""
        return [signal for signal in super().receive(message) if not isinstance(signal, s.OutputAudio)]

    def receive_audio(self, raw: bytes) -> list[s.Signal] | None:
        """None: audio is not for us, so each message is looked at."""
        return None

    def audio_read(self) -> AudioRead | None:
        """None: audio is not for us."""
        return None

    def present(self, staged: Staged, state: State) -> list[bytes]:
        """The message that carries out a dispatch of this link."""
        event = staged.event
        if isinstance(event, e.ConfigurationDispatched) and event.link == self._link:
            session = call_session(state.life.definition, event, self._tools)
            return [self._client.configure(session, event_id=f"{CONFIGURATION}{staged.seq}")]
        return super().present(staged, state)

    def media(self, signal: s.Signal) -> list[bytes]:
        """Nothing: what a caller says goes past us."""
        return []
