"""Decisions on speech while something sounds: whether it cuts it short, and whether it was a turn at all. Live only.

In the order that a cut needs: the callers' queue (by PlayoutCut), the provider's responses, and only then its history.
While speech may still prove to be an echo, or must not interrupt, the callers are not told of it: standard clients stop
playing when they are.
"""

import re
from collections.abc import Iterator

from . import events as e
from . import signals as s
from .echoes import echo_policy, is_echo, is_suspect, may_echo, own_words, unmasked_ns
from .folds.delivery import OpenSay
from .folds.floor import Speech
from .folds.turns import OpenInput
from .playing import Heads, cut
from .saying import conclude, end_playout
from .state import State
from .states import SayState
from .words import repeats

__all__ = [
    "began",
    "confirm_heard_out",
    "discard",
    "due_ns",
    "end_cut",
    "interrupt",
    "no_turn",
    "settle_false_start",
    "settle_interrupted",
    "text_of",
    "transcribed",
]

_MS = 1_000_000
_WORD = re.compile(r"\S+")


def began(state: State, heads: Heads, signal: s.SpeechBegan, now_ns: int) -> Iterator[e.Event]:
    """The user begins to speak."""
    echoes = may_echo(state, now_ns)
    held = (bool(state.playout.sounding()) and not _at_once(state, echoes=echoes)) or echoes
    yield e.SpeechStarted(item=signal.item, audio_start_ms=signal.audio_start_ms, held=held)
    if held:
        yield from interrupt(state, heads, now_ns)
        return
    for response in state.playout.sounding():
        yield from cut(state, heads, response, "speech", signal.item)
    yield from _unsay(state)


def _unsay(state: State) -> Iterator[e.Event]:
    """A say that was asked for and has not begun is owed again: it is held, dropped or spoken as its on_stale says."""
    for say in list(state.delivery.says.values()):
        if say.state is SayState.DISPATCHED and say.command.interruptible and say.command.on_stale != "speak":
            yield e.SayRefused(say=say.requested.say, attempt=say.attempt, code="speech", message="the user began to speak")


def _at_once(state: State, *, echoes: bool) -> bool:
    """Whether speech cuts what sounds without further proof."""
    definition = state.life.definition
    return not (definition.min_words or definition.min_speech_ms or echoes) and _may_be_cut(state)


def _may_be_cut(state: State) -> bool:
    says = (state.delivery.by_response(response) for response in state.playout.sounding())
    return all(say is None or say.command.interruptible for say in says)


def interrupt(state: State, heads: Heads, now_ns: int) -> Iterator[e.Event]:
    """Cut what sounds if the speech over it has proved to be an interruption; tell the callers."""
    for item, speech in state.floor.talking():
        if speech.held and not state.life.definition.min_words and _has_proved(state, speech, now_ns):
            yield from _interrupted(state, heads, item, speech)


def transcribed(state: State, heads: Heads, item: str, words: str) -> Iterator[e.Event]:
    """The words of speech are known: enough of them interrupt, where a number was declared."""
    speech = state.floor.speech.get(item)
    least = state.life.definition.min_words
    if speech and speech.held and least and len(words.split()) >= least and _has_proved(state, speech, None):
        if state.playout.sounding() and not repeats(words, _being_said(state)):
            yield from _interrupted(state, heads, item, speech)


def _has_proved(state: State, speech: Speech, now_ns: int | None) -> bool:
    if is_suspect(state, speech) or _is_deaf(state) or not _may_be_cut(state):
        return False
    return now_ns is None or now_ns >= speech.began_ns + state.life.definition.min_speech_ms * _MS


def _is_deaf(state: State) -> bool:
    return echo_policy(state) == "half_duplex" and state.floor.is_sounding


def _interrupted(state: State, heads: Heads, item: str, speech: Speech) -> Iterator[e.Event]:
    yield e.SpeechConfirmed(item=item, audio_start_ms=speech.start_ms)
    for response in state.playout.sounding():
        yield from cut(state, heads, response, "speech", item)
    yield from _unsay(state)


