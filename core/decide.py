"""Decisions on what arrived: (state, signal) -> events. Live only; replay applies what was decided then.

Each function is a generator: an event it yields is recorded and applied before it goes on, so what follows is decided on
the state that includes it.
"""

from collections.abc import Iterator
from typing import Any

from . import barging
from . import commands as c
from . import events as e
from . import signals as s
from .calling import is_foreign, overridden, typed, typed_turn
from .hearing import all_delivered, caller_hears, plays_itself, response_ended
from .playing import Heads
from .saying import refused, request, spoken, take_back
from .state import State
from .states import SayState
from .tool_calls import answer_refused, called, is_held

__all__ = [
    "CONFIGURATION",
    "applicable",
    "begin_ending",
    "decide",
    "decide_command",
    "end_turns",
]

CONFIGURATION = "configuration_"  # event_id of our session.updates: this and the seq of their dispatch


def decide(state: State, heads: Heads, link: str, signal: s.Signal, now_ns: int) -> Iterator[e.Event]:
    """What a message of `link` means for the session."""
    match signal:
        case s.SpeechBegan():
            yield from barging.began(state, heads, signal, now_ns)
        case s.SpeechLasted():
            yield e.SpeechSustained(link=link, ms=signal.ms)
            yield from barging.interrupt(state, heads, now_ns)
        case s.TranscriptCompleted() if signal.item not in state.turns.closed:
            yield e.InputTranscribed(item=signal.item, transcript=signal.transcript)
            yield from barging.transcribed(state, heads, signal.item, signal.transcript)
            yield from end_turns(state, heads)
        case s.ProviderConfigured() if not state.links.provider_ready:
            yield e.LinkReady(link=link, session=signal.session)
            yield from _updates_applied(state)
        case s.ProviderConfigured() if state.links.unconfirmed:
            yield e.ConfigurationConfirmed(link=link, session=signal.session if state.call.id else {})
            yield from _updates_applied(state)
        case s.ProviderConfigured() if state.call.id:
            yield from overridden(state, link, signal.session)
        case s.ItemAdded() if state.call.id and link == state.links.provider:
            yield from typed(state, link, signal)
        case s.SpeechCeased() | s.DigitDialled() | s.AudioCommitted() | s.TranscriptCompleted() | s.TranscriptFailed():
            yield from _user_spoke(state, heads, signal)
        case s.ResponseBegan() | s.ResponseFinished() | s.ResponseRefused() | s.ProviderTruncated():
            yield from _provider_answered(state, heads, link, signal, now_ns)
        case s.CancelRequested() | s.OutputCleared() | s.PlayoutReported():
            yield from caller_hears(state, heads, link, signal)
        case s.FunctionCalled() if signal.call_id not in state.tools.model_calls:
            yield from called(state, signal)
        case s.ProviderError():
            yield e.PeerFaulted(link=link, code=signal.code, message=signal.message)
            if state.links.provider_ready and (signal.event_id or "").startswith(CONFIGURATION):
                yield e.ConfigurationRefused(link=link, code=signal.code, message=signal.message)
                for index in list(state.links.updates):
                    yield e.UpdateRefused(index=index, code=signal.code, message=signal.message)
            if link == state.links.voice:
                return
            # Before it is ready a provider has been told nothing but our configuration: it will not take it, so it never is.
            if signal.code == "session_expired" or not state.links.provider_ready:
                yield from begin_ending(state, e.SessionEnding(reason="provider_lost", code=signal.code, detail=signal.message))
        case s.ProviderBuffer() if signal.response in state.playout.responses or state.call.id:
            yield from plays_itself(state, heads, link, signal, now_ns)
        case s.CallerConfigured() | s.ItemCreated() | s.CommitRequested() | s.AudioCleared() | s.AnswerRequested():
            yield from _caller_asked(state, link, signal)


def _user_spoke(state: State, heads: Heads, signal: s.Signal) -> Iterator[e.Event]:
    match signal:
        case s.DigitDialled():
            yield e.DigitPressed(digit=signal.digit)
            turn = state.turns.count + 1
            yield e.TurnEnded(
                turn=turn, item=f"dtmf_{turn}", text=signal.digit, channel="dtmf", transcript_status="none"
            )
        case s.SpeechCeased():
            yield e.SpeechStopped(item=signal.item, audio_end_ms=signal.audio_end_ms)
        case s.AudioCommitted() if _is_new(state, signal.item):
            yield e.InputCommitted(item=signal.item, previous_item=signal.previous_item)
            if state.life.definition.transcription is None:
                yield e.InputTranscribed(item=signal.item, transcript="", status="none")
            yield from end_turns(state, heads)
        case s.TranscriptCompleted():
            yield e.TranscriptArrivedLate(item=signal.item, transcript=signal.transcript)
        case s.TranscriptFailed() if signal.item not in state.turns.closed:
            yield e.InputTranscribed(item=signal.item, transcript="", status="failed")
            yield from end_turns(state, heads)


