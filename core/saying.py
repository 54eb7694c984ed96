"""Decisions on says: asked for, dispatched piece by piece, taken back, settled. Live only."""

from collections.abc import Iterator
from typing import Literal

from . import commands as c
from . import events as e
from .definition import SessionDefinition
from .echoes import speaking
from .folds.delivery import OpenSay
from .playing import Heads, cut, ended
from .state import State
from .states import SayState
from .words import similarity

__all__ = [
    "HOLD_S",
    "LOST",
    "MAX_ATTEMPTS",
    "MISMATCH",
    "conclude",
    "dispatches",
    "end_playout",
    "is_held",
    "line_for",
    "needs_voice",
    "next_say",
    "refused",
    "request",
    "settle_all",
    "settle_sounding",
    "spoken",
    "spoken_out",
    "take_back",
    "unknown_outcomes",
]

MAX_ATTEMPTS = 5
MISMATCH = 0.8  # less similar words than this are other words
LOST = "caller_lost"
"""The code of what was not heard (whole) because its caller's connection dropped."""
HOLD_S = 30  # speech that goes on for longer holds no say back any more

Status = Literal["played", "interrupted", "cancelled", "failed"]


# --- asked for ---


def request(state: State, heads: Heads, asked: e.SayRequested) -> Iterator[e.Event]:
    """A new say, and what becomes of the others."""
    busy = bool(state.delivery.says or state.playout.sounding())
    yield asked
    match asked.command.when:
        case "drop" if busy:
            yield e.SaySettled(say=asked.say, status="cancelled", code="busy")
        case "interrupt":
            for response in state.playout.sounding():
                yield from cut(state, heads, response, "replaced")
            for say in [say for say in state.delivery.says if say != asked.say]:
                yield from take_back(state, heads, say, "replaced")
            yield from _end_cut(state, heads)


def take_back(state: State, heads: Heads, say: str, reason: str) -> Iterator[e.Event]:
    """Want no more of a say: what sounds of it is cut, what waits is cancelled."""
    open_ = state.delivery.says.get(say)
    if open_ is None:
        return
    for response in [key for key, one in state.playout.sounding().items() if one.say == say]:
        yield from cut(state, heads, response, reason)
    for response in [key for key, one in state.playout.responses.items() if one.say == say]:
        yield from end_playout(state, heads, response)  # no caller has to say what it played
    if say in state.delivery.says:
        yield _settled(open_, "interrupted" if _heard_ms(open_) else _lost(reason), reason)


def _end_cut(state: State, heads: Heads) -> Iterator[e.Event]:
    """End the playout of what was cut by us: no caller has to say what it played."""
    for response, one in list(state.playout.responses.items()):
        if one.cut is not None and one.cut.reason not in ("speech", "caller"):
            yield from end_playout(state, heads, response)


# --- dispatched ---


def needs_voice(definition: SessionDefinition, say: c.Say) -> bool:
    """Whether a say is not the provider's to speak: a recording, or words for this machine's own voice."""
    return say.clip is not None or (say.mode or definition.say_mode) == "tts"


def line_for(state: State, say: OpenSay) -> str | None:
    """The line by which a say is to be spoken, if it stands."""
    if needs_voice(state.life.definition, say.command):
        return state.links.voice
    return state.links.provider if state.links.provider_ready else None


def next_say(state: State) -> OpenSay | None:
    """The say of which a piece may be asked for now: the oldest that is not cut, if nothing else sounds and somebody listens.

    The next piece of a say goes out when the one before it is delivered: the callers still hear it for a moment.
    """
    say = next((one for one in state.delivery.says.values() if one.state is not SayState.CUT), None)
    if say is None or say.piece >= len(say.pieces) or not state.links.callers:
        return None
    sounding = state.playout.sounding()
    if say.state is SayState.PENDING:
        free = not sounding
    else:
        latest = sounding.get(say.response or "")
        free = say.state is SayState.PLAYING and latest is not None and latest.delivered is not None
    return say if free else None


