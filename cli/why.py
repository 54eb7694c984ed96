"""`turnlog why`: why an event happened, why it was silent, why an answer came late. Answers come from the log alone."""

import asyncio
import time
from typing import Any

import click
import msgspec

from ..core import events as e
from ..core.commands import Site
from ..core.explain import Late, Said, Stopped, Trail, Waiter, why_late, why_said, why_silent, why_stopped
from ..core.explain.stopped import Cause, cause_of
from ..core.explain.trail import AnyEvent
from .essence import essence
from .options import db_option, json_option, partial_option, print_json, session_argument
from .timeline import clip, load_trail

__all__ = ["command"]

Answer = Waiter | Late | Said | Stopped | list[Cause]
_WORDS = {
    "silence": "the provider waited to be sure that the turn was over",
    "detection": "until the end of speech was reported",
    "commit": "until the audio became an item",
    "transcription": "until the words were known",
    "order": "until the turn before was complete",
    "handler": "commit, the handler's own code, next round",
    "call": "tool",
    "step": "step",
    "stream": "stream",
    "update": "session.update() was confirmed",
    "signal": "until the signal came:",
    "timer": "a timer of the handler",
    "earlier say": "the handler waited for its say",
    "later turn": "answered only after",
    "mouth": "other words were sounding",
    "caller": "until a caller was there",
    "provider link": "until the provider was ready",
    "voice line": "until this machine's own voice was there",
    "user speaks": "it was held while the user spoke",
    "words": "until its stream had a sentence",
    "confirmation": "until the provider knew who is to answer",
    "filler": "until the filler was due of",
    "dispatch": "until it was asked for",
    "refusal": "the provider refused:",
    "pause": "the pause after a refusal",
    "provider response": "until the response began",
    "provider audio": "until its first audio",
    "waiting": "not over yet; waits for",
    "unexplained": "the log does not tell",
}


@click.command("why")
@session_argument
@click.argument("seq", type=int, required=False)
@click.option("--late", is_flag=False, flag_value="all", metavar="[TURN]", help="Where the time went before an answer.")
@click.option("--silent", metavar="AT", help="Who was to act next: after an event (41), at a time (12.5s), or now.")
@partial_option
@db_option
@json_option
def command(session: str, seq: int | None, late: str | None, silent: str | None, partial: bool, db: str, as_json: bool) -> None:
    """Explain an event, a delay, or a silence.

    SEQ is the number of an event: an outcome of a say tells what ended it, a say what it rests on, a turn where the time to
    its answer went, anything that waits for whom; any other event its causes. SESSION is an id, the beginning of one, `last`,
    or an archive FILE.turnlog.
    """
    if [seq, late, silent].count(None) != 2:
        raise click.UsageError("ask one thing: SEQ, --late [TURN], or --silent AT")
    _, trail = asyncio.run(load_trail(db, session, partial=partial))
    for answer in _answers(trail, seq, late, silent):
        if as_json:
            print_json(_facts(answer))
        else:
            for line in _lines(trail, answer):
                click.echo(clip(line))


def _answers(trail: Trail, seq: int | None, late: str | None, silent: str | None) -> list[Answer]:
    if seq is not None:
        return [_of_event(trail, seq)]
    if silent is not None:
        return [_of_moment(trail, silent)]
    if late == "all":
        turns = [one.event.turn for one in trail.entries if isinstance(one.event, e.TurnEnded)]
        return [why_late(trail, turn) for turn in turns] or [why_late(trail)]
    if not (late or "").isdecimal():
        raise click.BadParameter(f"{late!r} is no number of a turn", param_hint="--late")
    return [why_late(trail, int(late or 0))]


def _of_event(trail: Trail, seq: int) -> Answer:
    """The question that an event raises."""
    match event := trail.at(seq).event:
        case e.SaySettled():
            return why_stopped(trail, event.say)
        case e.PlayoutCut(say=str(say)) | e.PlayoutEnded(say=str(say), interrupted=True) if _is_settled(trail, say):
            return why_stopped(trail, say)
        case e.SayRequested() | e.SayRepeated() | e.SayDispatched():
            return why_said(trail, event.say)
        case e.TurnEnded():
            return why_late(trail, event.turn)
        case _ if _waits(event):
            return why_silent(trail, seq=seq)
    return cause_of(trail, seq)


def _is_settled(trail: Trail, say: str) -> bool:
    return trail.next(0, e.SaySettled, lambda one: one.say == say) is not None


def _waits(event: AnyEvent) -> bool:
    """Whether it asks for something that has not come then; what ends or takes back is no wait."""
    return hasattr(event, "site") and not isinstance(event, e.EndRequested | e.SayCancelRequested)


def _of_moment(trail: Trail, at: str) -> Waiter:
    if at == "now":
        ended = isinstance(trail.last.event, e.SessionEnded)
        return why_silent(trail, at_ns=max(trail.last.at_ns, time.time_ns())) if not ended else why_silent(trail)
    try:
        if at.endswith("s"):
            return why_silent(trail, at_ns=trail.first.at_ns + round(float(at[:-1]) * 1e9))
        seq = int(at)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{at!r}: use the number of an event (41), seconds (12.5s), or now", param_hint="--silent"
        ) from None
    return why_silent(trail, seq=seq)