def confirm_heard_out(state: State, now_ns: int) -> Iterator[e.Event]:
    """Speech that was held while something sounded goes on though nothing sounds any more: the callers may know of it."""
    if not state.playout.sounding():
        for item, speech in state.floor.talking():
            if speech.held and (now_ns >= unmasked_ns(state) or not is_suspect(state, speech)):
                yield e.SpeechConfirmed(item=item, audio_start_ms=speech.start_ms)


def due_ns(state: State) -> int | None:
    """When speech that is held back may have lasted long enough."""
    held = [one for _, one in state.floor.talking() if one.held]
    if not state.playout.sounding():
        return unmasked_ns(state) if held else None
    least, began = state.life.definition.min_speech_ms, [one.began_ns for one in held if not is_suspect(state, one)]
    waits = least and began and not state.life.definition.min_words and _may_be_cut(state) and not _is_deaf(state)
    return min(began) + least * _MS if waits else None


def no_turn(state: State, heard: OpenInput) -> str:
    """Why committed audio is no contribution of the user; "" if it is."""
    words = heard.transcript.strip()
    if heard.status == "completed" and not words:
        return "the transcript is blank"
    speech, definition = state.floor.speech.get(heard.item), state.life.definition
    if speech is None or not speech.over_sound or heard.status != "completed":
        return ""
    if is_echo(state, speech, words, _being_said(state)):
        return "suspected echo"
    if speech.cut:
        return ""
    if definition.min_words and len(words.split()) < definition.min_words:
        return "backchannel"
    lasted_ms = (heard.end_ms or 0) - (heard.start_ms or 0)
    if definition.min_speech_ms and 0 < lasted_ms < definition.min_speech_ms:
        return "backchannel"
    return ""


def text_of(state: State, heard: OpenInput) -> str:
    """What the user contributed by committed audio."""
    words, speech = heard.transcript.strip(), state.floor.speech.get(heard.item)
    return own_words(state, speech, words, _being_said(state)) if speech else words


def _being_said(state: State) -> str:
    says = [state.delivery.by_response(response) for response in state.playout.responses]
    texts = [say.command.text or "".join(say.pieces) for say in says if say is not None]
    return " ".join([state.delivery.last_said, *texts])


def end_cut(state: State, heads: Heads, item: str) -> Iterator[e.Event]:
    """No caller is waited for any more to say what it had played when this speech cut it."""
    for response, one in list(state.playout.responses.items()):
        if one.cut is not None and one.cut.item == item:
            yield from end_playout(state, heads, response)


def settle_interrupted(state: State, item: str) -> Iterator[e.Event]:
    """It was speech: what it had cut is settled."""
    for say in _cut_by(state, item):
        yield from conclude(state, say, was_speech=True)


def settle_false_start(state: State, item: str) -> Iterator[e.Event]:
    """It was no speech: the rest of what it had cut is owed again, where that was declared."""
    for say in _cut_by(state, item):
        if say.cut is not None and (rest := _unheard(say, say.cut)):
            yield e.SayResumed(say=say.requested.say, text=rest)
        else:
            yield from conclude(state, say)


def discard(state: State, heads: Heads, item: str, reason: str) -> Iterator[e.Event]:
    """Audio that is no turn: what it cut is spoken on, or settled."""
    yield from end_cut(state, heads, item)
    yield e.TurnDiscarded(item=item, reason=reason)
    yield from settle_false_start(state, item)


def _cut_by(state: State, item: str) -> list[OpenSay]:
    says = [say for say in state.delivery.says.values() if say.state is SayState.CUT and say.cut is not None]
    return [say for say in says if say.cut and (say.cut.item, say.cut.reason) == (item, "speech")]


def _unheard(say: OpenSay, was_cut: e.PlayoutCut) -> str:
    """The text from the word on at which it was cut, by the words that were heard, and what was to follow."""
    text = say.text_of(was_cut.response)
    heard = " ".join(part.heard_text.strip() for part in was_cut.heard).strip()
    if text.startswith(heard):
        begin = len(heard)
    else:  # it was told in another form
        words = len(heard.split())
        begin = next((word.start() for n, word in enumerate(_WORD.finditer(text)) if n == words), len(text))
    return (text[begin:] + "".join(say.pieces[say.places.get(was_cut.response, 0) + 1 :])).strip()