def dispatches(state: State, now_ns: int) -> Iterator[tuple[e.Event, int]]:
    """Ask the line that speaks it for the next piece that is due; says that newer speech made stale are dropped or held."""
    while (say := next_say(state)) and say.command.on_stale == "drop" and _is_stale(state, say):
        yield _settled(say, "interrupted" if _heard_ms(say) else "cancelled", "stale"), say.seq
    while say is not None and state.call.id and needs_voice(state.life.definition, say.command):
        yield _settled(say, "failed", "no_media"), say.seq  # no audio of ours gets into a call that the provider holds
        say = next_say(state)
    if say is None or (say.command.on_stale == "hold" and is_held(state, now_ns)):
        return
    if (link := line_for(state, say)) is not None:
        text = say.pieces[say.piece]
        yield e.SayDispatched(say=say.requested.say, attempt=say.attempt + 1, link=link, text=text, part=say.piece), say.seq


def _is_stale(state: State, say: OpenSay) -> bool:
    return bool(speaking(state)) or state.turns.count > say.command.turn


def is_held(state: State, now_ns: int) -> bool:
    """Whether the user speaks, or the words of what was said are on their way."""
    return any(now_ns < one.began_ns + HOLD_S * 1_000_000_000 for one in speaking(state))


def refused(state: State, say: OpenSay, code: str, message: str) -> Iterator[e.Event]:
    """Nothing will come of an attempt: the say stays owed, or has failed if this was the last one."""
    yield e.SayRefused(say=say.requested.say, attempt=say.attempt, code=code, message=message)
    if say.tries >= MAX_ATTEMPTS and say.state is SayState.PENDING:
        yield _settled(say, "failed", code)


# --- spoken ---


def spoken(state: State, heads: Heads, response: str) -> Iterator[e.Event]:
    """Compare what a response said with what it was to say."""
    say = state.delivery.by_response(response)
    if say is None or say.response != response or say.ended is None or say.ended.status != "completed" or say.command.clip:
        return
    asked, words = say.pieces[say.piece].strip(), say.ended.transcript
    if not words:
        return
    alike = round(similarity(asked, words), 3)
    if say.state is SayState.CUT and alike < MISMATCH:
        return  # a provider that plays what it says tells only the words of what it has played
    yield e.SaySpoken(say=say.requested.say, requested=asked, spoken=words, similarity=alike)
    wanted = say.command.on_mismatch
    if alike < MISMATCH and (wanted == "fail" or (wanted == "retry" and not say.retried)):
        yield from cut(state, heads, response, "mismatch")
        yield from end_playout(state, heads, response)


def end_playout(state: State, heads: Heads, response: str) -> Iterator[e.Event]:
    """The callers hear nothing of a response any more; its say may be settled by that."""
    say = state.delivery.by_response(response)
    yield ended(state, heads, response)
    if say is not None:
        yield from conclude(state, say)


def conclude(state: State, say: OpenSay, *, was_speech: bool = False) -> Iterator[e.Event]:
    """Settle a say if nothing more can come of it. was_speech: what cut it is known to be speech."""
    name = say.requested.say
    if name not in state.delivery.says or any(one.say == name for one in state.playout.responses.values()):
        return
    if say.state is SayState.CUT and say.cut is not None:
        match say.cut.reason:
            case "speech" if not was_speech and _may_resume(state, say.cut):
                return  # whether it was speech is not known yet
            case "caller_lost" if rest := _all_unheard(say, say.cut):
                yield e.SayResumed(say=name, text=rest)  # who comes back hears it
            case "mismatch" if say.command.on_mismatch == "retry":
                yield e.SayResumed(say=name, text=say.rest)
            case _:
                yield _settled(say, *_cut_outcome(say))
    elif say.state is SayState.PENDING and (say.is_spoken or _has_failed(say)):
        yield _settled(say, *_outcome(say))


def _all_unheard(say: OpenSay, was_cut: e.PlayoutCut) -> str:
    """The text from the piece on that was cut, if nothing of the say was heard; "" for a recording."""
    if any(part.heard_ms or part.heard_text for part in say.heard):
        return ""
    return "".join(say.pieces[say.places.get(was_cut.response, say.piece) :])


