"""Why a say ended as it did: from its one outcome back to what came from outside, and what of it was heard."""

from typing import Literal

import msgspec

from .. import events as e
from ..errors import StoreError
from ..saying import MAX_ATTEMPTS
from .trail import AnyEvent, Entry, Trail
from .wording import requested_words

__all__ = ["Cause", "Stopped", "cause_of", "why_stopped"]


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a chain; inferred: the log names the deadline that passed, this event set it. root: of the last step."""

    seq: int
    at_ns: int
    type: str
    inferred: bool = False
    root: str = ""


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a say, and in `what` the reason in a sentence. `chain` begins with SaySettled and ends with the event
    whose cause, `outside`, is no event.

    heard_text is what the log holds; unheard_text is the rest of the requested words, `estimated` unless all or nothing
    was heard.
    """

    say: str
    status: Literal["played", "interrupted", "cancelled", "failed"]
    code: str
    what: str
    outside: str  # wire, timer, api, start or host
    text: str
    heard_text: str
    unheard_text: str
    estimated: bool
    heard_ms: int
    generated_ms: int
    error_ms: int
    attempts: int
    chain: list[Cause]


def why_stopped(trail: Trail, say: str) -> Stopped:
    """Why a settled say ended. Raises StoreError TL418 for a say that is not there or still owed."""
    requested = trail.next(0, e.SayRequested, lambda one: one.say == say)
    if requested is None:
        raise StoreError("TL418", f"no say {say!r} in this log", "`turnlog show SESSION --type SayRequested` lists them")
    settled = trail.next(requested.seq, e.SaySettled, lambda one: one.say == say)
    if settled is None:
        raise StoreError("TL418", f"{say} is not settled yet", "`turnlog why SESSION --silent AT` says what it waits for")
    outcome, text = settled.event, requested_words(trail, requested, settled.seq)
    attempt = trail.latest(settled.seq, e.SayDispatched, lambda one: one.say == say)
    unheard = "" if outcome.status == "played" else _unheard(text, outcome.heard_text)
    chain = cause_of(trail, settled.seq)
    return Stopped(
        say=say,
        status=outcome.status,
        code=outcome.code,
        what=_reason(outcome, trail.get(settled.seq - 1)),
        outside=chain[-1].root,
        text=text,
        heard_text=outcome.heard_text,
        unheard_text=unheard,
        estimated=bool(outcome.heard_text and unheard),
        heard_ms=outcome.heard_ms,
        generated_ms=outcome.generated_ms,
        error_ms=outcome.error_ms,
        attempts=attempt.event.attempt if attempt else 0,
        chain=chain,
    )


_REASONS = {
    "speech": "the user spoke over it",
    "caller": "its caller stopped it",
    "cancelled": "the handler took it back",
    "replaced": "the handler had something else said at once",
    "busy": "it was to be dropped if other words sounded or waited, and they did",
    "stale": "the user had spoken since the turn that it answers",
    "mismatch": "other words were spoken than asked for",
    "stalled": "nothing more came of its response",
    "caller_gone": "nobody was there to hear it",
    "caller_lost": "the connection of its caller dropped",
    "no_caller": "no caller came to hear it",
    "provider_lost": "the provider was lost",
    "outcome_unknown": "the sideband of its call was lost, and what became of it was not told again",
    "no_media": "it was to be our own audio, which does not get into a call that the provider holds",
    "no_answer": "the provider did not answer",
    "no_words": "its stream ended without words",
    "not_text": "its stream brought something that is no text",
    "no_output": "the provider answered with nothing",
    "not_delivered": "it was made and did not reach a caller",
}


def _reason(outcome: e.SaySettled, before: Entry[AnyEvent] | None) -> str:
    if outcome.status == "played":
        return "it was heard to its end"
    if outcome.status == "failed" and before and isinstance(before.event, e.SayRefused):
        return f"the provider refused it {MAX_ATTEMPTS} times, at last with {outcome.code}"
    return _REASONS.get(outcome.code, outcome.code)


def cause_of(trail: Trail, seq: int) -> list[Cause]:
    """The chain of causes of any event, itself first. Raises StoreError TL418."""
    links = trail.chain(seq)
    return [
        Cause(
            seq=link.entry.seq,
            at_ns=link.entry.at_ns,
            type=_type(link.entry),
            inferred=link.inferred,
            root=_root(link.entry) if link is links[-1] else "",
        )
        for link in links
    ]


def _root(entry: Entry[AnyEvent]) -> str:
    known = entry.cause in set(e.Root)
    return e.Root(entry.cause).name.lower() if known else f"#{entry.cause}, which this log does not hold"


def _type(entry: Entry[AnyEvent]) -> str:
    return entry.event.type if isinstance(entry.event, e.Unknown | e.Erased) else type(entry.event).__name__


def _unheard(text: str, heard: str) -> str:
    """What is left of the requested words behind the heard ones; by their number, where the provider said other words."""
    if text.startswith(heard):
        return text[len(heard) :].strip()
    return " ".join(text.split()[len(heard.split()) :])
