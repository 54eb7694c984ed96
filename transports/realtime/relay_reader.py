"""What passes through a proxied session, read: the signals of both sides. Pure, and without any say in what passes.

A caller's messages mean here only what tells of the session: its audio, what it heard, what it asked for. Whether a message is
valid is its provider's to judge.
"""

from typing import TypeVar

from ...core import signals as s
from ...core.errors import ProtocolError
from .audio import PCM16, duration_ms
from .client import ClientProtocol
from .client_messages import AudioAppend, ItemCreate, ItemTruncate, OutputBufferClear, ResponseCancel, ResponseCreate
from .durations import decoded_size, session_format
from .recent import REMEMBERED
from .wire import Message, audio_text

__all__ = ["RelayReader"]

T = TypeVar("T")


class RelayReader:
    """Reads one session's messages, in the order in which they passed."""

    def __init__(self) -> None:
        self._provider = ClientProtocol()
        self._input = PCM16
        self._responses: dict[str, str] = {}  # the last items that sounded -> their responses
        self._outputs: dict[str, s.ItemCreated] = {}  # by call: its caller may answer before the call's item is whole

    def from_provider(self, message: Message) -> list[s.Signal]:
        """What a provider's message means; nothing if it cannot be used."""
        try:
            signals = self._provider.receive(message)
        except ProtocolError:
            return []
        for signal in list(signals):
            match signal:
                case s.FunctionCalled() if signal.call_id in self._outputs:
                    signals.append(self._outputs.pop(signal.call_id))
                case s.ProviderGreeted() | s.ProviderConfigured():
                    self._input = session_format(signal.session, "input")
                case s.OutputAudio() | s.OutputText() if signal.item not in self._responses:
                    _remember(self._responses, signal.item, signal.response)
        return signals

    def from_caller(self, message: Message) -> list[s.Signal]:
        """What a caller's message means; nothing if it cannot be used."""
        match message.view:
            case AudioAppend():
                return self._audio(message)
            case ItemTruncate() as cut:
                return [
                    s.PlayoutReported(
                        response=self._responses.get(cut.item_id, ""),
                        item=cut.item_id,
                        content_index=cut.content_index,
                        played_ms=max(0, cut.audio_end_ms),
                        final=True,
                        halted=True,
                    )
                ]
            case OutputBufferClear() as clear:
                return [s.OutputCleared(event_id=clear.event_id)]
            case ResponseCancel() as cancel:
                return [s.CancelRequested(event_id=cancel.event_id, response=cancel.response_id or "")]
            case ResponseCreate() as create:
                request = create.response or {}
                beside = request.get("conversation") == "none"
                return [s.AnswerRequested(event_id=create.event_id, request=request, out_of_band=beside)]
            case ItemCreate(item={"type": "function_call_output", "call_id": str(call_id), "output": str(output)} as raw):
                given = s.ItemCreated(item=call_id, kind="function_call_output", role=None, text=output, raw=raw)
                _remember(self._outputs, call_id, given)
                return [given]
        return []

    def _audio(self, message: Message) -> list[s.Signal]:
        try:
            text = audio_text(message)
        except ProtocolError:
            return []
        return [s.AudioAppended(audio=text, ms=duration_ms(decoded_size(text), self._input))]


def _remember(known: dict[str, T], key: str, value: T) -> None:
    known[key] = value
    if len(known) > REMEMBERED:
        del known[next(iter(known))]