def _may_resume(state: State, was_cut: e.PlayoutCut) -> bool:
    return state.life.definition.resume_after_false_start and was_cut.item in state.floor.speech


def spoken_out(state: State) -> Iterator[e.Event]:
    """Settle says of which there is nothing more to ask for: a stream has ended behind its last piece, or without any."""
    for say in list(state.delivery.says.values()):
        if say.state is SayState.PENDING and say.command.stream:
            yield from conclude(state, say)


def _has_failed(say: OpenSay) -> bool:
    return say.failed == "not_text" or (say.ended is not None and say.ended.status != "completed")


def _cut_outcome(say: OpenSay) -> tuple[Status, str]:
    reason = say.cut.reason if say.cut else ""
    match reason:
        case "speech" | "caller":
            return "interrupted", reason
        case "mismatch" | "stalled" | "outcome_unknown":
            return "failed", reason
        case "cancelled" | "replaced":
            return ("interrupted" if _heard_ms(say) else "cancelled"), reason
    return ("interrupted" if _heard_ms(say) else _lost(reason)), reason


def _lost(reason: str) -> Status:
    return "failed" if reason in ("caller_gone", LOST, "no_caller", "provider_lost", "engine_fault", "no_voice") else "cancelled"


def _outcome(say: OpenSay) -> tuple[Status, str]:
    done, heard_ms = say.ended, _heard_ms(say)
    if say.failed:
        return "failed", say.failed
    match done:
        case None:
            return "failed", "no_words"  # a stream without any
        case e.ResponseEnded(status="completed") if say.generated_ms and not heard_ms:
            return "failed", "not_delivered"
        case e.ResponseEnded(status="completed") if not say.generated_ms and not done.transcript:
            return "failed", "no_output"
        case e.ResponseEnded(status="completed"):
            return "played", done.code
        case e.ResponseEnded(status="failed"):
            return "failed", done.code or "failed"
    return "interrupted", done.code or done.status


def settle_all(state: State, heads: Heads, reason: str) -> Iterator[e.Event]:
    """Settle every open say: what sounded was heard so far, what waited was not heard."""
    yield from settle_sounding(state, heads, reason)
    for say in list(state.delivery.says.values()):
        yield _settled(say, "interrupted" if _heard_ms(say) else _lost(reason), reason)


def unknown_outcomes(state: State) -> Iterator[e.Event]:
    """Settle the says of which something was asked for, by a line that is gone; those that wait go on waiting."""
    for say in list(state.delivery.says.values()):
        match say.state:
            case SayState.CUT:
                yield from conclude(state, say, was_speech=True)
            case SayState.DISPATCHED | SayState.SOUNDING | SayState.PLAYING:
                yield _settled(say, "failed", "outcome_unknown")


def settle_sounding(state: State, heads: Heads, reason: str, which: list[str] | None = None) -> Iterator[e.Event]:
    """Cut these responses, or all: what sounded was heard so far, and nobody has to say how far that was."""
    for response in list(state.playout.responses) if which is None else which:
        yield from cut(state, heads, response, reason)
        if response in state.playout.responses:
            yield from end_playout(state, heads, response)


def _heard_ms(say: OpenSay) -> int:
    return sum(part.heard_ms for part in say.heard)


def _settled(say: OpenSay, status: Status, code: str) -> e.SaySettled:
    heard_ms = _heard_ms(say)
    text = " ".join(part.heard_text.strip() for part in say.heard if part.heard_text.strip())
    if not text and heard_ms and status == "played":
        text = say.command.text
    source, error_ms = say.source if heard_ms else ("none", 0)
    return e.SaySettled(
        say=say.requested.say,
        status=status,
        code=code,
        requested_ms=say.command.clip.ms if say.command.clip else 0,
        generated_ms=sum(part.generated_ms for part in say.heard),
        heard_ms=heard_ms,
        source=source,
        error_ms=error_ms,
        heard_text=text,
    )


