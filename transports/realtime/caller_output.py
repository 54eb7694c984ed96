"""What a caller learns of the session's responses: one after another, each part of one an item of its own.

Invariants: the caller sees one response at a time, whatever the provider does beside it: what begins meanwhile waits, with
what comes of it. A response that was cut is over: nothing of it is shown any more.
"""

import msgspec

from ...core import events as e
from ...core import signals as s
from .audio_run import AudioWritten
from .recent import REMEMBERED
from .server import ServerProtocol
from .server_output import Outcome

__all__ = ["CallerOutput"]


class _Shown(msgspec.Struct, kw_only=True):
    """A response that is open at the caller's."""

    mine: str  # its id there
    in_text: bool
    parts: set[tuple[str, int]] = set()  # (item, content index) that have an item there
    outcome: Outcome = Outcome()  # as the provider ended it


class _Waiting(msgspec.Struct, kw_only=True):
    """A response that began while another is shown."""

    signals: list[s.OutputAudio | s.OutputText] = []
    calls: list[e.ClientToolCalled] = []
    outcome: Outcome = Outcome()
    over: bool = False  # all of it is among the signals


class CallerOutput:
    """The output side of one caller's line. `asked` is the caller's response.create that nothing has answered."""

    def __init__(self, server: ServerProtocol) -> None:
        self.asked: s.AnswerRequested | None = None
        self._server = server
        self._shown: dict[str, _Shown] = {}  # by the provider's response
        self._waiting: dict[str, _Waiting] = {}
        self._mine: dict[str, str] = {}  # the provider's response -> the caller's, the last that were shown
        self._parts: dict[str, tuple[str, str, int]] = {}  # the caller's item -> the provider's response, item, content index

    # --- to the caller ---

    def begin(self, response: str) -> None:
        """Show a response: as the answer to what was asked, else as one that voice activity began."""
        if self.asked is None and self._server.active_response is not None:
            self._waiting[response] = _Waiting()
            return
        mine = self._server.start_response(self.asked)
        self._mine[response] = mine
        if len(self._mine) > REMEMBERED:
            del self._mine[next(iter(self._mine))]
        self._shown[response] = _Shown(mine=mine, in_text=self._server.settings(mine).output_modalities == ["text"])
        self.asked = None

    def shown(self, responses: list[str]) -> list[tuple[str, list[str]]]:
        """Those of the responses that the caller saw, in its ids, each with its items."""
        seen = [(response, self._mine[response]) for response in responses if response in self._mine]
        return [(mine, [item for item, part in self._parts.items() if part[0] == theirs]) for theirs, mine in seen]

    def media(self, signal: s.OutputAudio | s.OutputText) -> None:
        """Audio or words as deltas, in the modality of that response; the first one of a part opens its item."""
        shown = self._shown.get(signal.response)
        if shown is None:
            if (waiting := self._waiting.get(signal.response)) is not None:
                waiting.signals.append(signal)
            return
        server, part = self._server, (signal.item, signal.content_index)
        match signal:
            case s.OutputAudio(audio=audio):
                if shown.in_text:
                    return
                server.output_audio(shown.mine, audio, part)
            case s.OutputText(text=text, spoken=spoken):
                write = server.output_transcript if spoken and not shown.in_text else server.output_text
                write(shown.mine, text, part)
        if part not in shown.parts:
            shown.parts.add(part)
            self._parts[server.output_item(shown.mine, part) or ""] = (signal.response, *part)
            if len(self._parts) > REMEMBERED:
                del self._parts[next(iter(self._parts))]

    def audio_run(self, audio: s.OutputAudio) -> AudioWritten | None:
        """How more audio of this part is written; None if the caller is not being sent it as audio, or not yet."""
        shown, part = self._shown.get(audio.response), (audio.item, audio.content_index)
        if shown is None or shown.in_text or part not in shown.parts:
            return None
        return self._server.audio_run(shown.mine, part)

    def called(self, call: e.ClientToolCalled) -> None:
        """A call of a tool that the client has brought, as an item of the response."""
        if (shown := self._shown.get(call.response)) is not None:
            self._server.function_call(shown.mine, call.call_id, call.name, call.arguments)
        elif (waiting := self._waiting.get(call.response)) is not None:
            waiting.calls.append(call)

    def end(self, response: str, outcome: Outcome) -> None:
        """The provider made no more of it; some may still be on its way to the caller."""
        one = self._shown.get(response) or self._waiting.get(response)
        if one is not None:
            one.outcome = outcome

    def finish(self, response: str) -> None:
        """All of it was sent. Nothing for a response that the caller does not know."""
        if (waiting := self._waiting.get(response)) is not None:
            waiting.over = True
        elif (shown := self._shown.pop(response, None)) is not None:
            self._server.finish_response(shown.mine, shown.outcome)
            self._show_next()

    def cut(self, response: str, reason: str) -> None:
        """Nothing more of it is sent; one that still waits is never shown."""
        self._waiting.pop(response, None)
        if (shown := self._shown.pop(response, None)) is not None:
            self._server.finish_response(shown.mine, Outcome(status="cancelled", reason=reason, usage=shown.outcome.usage))
            self._show_next()

    def give_up(self) -> None:
        """Nobody answers what was asked: a completed, empty response."""
        if self.asked is not None:
            self._server.finish_response(self._server.start_response(self.asked))
            self.asked = None
            self._show_next()

    def _show_next(self) -> None:
        if not self._waiting or self._server.active_response is not None:
            return
        response = next(iter(self._waiting))
        waiting = self._waiting.pop(response)
        self.begin(response)
        for signal in waiting.signals:
            self.media(signal)
        for call in waiting.calls:
            self.called(call)
        self.end(response, waiting.outcome)
        if waiting.over:
            self.finish(response)

    # --- from the caller ---

    def cancelled(self, signal: s.CancelRequested) -> s.CancelRequested:
        """The caller's cancel, in the provider's ids. What was asked and not begun ends here and now."""
        if self.asked is not None and signal.response in ("", self.asked.response):
            self._server.cancel_response(self.asked.response)
            self.asked = None
            self._show_next()
            return s.CancelRequested(event_id=signal.event_id)
        named = next((theirs for theirs, shown in self._shown.items() if shown.mine == signal.response), "")
        return s.CancelRequested(event_id=signal.event_id, response=named)

    def played(self, signal: s.PlayoutReported) -> s.PlayoutReported:
        """The caller's report, in the provider's ids."""
        response, item, index = self._parts.get(signal.item, ("", signal.item, signal.content_index))
        return msgspec.structs.replace(signal, response=response, item=item, content_index=index)