def _is_new(state: State, item: str) -> bool:
    known = state.turns.open.get(item)
    return item not in state.turns.closed and (known is None or known.committed_ns is None)


def end_turns(state: State, heads: Heads) -> Iterator[e.Event]:
    """End every input whose words are known and before which none is still waiting for its own."""
    for head in state.turns.heads():
        if head.status is None:
            return
        speech = state.floor.speech.get(head.item)
        interrupted = speech.cut if speech else []
        if reason := barging.no_turn(state, head):
            yield from barging.discard(state, heads, head.item, reason)
            continue
        # What it cut is settled first: a handler that is given the turn knows how its say ended.
        yield from barging.end_cut(state, heads, head.item)
        yield from barging.settle_interrupted(state, head.item)
        yield e.TurnEnded(
            turn=state.turns.count + 1,
            item=head.item,
            text=barging.text_of(state, head),
            transcript=head.transcript if head.status == "completed" else "",
            start_ms=head.start_ms,
            end_ms=head.end_ms,
            transcript_status=head.status,
            interrupted=interrupted,
        )


def _provider_answered(state: State, heads: Heads, link: str, signal: s.Signal, now_ns: int) -> Iterator[e.Event]:
    match signal:
        case s.ResponseBegan() if not _is_known(state, signal.response):
            yield _begun(state, link, signal)
            yield from typed_turn(state, signal)
        case s.ResponseFinished() if _is_running(state, signal.response):
            yield response_ended(signal)
            yield from spoken(state, heads, signal.response)
            yield from all_delivered(state, heads, signal.response, now_ns)
        case s.ResponseRefused() if signal.say in state.delivery.says:
            say = state.delivery.says[signal.say]
            if say.state is SayState.DISPATCHED and say.attempt == signal.attempt:
                yield from refused(state, say, signal.code, signal.message)
        case s.ResponseRefused(say=None):
            yield answer_refused(link, signal)
        case s.ResponseRefused():
            yield e.PeerFaulted(link=link, code=signal.code, message=signal.message)
        case s.ProviderTruncated():
            yield e.ItemTruncated(
                link=link, item=signal.item, content_index=signal.content_index, audio_end_ms=signal.audio_end_ms
            )


def _is_known(state: State, response: str) -> bool:
    return response in state.playout.responses or response in state.playout.unheard


def _begun(state: State, link: str, signal: s.ResponseBegan) -> e.ResponseStarted:
    """A response begins. One for a say that does not wait for it any more is dead: it is cancelled on arrival."""
    say = state.delivery.says.get(signal.say or "")
    ours = say is not None and say.state is SayState.DISPATCHED and say.attempt == signal.attempt
    return e.ResponseStarted(
        response=signal.response,
        say=signal.say if ours else None,
        attempt=signal.attempt if ours else 0,
        in_band=signal.in_band,
        dead=(signal.say is not None and not ours) or is_foreign(state, signal),
        link=link,
    )


def _is_running(state: State, response: str) -> bool:
    sounding = state.playout.responses.get(response)
    return response in state.playout.unheard or (sounding is not None and sounding.ended is None)


def _caller_asked(state: State, link: str, signal: s.Signal) -> Iterator[e.Event]:
    match signal:
        case s.CallerConfigured():
            if settings := applicable(signal.changes, client_tools=state.life.definition.client_tools):
                yield e.SettingsAsked(link=link, settings=settings)
        case s.ItemCreated():
            yield e.ItemSeeded(link=link, item=signal.item, role=signal.role, text=signal.text, raw=signal.raw)
        case s.CommitRequested():
            yield e.InputCommitAsked(link=link)
        case s.AudioCleared() if link in state.links.callers:
            yield e.InputClearAsked(link=link)
        case s.AnswerRequested():
            seeded = state.turns.seeded
            yield e.AnswerAsked(link=link, event_id=signal.event_id, request=signal.request, held=is_held(state))
            if text := "\n".join(text for _, text in seeded if text.strip()):
                yield e.TurnEnded(
                    turn=state.turns.count + 1, item=seeded[-1][0], text=text, channel="text", transcript_status="none"
                )


