"""Our end of a provider's line: its messages become signals, our dispatches its messages."""

from typing import Any

from ...core import events as e
from ...core import signals as s
from ...core.core import Staged
from ...core.decide import CONFIGURATION
from ...core.state import State
from ...core.tool_calls import ANSWER
from .client_leg import ClientLeg
from .session_wire import modalities, provider_session

__all__ = ["ProviderLeg"]


class ProviderLeg(ClientLeg):
    """One connection to a provider. `link` is its name in the log, `tools` what the model may call."""

    def __init__(self, link: str, tools: list[dict[str, Any]]) -> None:
        super().__init__(link)
        self._tools = tools

    def present(self, staged: Staged, state: State) -> list[bytes]:
        """The message that carries out a dispatch of this link."""
        event = staged.event
        if getattr(event, "link", None) != self._link:
            return []
        client = self._client
        match event:
            case e.ConfigurationDispatched():
                session = provider_session(state.life.definition, event, self._tools)
                return [client.configure(session, event_id=f"{CONFIGURATION}{staged.seq}")]
            case e.SayDispatched():
                return [self._speak(event, state)]
            case e.ItemForwarded():
                return [client.create_item(event.raw, previous=event.previous or None)]
            case e.AnswerDispatched():
                return [client.create_response(event.request or None, f"{ANSWER}{staged.seq}")]
            case e.InputCommitDispatched():
                return [client.commit()]
            case e.InputClearDispatched():
                return [client.clear()]
            case e.CancelDispatched():
                return [client.cancel(event.response, event_id=f"cancel_{staged.seq}")]
            case e.OutputClearDispatched():
                return [client.clear_output(event_id=f"clear_{staged.seq}")]
            case e.TruncateDispatched(item=item, content_index=index, audio_end_ms=end):
                return [client.truncate(item, index, end, event_id=f"truncate_{staged.seq}")]
            case e.ItemDeleteDispatched():
                return [client.delete_item(event.item, event_id=f"delete_{staged.seq}")]
            case e.ToolOutputDispatched():
                return [client.function_output(event.call_id, event.output)]
        return []

    def _speak(self, event: e.SayDispatched, state: State) -> bytes:
        definition, settings = state.life.definition, state.links.settings
        voice = settings.get("voice") or definition.voice
        mode = state.delivery.says[event.say].requested.command.mode or definition.say_mode
        return self._client.speak(
            event.say,
            event.attempt,
            event.text,
            conversation="auto" if mode == "in_band" else "none",
            output={"voice": voice} if voice else None,
            modalities=modalities(definition, settings),
        )

    def media(self, signal: s.Signal) -> list[bytes]:
        """The caller's audio as input_audio_buffer.append."""
        return [self._client.append_audio(signal.audio)] if isinstance(signal, s.AudioAppended) else []
