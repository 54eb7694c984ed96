"""Our end of a provider's line whose audio comes by RTP, through this process: we are the provider's WebRTC client.

What the provider tells of its output buffer is about its way to us, and not about what a caller has heard: the audio passes the
mouth here, which knows better. So it is no signal. It says whose audio a cut must stop at the provider: cancelling stops only
what is still being generated, and that is mostly over long before it has sounded.
"""

from typing import Any

from ...core import events as e
from ...core import signals as s
from ...core.core import Staged
from ...core.state import State
from .provider_leg import ProviderLeg
from .recent import Recent
from .wire import Message, encode_event

__all__ = ["RtpProviderLeg"]


class RtpProviderLeg(ProviderLeg):
    """One WebRTC connection to a provider. `link` is its name in the log, `tools` what the model may call."""

    def __init__(self, link: str, tools: list[dict[str, Any]]) -> None:
        super().__init__(link, tools)
        self._playing = ""
        self._cancelled = Recent()
        self._owed: list[bytes] = []

    def receive(self, message: Message) -> list[s.Signal]:
        """What a message means. Raises ProtocolError for one that cannot be used."""
        signals = super().receive(message)
        for signal in signals:
            if isinstance(signal, s.ProviderBuffer):
                self._buffer_told(signal)
        return [signal for signal in signals if not isinstance(signal, s.ProviderBuffer)]

    def _buffer_told(self, told: s.ProviderBuffer) -> None:
        if told.state != "started":
            self._playing = "" if self._playing == told.response else self._playing
            return
        self._playing = told.response
        if told.response in self._cancelled:  # it was generated already, and had only waited for its turn
            self._owed.append(encode_event("output_audio_buffer.clear", f"clear_{told.response}"))

    def owed(self) -> list[bytes]:
        """What stops a response that was cut before it began to play."""
        owed, self._owed = self._owed, []
        return owed

    def present(self, staged: Staged, state: State) -> list[bytes]:
        """The messages that carry out a dispatch of this link."""
        messages = super().present(staged, state)
        if messages and isinstance(staged.event, e.CancelDispatched):
            self._cancelled.add(staged.event.response)
            if staged.event.response == self._playing:
                messages.append(encode_event("output_audio_buffer.clear", f"clear_{staged.seq}"))
        return messages