def applicable(changes: dict[str, Any], *, client_tools: bool = False) -> dict[str, Any]:
    """The part of a caller's session.update that reaches the provider: modalities, formats, voice, turn detection timing.

    client_tools: the definition's; then its instructions, tools and tool_choice, too.
    """
    audio = changes.get("audio") or {}
    input_, output = audio.get("input") or {}, audio.get("output") or {}
    asked = {
        "output_modalities": changes.get("output_modalities"),
        "input_format": input_.get("format"),
        "output_format": output.get("format"),
        "voice": output.get("voice"),
    }
    settings = {key: value for key, value in asked.items() if value is not None}
    if client_tools:
        theirs = {"instructions": "instructions", "client_tools": "tools", "tool_choice": "tool_choice"}
        settings |= {key: changes[name] for key, name in theirs.items() if changes.get(name) is not None}
    if "turn_detection" in input_:  # null is a choice: the caller commits its audio itself
        settings["turn_detection"] = input_["turn_detection"]
    return settings


def decide_command(state: State, heads: Heads, index: int, command: c.Command, site: c.Site) -> Iterator[e.Event]:
    """What the handler asked for. Says and calls take their ids from the index: the same on every attempt."""
    match command:
        case c.Input():
            yield e.InputRequested(index=index, command=command, site=site)
        case c.Say() if command.key and command.key in state.delivery.keys:
            yield e.SayRepeated(index=index, say=state.delivery.keys[command.key], command=command, site=site)
        case c.Say():
            asked = e.SayRequested(index=index, say=f"say_{index}", command=command, site=site)
            yield from request(state, heads, asked)
        case c.CancelSay():
            yield e.SayCancelRequested(index=index, command=command, site=site)
            yield from take_back(state, heads, command.say, "cancelled")
        case c.Call():
            yield e.CallRequested(index=index, call=f"call_{index}", command=command, site=site)
        case c.Step():
            yield e.StepRequested(index=index, step=f"step_{index}", command=command, site=site)
        case c.Stream():
            yield e.StreamRequested(index=index, stream=f"stream_{index}", command=command, site=site)
        case c.AwaitSignal():
            yield e.SignalAwaited(index=index, command=command, site=site)
        case c.Patch():
            yield e.PatchMarked(index=index, command=command, site=site)
        case c.Update():
            yield e.UpdateRequested(index=index, command=command, site=site)
            yield from _update(state, index, command)
        case c.End():
            yield e.EndRequested(index=index, command=command, site=site)
            yield from begin_ending(state, e.SessionEnding(reason=command.reason, drain=command.drain))
        case c.Abandon():
            yield e.CommandAbandoned(index=index, command=command.command)
        case c.Return():
            yield e.HandlerReturned(index=index)
            reason = "completed" if state.links.gone_ns is None else state.links.left
            yield from begin_ending(state, e.SessionEnding(reason=reason, drain=True))
        case c.Fail():
            yield e.HandlerFailed(
                index=index, type_name=command.type_name, message=command.message, traceback=command.frames
            )
            detail = f"{command.type_name}: {command.message}"
            yield from begin_ending(state, e.SessionEnding(reason="handler_failed", code="TL106", detail=detail))


def _update(state: State, index: int, asked: c.Update) -> Iterator[e.Event]:
    """Change the settings, unless the voice would change after it was heard (the provider locks it then)."""
    voice = state.links.settings.get("voice") or state.life.definition.voice
    if asked.voice and asked.voice != voice and state.playout.voice_heard:
        yield e.UpdateRefused(index=index, code="voice_locked", message=f"the caller has heard {voice or 'the default voice'}")
        return
    settings = {key: value for key in ("instructions", "tools", "voice") if (value := getattr(asked, key)) is not None}
    yield e.SettingsAsked(link="", settings=settings)


def _updates_applied(state: State) -> Iterator[e.Event]:
    """What the handler changed is in force when no session.update is owed or on its way."""
    if state.links.unconfirmed == 0 and state.links.configuration_owed is None:
        for index in list(state.links.updates):
            yield e.UpdateApplied(index=index)
        if state.links.switch:
            yield e.AnswersSwitched(answers=state.links.switch)


def begin_ending(state: State, ending: e.SessionEnding) -> Iterator[e.Event]:
    """End once; while a drain is under way only a harder end is a new fact, and always that nobody runs the handler any more."""
    before = state.life.ending
    lost = ending.reason == e.NODE_LOST
    if before is None or (before.drain and not ending.drain) or (lost and before.reason != e.NODE_LOST):
        yield ending
