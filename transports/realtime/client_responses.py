"""The responses a client sees on one connection: which of our creates began them, what they said, when they are over.

Invariants: signals of a response start with ResponseBegan and end with ResponseFinished, whatever order, gap or excess the
wire shows; nothing of a finished response gets out; a tool is called only with whole arguments, once.
"""

from typing import Any

import msgspec
from msgspec import UNSET

from ...core.signals import FunctionCalled, OutputAudio, OutputText, ResponseBegan, ResponseFinished, Signal
from .audio import AudioFormat
from .audio_form import AudioReader
from .audio_run import AudioRead
from .client_parts import Parts
from .durations import decoded_size, format_declared
from .message_objects import Item, ResponseView, StatusDetails
from .messages import (
    FunctionCallDone,
    OutputAudioDelta,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    OutputTranscriptDelta,
    OutputTranscriptDone,
    ResponseDone,
)
from .recent import Recent
from .say_form import SAY_KEY

__all__ = ["Create", "Creates", "ResponseTracker"]


class Create(msgspec.Struct, frozen=True, kw_only=True):
    """A response.create of ours that nothing has answered yet."""

    event_id: str
    say: str | None
    attempt: int
    in_band: bool


class Creates:
    """Our response.create events that await an answer, oldest first."""

    def __init__(self) -> None:
        self._pending: dict[str, Create] = {}

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._pending

    def add(self, create: Create) -> None:
        """Remember a create that is about to be sent."""
        self._pending[create.event_id] = create

    def begun(self, metadata: dict[str, Any] | None) -> Create | None:
        """The create of a say that this response answers, by its echoed metadata; it is pending no longer."""
        say = (metadata or {}).get(SAY_KEY)
        found = next((c for c in self._pending.values() if say is not None and c.say == say), None)
        return None if found is None else self._pending.pop(found.event_id)

    def refused(self, event_id: str | None, code: str) -> Create | None:
        """The create that this error answers: by the echoed event_id, else the only say that its code can mean."""
        if event_id is None and code == "conversation_already_has_active_response":
            says = [c.event_id for c in self._pending.values() if c.say is not None]
            event_id = says[0] if len(says) == 1 else None
        return None if event_id is None else self._pending.pop(event_id, None)


class _Response:
    """What has been seen of one open response."""

    def __init__(self, form: AudioFormat) -> None:
        self.parts = Parts(form)
        self.calls: dict[str, FunctionCalled | None] = {}  # item → its call, held until the item is whole; None: already out


