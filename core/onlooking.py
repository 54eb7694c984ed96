"""Facts of a proxied session: what a caller and a provider that speak with each other past us have shown. Live only.

Nothing here asks anything of either: there are no dispatches but those that were the caller's own and have passed. The model
answers, so turns, responses and playouts are those of any session in which it does. What was heard is told by the caller's
truncations, else by the play clock.
"""

from collections.abc import Iterator

from . import events as e
from . import signals as s
from .due import TRANSCRIPT_TIMEOUT_S
from .hearing import all_delivered, caller_hears, plays_itself, response_ended
from .playing import Heads, cut, ends_ns
from .saying import end_playout
from .state import State
from .tool_calls import requested

__all__ = ["observe", "observed_deadline", "observed_time"]

_S = 1_000_000_000


def observe(state: State, heads: Heads, link: str, signal: s.Signal, now_ns: int) -> Iterator[e.Event]:
    """What a message that passed has shown. link: whose it was."""
    match signal:
        case s.ProviderGreeted() | s.ProviderConfigured() if not state.links.provider_ready:
            yield e.LinkReady(link=link, session=signal.session)
        case s.ProviderConfigured():
            yield e.ConfigurationConfirmed(link=link, session=signal.session)
        case s.SpeechBegan() | s.SpeechCeased() | s.AudioCommitted() | s.TranscriptCompleted() | s.TranscriptFailed():
            yield from _spoke(state, heads, signal)
        case s.ResponseBegan() | s.OutputAudio() | s.ResponseFinished():
            yield from _answered(state, heads, link, signal, now_ns)
        case s.ProviderBuffer() if signal.response in state.playout.responses:
            yield from plays_itself(state, heads, link, signal, now_ns)
        case s.ProviderTruncated():
            yield e.ItemTruncated(
                link=link, item=signal.item, content_index=signal.content_index, audio_end_ms=signal.audio_end_ms
            )
        case s.ProviderError():
            yield e.PeerFaulted(link=link, code=signal.code, message=signal.message)
        case s.DigitDialled():
            turn = state.turns.count + 1
            yield e.DigitPressed(digit=signal.digit)
            yield e.TurnEnded(
                turn=turn, item=f"dtmf_{turn}", text=signal.digit, channel="dtmf", transcript_status="none"
            )
        case s.ItemAdded() if signal.kind == "message" and signal.text and not signal.has_audio:
            yield e.ItemSeeded(link=link, item=signal.item, role=signal.role, text=signal.text)
        case s.FunctionCalled() if signal.call_id not in state.tools.model_calls:
            yield requested(signal, allowed=True)
        case s.CancelRequested() | s.OutputCleared() | s.PlayoutReported():
            yield from caller_hears(state, heads, link, signal)
        case s.AnswerRequested() | s.ItemCreated():
            yield from _asked(state, link, signal)


def _spoke(state: State, heads: Heads, signal: s.Signal) -> Iterator[e.Event]:
    match signal:
        case s.SpeechBegan():
            yield e.SpeechStarted(item=signal.item, audio_start_ms=signal.audio_start_ms)
            if state.call.effective.get("interrupt_response") is not False:
                for response, one in list(state.playout.sounding().items()):
                    if one.started_ns is not None:  # a standard client stops playing now
                        yield from cut(state, heads, response, "speech", signal.item)
        case s.SpeechCeased():
            yield e.SpeechStopped(item=signal.item, audio_end_ms=signal.audio_end_ms)
        case s.AudioCommitted() if signal.item not in state.turns.closed:
            yield e.InputCommitted(item=signal.item, previous_item=signal.previous_item)
            if state.call.effective.get("transcription", "") is None:  # "": what is in force is not known
                yield e.InputTranscribed(item=signal.item, transcript="", status="none")
            yield from _end_turns(state)
        case s.TranscriptCompleted() if signal.item in state.turns.closed:
            yield e.TranscriptArrivedLate(item=signal.item, transcript=signal.transcript)
        case s.TranscriptCompleted():
            yield e.InputTranscribed(item=signal.item, transcript=signal.transcript)
            yield from _end_turns(state)
        case s.TranscriptFailed() if signal.item not in state.turns.closed:
            yield e.InputTranscribed(item=signal.item, transcript="", status="failed")
            yield from _end_turns(state)


