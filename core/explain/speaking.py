"""The waiter while words are on their way to the caller: sounding, asked for, or owed."""

from .. import events as e
from ..commands import Site
from ..due import DISPATCH_TIMEOUT_S, REFUSED_PAUSE_S
from ..folds.delivery import OpenSay
from ..heads import unbegun_until_ns
from ..playing import STALL_S, ends_ns
from ..saying import HOLD_S, is_held, line_for
from ..states import SayState
from .listening import user_first
from .moment import Moment
from .waiter import MS, Case, S
from .waits import site_of
from .wording import title

__all__ = ["cutting", "say_waits", "sounding"]

_LAG_NS = 400 * MS  # audio is in the log a segment (200 ms) behind, and deltas come in bursts


def sounding(moment: Moment) -> Case | None:
    """What is being heard, or was being heard when its audio stopped coming."""
    state = moment.state
    for response, sounding in state.playout.responses.items() if state.links.callers else ():
        say = state.delivery.by_response(response)
        if sounding.started_ns is None or sounding.cut or not (say or state.model_answers):
            continue
        site = site_of(say.requested) if say else None
        started = moment.latest(e.AudioStarted, lambda one, response=response: one.response == response)  # type: ignore[misc] # B023's remedy
        by_us = sounding.buffered is None  # else its audio never comes by here
        if by_us and sounding.ended is None and moment.now_ns > _delivered_until(moment, response, sounding.started_ns) + _LAG_NS:
            what = f"the provider began to speak ({response}) and its audio stopped coming before the response ended"
            came = moment.latest_of(e.MediaRecorded, e.AudioStarted)
            return Case("generation", "provider", what, started, came.at_ns + STALL_S * S, site)
        whose = title(say) if say else "the model's answer"
        return Case("playout", "caller", f"{whose} is being heard", started, ends_ns(sounding), site)
    return None


def _delivered_until(moment: Moment, response: str, started_ns: int) -> int:
    """When the audio that came so far has been heard, as far as its segments are in the log."""
    begun = moment.latest(e.ResponseStarted, lambda one: one.response == response)
    track = f"{moment.state.playout.responses[response].link or moment.state.links.provider}.in"
    parts = [one.event for one in moment.trail.between(begun.seq, moment.seq) if isinstance(one.event, e.MediaRecorded)]
    return started_ns + sum(part.duration_ms for part in parts if part.track == track) * MS


def cutting(moment: Moment) -> Case | None:
    """What was cut, while the callers may still say how much of it they played."""
    for response, sounding in moment.state.playout.responses.items():
        if sounding.cut is not None:
            since = moment.latest(e.PlayoutCut, lambda one, response=response: one.response == response)  # type: ignore[misc] # B023's remedy
            say = moment.state.delivery.by_response(response)
            whose, site = (title(say), site_of(say.requested)) if say else ("the model's answer", None)
            what = f"{whose} was cut by {sounding.cut.reason}; the caller may tell how much of it was played"
            return Case("acknowledgement", "caller", what, since, ends_ns(sounding), site)
    return None


def say_waits(moment: Moment, head: OpenSay) -> Case:
    """The oldest say that is not settled, and nothing of it sounds."""
    say, words = head.requested.say, title(head)
    site = site_of(head.requested)
    match head.state:
        case SayState.DISPATCHED:
            since = moment.latest(e.SayDispatched, lambda one: one.say == say)
            what = f"{words} was asked for (attempt {head.attempt}) and no response has begun"
            return Case("provider_response", "provider", what, since, head.dispatched_ns + DISPATCH_TIMEOUT_S * S, site)
        case SayState.SOUNDING:
            since = moment.latest(e.ResponseStarted, lambda one: one.say == say)
            what = f"the response for {words} has begun without audio yet"
            return Case("provider_audio", "provider", what, since, since.at_ns + STALL_S * S, site)
        case SayState.PLAYING:
            since = moment.latest(e.ResponseEnded, lambda one: one.response == head.response)
            one = moment.state.playout.responses.get(head.response or "")
            if moment.state.call.link and one is not None and one.buffered is None:
                what = f"the provider has made {words} and has not begun to play it"
                return Case("provider_audio", "provider", what, since, unbegun_until_ns(one), site)
            what = f"the response for {words} ended without audio; its outcome is due"
            return Case("settling", "engine", what, since, site=site)
        case SayState.CUT:
            return _cut(moment, say, words, site)
        case SayState.PENDING:
            return _pending(moment, head, words)
    raise ValueError(f"an open say cannot be {head.state.value}")