# --- answers in words ---


def _lines(trail: Trail, answer: Answer) -> list[str]:
    match answer:
        case Waiter():
            return _silent(trail, answer)
        case Late():
            return _late(answer)
        case Said():
            return _said(answer)
        case Stopped():
            return _stopped(trail, answer)
    return [f"{_event(trail, answer[0].seq)}, because of", *_causes(trail, answer)[1:]]


def _silent(trail: Trail, answer: Waiter) -> list[str]:
    at_s = (answer.at_ns - trail.first.at_ns) / 1e9
    lines = [
        f"after event {answer.seq}, at {at_s:.3f} s: {answer.owner} ({answer.name})",
        f"  {answer.what}",
        f"  for {answer.age_ms} ms, since {_event(trail, answer.since_seq)}",
    ]
    if answer.until_ns is not None:
        lines.append(f"  until {(answer.until_ns - trail.first.at_ns) / 1e9:.3f} s at the latest")
    if answer.site:
        stands = "the handler waits at" if answer.stands else "the handler last asked for something at"
        lines.append(f"  {stands} {_place(answer.site)}")
    return lines


def _late(answer: Late) -> list[str]:
    end = f"{answer.ended_by} (event {answer.until_seq})" if answer.ended_by else "the end of the log: no answer"
    lines = [
        f'turn {answer.turn} "{answer.text}"',
        f"  {answer.gap_ms} ms from the end of the user's contribution (by {answer.basis}) to {end}",
    ]
    at_ms = 0
    for one in answer.stretches:
        where = f"  {_place(one.site)}" if one.site else ""
        lines.append(f"  {at_ms:>7} ms +{one.ms:<6} {one.name:<18}{' '.join(filter(None, (_WORDS[one.name], one.about)))}{where}")
        at_ms += one.ms
    if answer.unexplained_ms:
        lines.append(f"  unexplained: {answer.unexplained_ms} ms")
    return lines


def _said(answer: Said) -> list[str]:
    words = f"the clip {answer.clip}" if answer.clip else f'"{answer.text}"'
    lines = [
        f"{answer.say} {words}" + (f" from the stream {answer.stream}" if answer.stream else ""),
        _asked_by(answer),
    ]
    lines += [f'  after turn {turn.turn} "{turn.text}" (event {turn.seq})' for turn in answer.turns]
    for call in answer.calls:
        came = call.error or repr(call.result)
        given = ", ".join([*map(repr, call.args), *(f"{key}={value!r}" for key, value in call.kwargs.items())])
        lines.append(f"  and {call.name}({given}) = {came} (event {call.seq})")
    if answer.woken_by_type and not answer.filler_of:
        lines.append(f"  the handler went on with {answer.woken_by_type} (event {answer.woken_by})")
    return lines


def _asked_by(answer: Said) -> str:
    if answer.filler_of:
        return f"  the engine's own, while the tool {answer.filler_of} was slow (event {answer.seq})"
    if answer.outside:
        return f"  asked for from outside of the handler (event {answer.seq})"
    return f"  asked for at {_place(answer.site)} (command {answer.index}, event {answer.seq})"


def _stopped(trail: Trail, answer: Stopped) -> list[str]:
    code = f" {answer.code}" if answer.code else ""
    heard = f"heard {answer.heard_ms} ms of {answer.generated_ms} ms, attempts: {answer.attempts}"
    lines = [f"{answer.say} {answer.status}{code}, {heard}", f"  {answer.what}", f'  heard    "{answer.heard_text}"']
    if answer.unheard_text:
        lines.append(f'  unheard  "{answer.unheard_text}"{" (estimated)" if answer.estimated else ""}')
    return [*lines, "  because of", *_causes(trail, answer.chain)]


def _causes(trail: Trail, chain: list[Cause]) -> list[str]:
    lines = [f"  {'~' if cause.inferred else ' '} {_event(trail, cause.seq)}" for cause in chain]
    return [*lines, f"    from outside: {chain[-1].root}"]


def _event(trail: Trail, seq: int) -> str:
    entry = trail.at(seq)
    ms = (entry.at_ns - trail.first.at_ns) // 1_000_000
    name = entry.event.type if isinstance(entry.event, e.Unknown | e.Erased) else type(entry.event).__name__
    return f"{seq} {name} at {ms} ms  {essence(entry.event)}".rstrip()


def _place(site: Site) -> str:
    return f"{site.file.rpartition('/')[2]}:{site.line}"


def _facts(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, list):
        return {"question": "causes", "chain": msgspec.to_builtins(answer)}
    name = {Waiter: "silent", Late: "late", Said: "said", Stopped: "stopped"}[type(answer)]
    return {"question": name, **{field: getattr(answer, field) for field in answer.__struct_fields__}}