def _end_turns(state: State) -> Iterator[e.Event]:
    """End every input whose words are known and before which none is still waiting for its own."""
    for head in state.turns.heads():
        if head.status is None:
            return
        speech = state.floor.speech.get(head.item)
        yield e.TurnEnded(
            turn=state.turns.count + 1,
            item=head.item,
            text=head.transcript,
            transcript=head.transcript if head.status == "completed" else "",
            start_ms=head.start_ms,
            end_ms=head.end_ms,
            transcript_status=head.status,
            interrupted=speech.cut if speech else [],
        )


def _answered(state: State, heads: Heads, link: str, signal: s.Signal, now_ns: int) -> Iterator[e.Event]:
    match signal:
        case s.ResponseBegan() if signal.response not in state.playout.responses:
            if signal.in_band:
                yield from _typed_turn(state)
            yield e.ResponseStarted(response=signal.response, in_band=signal.in_band, link=link)
        case s.OutputAudio():
            one = state.playout.responses.get(signal.response)
            if one is not None and one.started_ns is None and one.cut is None:
                yield e.AudioStarted(response=signal.response)
        case s.ResponseFinished():
            one = state.playout.responses.get(signal.response)
            if (one is None and signal.response not in state.playout.unheard) or (one is not None and one.ended):
                return
            yield response_ended(signal)
            yield from all_delivered(state, heads, signal.response, now_ns)


def _typed_turn(state: State) -> Iterator[e.Event]:
    """What was typed is a turn once it is answered."""
    seeded = state.turns.seeded
    if text := "\n".join(text for _, text in seeded if text.strip()):
        yield e.TurnEnded(
            turn=state.turns.count + 1, item=seeded[-1][0], text=text, channel="text", transcript_status="none"
        )


def _asked(state: State, link: str, signal: s.Signal) -> Iterator[e.Event]:
    """What the caller asked of its provider, and what has gone there by that."""
    provider = state.links.provider
    if provider is None:
        return
    match signal:
        case s.AnswerRequested():
            yield e.AnswerAsked(link=link, event_id=signal.event_id, request=signal.request)
            yield e.AnswerDispatched(link=provider, request=signal.request)
        case s.ItemCreated(kind="function_call_output", item=call_id) if call_id in state.tools.model_calls:
            yield e.ToolAnswered(call_id=call_id, output=signal.text)
            yield e.ToolOutputDispatched(link=provider, call_id=call_id, output=signal.text)


# --- time ---


def observed_time(state: State, heads: Heads, now_ns: int) -> Iterator[Iterator[e.Event]]:
    """What has come to pass because time went by: words that did not come, playouts that are over. A group for each fact."""
    for head in state.turns.heads():
        if head.status is None and now_ns >= _words_due_ns(head.committed_ns):
            yield _wordless(state, head.item)
    for response, one in list(state.playout.responses.items()):
        if one.ended and one.delivered is None:
            yield all_delivered(state, heads, response, now_ns)
        over_ns = ends_ns(one)
        if over_ns is not None and now_ns >= over_ns:
            yield end_playout(state, heads, response)


def _wordless(state: State, item: str) -> Iterator[e.Event]:
    yield e.InputTranscribed(item=item, transcript="", status="late")
    yield from _end_turns(state)


def observed_deadline(state: State) -> int | None:
    """When `observed_time` next has something to say (ns), or None."""
    words = (_words_due_ns(head.committed_ns) for head in state.turns.heads() if head.status is None)
    over = (over_ns for one in state.playout.responses.values() if (over_ns := ends_ns(one)) is not None)
    return min((*words, *over), default=None)


def _words_due_ns(committed_ns: int | None) -> int:
    return (committed_ns or 0) + TRANSCRIPT_TIMEOUT_S * _S