class ResponseTracker:
    """All responses of one connection, from response events to signals. `session` is the session's output format."""

    def __init__(self) -> None:
        self._open: dict[str, _Response] = {}
        self._finished = Recent()

    # Public methods for receiving events.

    def receive_created(self, view: ResponseView, create: Create | None, session: AudioFormat) -> list[Signal]:
        """response.created; `create` is ours that it answers. A response known already says nothing new."""
        if view.id in self._open or view.id in self._finished:
            return []
        return [self._begin(view, create, session)]

    def receive_audio(
        self, view: OutputAudioDelta, audio: bytes, session: AudioFormat, payload: bytes | None = None
    ) -> list[Signal]:
        """A piece of audio, as base64 text that has been checked; `payload` if it has been decoded."""
        response, signals = self._of(view.response_id, session)
        if response is not None:
            size = decoded_size(audio) if payload is None else len(payload)
            signals.append(
                OutputAudio(
                    response=view.response_id,
                    item=view.item_id,
                    content_index=view.content_index,
                    audio=audio,
                    ms=response.parts.add_audio(view, size),
                    payload=payload,
                )
            )
        return signals

    def audio_run(self, reader: AudioReader[OutputAudioDelta]) -> AudioRead | None:
        """How more audio of the part is read that `reader` has read of last; None if its response is over."""
        view = reader.view
        response = None if view is None else self._open.get(view.response_id)
        if view is None or response is None:
            return None
        return AudioRead(reader, response.parts.of(view), response.parts.bytes_per_ms)

    def receive_text(self, view: OutputTranscriptDelta | OutputTextDelta, session: AudioFormat) -> list[Signal]:
        """A piece of transcript or of text."""
        response, signals = self._of(view.response_id, session)
        if response is not None:
            spoken = isinstance(view, OutputTranscriptDelta)
            response.parts.add_words(view, view.delta, spoken=spoken)
            signals.append(
                OutputText(
                    response=view.response_id, item=view.item_id, content_index=view.content_index, text=view.delta, spoken=spoken
                )
            )
        return signals

    def receive_text_done(self, view: OutputTranscriptDone | OutputTextDone) -> list[Signal]:
        """The whole text of a part: it counts, whatever deltas were seen. No signal: it says nothing new."""
        response = self._open.get(view.response_id)
        match view:
            case _ if response is None:
                pass
            case OutputTranscriptDone(transcript=text):
                response.parts.set_words(view, text, spoken=True)
            case OutputTextDone(text=text):
                response.parts.set_words(view, text, spoken=False)
        return []

    def receive_arguments(self, view: FunctionCallDone, session: AudioFormat) -> list[Signal]:
        """All arguments of a call. They are held back until the item is known to be whole: a cut response cuts them too."""
        response, signals = self._of(view.response_id, session)
        if response is not None and view.item_id not in response.calls:
            response.calls[view.item_id] = FunctionCalled(
                response=view.response_id,
                item=view.item_id,
                call_id=view.call_id or "",
                name=view.name or "",
                arguments=view.arguments,
                output_index=view.output_index,
            )
        return signals

    def receive_item(self, view: OutputItemAdded | OutputItemDone, session: AudioFormat) -> list[Signal]:
        """An output item opened or closed."""
        response, signals = self._of(view.response_id, session)
        if response is not None and isinstance(view, OutputItemDone):
            signals += self._call(response, view.response_id, view.item, view.output_index)
        return signals

    def receive_done(self, view: ResponseDone, create: Create | None, session: AudioFormat) -> list[Signal]:
        """response.done: calls not announced yet, then the end. A second one is ignored."""
        done = view.response
        signals: list[Signal] = []
        if done.id in self._finished:
            return signals
        if done.id not in self._open:
            signals.append(self._begin(done, create, session))
        response = self._open.pop(done.id)
        self._finished.add(done.id)
        for index, item in enumerate(done.output or ()):
            signals += self._call(response, done.id, item, index)
        details = done.status_details if isinstance(done.status_details, StatusDetails) else None
        error = None if details is None else details.error
        signals.append(
            ResponseFinished(
                response=done.id,
                status=done.status or "completed",
                code=((error and (error.code or error.type)) or (details and details.reason) or ""),
                message=((error and error.message) or ""),
                generated_ms=response.parts.generated_ms,
                transcript=response.parts.transcript(done.output),
                usage=done.usage,
                parts=response.parts.generated(done.output),
            )
        )
        return signals

    # Private methods.

    def _begin(self, view: ResponseView, create: Create | None, session: AudioFormat) -> ResponseBegan:
        output = (view.audio or {}).get("output")
        declared = output.get("format") if isinstance(output, dict) else None
        self._open[view.id] = _Response(session if declared is None else format_declared(declared))
        in_band = view.conversation_id is not None
        if create is not None and view.conversation_id is UNSET:
            in_band = create.in_band
        return ResponseBegan(
            response=view.id,
            say=None if create is None else create.say,
            attempt=0 if create is None else create.attempt,
            in_band=in_band,
        )

    def _of(self, response_id: str, session: AudioFormat) -> tuple[_Response | None, list[Signal]]:
        """The open response, announced first if its created was missed; None once it is over."""
        if (response := self._open.get(response_id)) is not None:
            return response, []
        if response_id in self._finished:
            return None, []
        began = self._begin(ResponseView(id=response_id), None, session)
        return self._open[response_id], [began]

    def _call(self, response: _Response, response_id: str, item: Item, index: int) -> list[Signal]:
        if item.type != "function_call" or item.id is None or item.status in ("incomplete", "in_progress"):
            return []
        held = response.calls.get(item.id, FunctionCalled(response=response_id, item=item.id, call_id="", name="", arguments=""))
        response.calls[item.id] = None
        if held is None:
            return []
        return [
            FunctionCalled(
                response=response_id,
                item=item.id,
                call_id=held.call_id or item.call_id or "",
                name=held.name or item.name or "",
                arguments=held.arguments or item.arguments or "",
                output_index=index,
            )
        ]