def _cut(moment: Moment, say: str, words: str, site: Site | None) -> Case:
    """A say that was cut and is not settled: it goes on if what cut it proves to be no speech."""
    if spoken := user_first(moment):
        return spoken._replace(what=f"{spoken.what}; {words} goes on if it was no speech", site=site)
    since = moment.latest(e.PlayoutCut, lambda one: one.say == say)
    return Case("settling", "engine", f"{words} was cut; its outcome is due", since, site=site)


def _pending(moment: Moment, head: OpenSay, words: str) -> Case:
    """A say that could be asked for, but for what blocks it."""
    state, site = moment.state, site_of(head.requested)
    for response, sounding in state.playout.sounding().items():
        since = moment.latest(e.ResponseStarted, lambda one, response=response: one.response == response)  # type: ignore[misc] # B023's remedy
        if sounding.ended is None:
            what = f"{words} waits for another response ({response}) of the provider to end"
            return Case("other_response", "provider", what, since, site=site)
        what = f"{words} waits for the playout of another response ({response})"
        return Case("other_response", "engine", what, since, ends_ns(sounding), site)
    since = moment.latest(e.SayRequested, lambda one: one.say == head.requested.say)
    if head.stream is not None and head.piece >= len(head.pieces):
        came = moment.trail.latest(moment.seq, e.StreamItem, lambda one: one.index == head.command.stream)
        what = "the stream that is being spoken has no further sentence yet"
        return Case("words", "tool", what, came if came and came.seq > since.seq else since, site=site)
    if line_for(state, head) is None:
        return Case("voice_line", "engine", f"{words} waits for the line to this machine's own voice", since, site=site)
    return _held(moment, head, words) or _paused(moment, head, words) or Case(
        "dispatch", "engine", f"{words} is due to be asked for", since, site=site
    )


def _held(moment: Moment, head: OpenSay, words: str) -> Case | None:
    """The user has the floor, or the model may still take it."""
    state, site = moment.state, site_of(head.requested)
    if state.model_answers and not (state.links.answer_held and state.links.unconfirmed == 0):
        asked = moment.latest_of(e.ConfigurationDispatched)
        what = f"{words} waits until the provider has confirmed that the model will not answer meanwhile"
        return Case("confirmation", "provider", what, asked, site=site)
    if head.command.on_stale == "hold" and is_held(state, moment.now_ns):
        began = moment.latest(e.SpeechStarted)
        return Case("user_speaks", "user", f"{words} is held while the user speaks", began, began.at_ns + HOLD_S * S, site)
    return None


def _paused(moment: Moment, head: OpenSay, words: str) -> Case | None:
    """An attempt came to nothing, and the next one is not due yet."""
    state, site, refused_ns = moment.state, site_of(head.requested), moment.state.delivery.refused_ns
    if refused_ns is None:
        return None
    since = moment.latest(e.SayRefused)
    blocking = next((key for key, one in state.playout.unheard.items() if one.in_band), None)
    if blocking is not None:
        what = f"{words} waits for another response ({blocking}) of the provider to end"
        return Case("other_response", "provider", what, since, refused_ns + STALL_S * S, site)
    until_ns = refused_ns + REFUSED_PAUSE_S * S
    if moment.now_ns >= until_ns:
        return None
    if isinstance(since.event, e.SayRefused) and since.event.code == "speech":
        what = f"{words} was taken back when the user began to speak; it is asked for again after a pause"
    else:
        what = f"the provider refused {words} ({head.attempt} times so far); it is tried again after a pause"
    return Case("refusal_pause", "engine", what, since, until_ns, site)
