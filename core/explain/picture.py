"""A session's state as plain values: what stands at one moment, for people and for JSON."""

from typing import Any

import msgspec

from .. import events as e
from ..heads import ClockPlayheads
from ..state import State
from .moment import Moment
from .silent import why_silent
from .trail import Trail
from .waits import work_name

__all__ = ["picture"]


def picture(trail: Trail, *, seq: int | None = None) -> dict[str, Any]:
    """The folded state after an event (the last one if none is named), what the handler stands at, and who is to act next.

    Raises StoreError TL418, TL411.
    """
    moment = Moment.of(trail, seq=seq)
    state = moment.state
    started = state.life.started
    return {
        "seq": moment.seq,
        "ms": (moment.now_ns - state.life.started_ns) // 1_000_000,
        "session": {
            "id": started.session if started else "",
            "target": started.target if started else "",
            "answers": state.links.answers,
            "phase": state.life.phase.value,
            "ending": msgspec.to_builtins(state.life.ending),
            "handler_done": state.life.handler_done,
        },
        "links": {
            "provider": state.links.provider,
            "provider_ready": state.links.provider_ready,
            "callers": list(state.links.callers),
            "settings": state.links.settings,
            "unconfirmed_updates": state.links.unconfirmed,
            "model_is_held": state.links.answer_held,
        },
        "speech": _speech(state),
        "turns": _turns(state),
        "says": _says(state),
        "settled": state.delivery.settled,
        "sounding": _sounding(state, moment.now_ns),
        "to_mend_at_the_provider": [{"item": one.item, "heard_ms": one.heard_ms} for one in state.playout.repairs],
        "model_calls": _model_calls(state),
        "handler": _handler(moment),
        "owed_to_the_provider": [type(one.event).__name__ for one in state.relay.owed],
        "conversation": [{"seq": line.seq, "role": line.role, "text": line.text} for line in state.conversation.lines],
        "waiting_for": msgspec.to_builtins(why_silent(trail, seq=moment.seq)),
    }


def _turns(state: State) -> dict[str, Any]:
    coming = [
        {"item": one.item, "committed": one.committed_ns is not None, "status": one.status, "transcript": one.transcript}
        for one in state.turns.open.values()
    ]
    typed = [{"item": item, "text": text} for item, text in state.turns.seeded]
    return {"ended": state.turns.count, "coming": coming, "typed": typed}


def _speech(state: State) -> list[dict[str, Any]]:
    """Who of the user's speech has the floor: since when, whether callers know of it, and what it cut."""
    return [
        {"item": item, "stopped": one.stopped_ns is not None, "held": one.held, "over_sound": one.over_sound, "cut": one.cut}
        for item, one in state.floor.speech.items()
    ]


def _says(state: State) -> list[dict[str, Any]]:
    return [
        {
            "say": one.requested.say,
            "state": one.state.value,
            "attempt": one.attempt,
            "response": one.response,
            "text": "".join(one.pieces) or one.requested.command.text,
            "piece": one.piece + 1,
            "pieces": len(one.pieces),
            "more_to_come": one.stream is not None,
        }
        for one in state.delivery.says.values()
    ]


def _sounding(state: State, now_ns: int) -> list[dict[str, Any]]:
    heads = ClockPlayheads(state)
    return [
        {
            "response": response,
            "audible": one.started_ns is not None,
            "heard_ms": sum(part.played_ms for part in heads.sample(response, now_ns).parts),
            "done": one.ended is not None,
            "cut": one.cut.reason if one.cut else "",
        }
        for response, one in state.playout.responses.items()
    ]


def _model_calls(state: State) -> list[dict[str, Any]]:
    return [
        {"call_id": call_id, "name": one.requested.name, "answered": one.answered is not None}
        for call_id, one in state.tools.model_calls.items()
    ]


def _handler(moment: Moment) -> dict[str, Any]:
    waits = moment.waits
    return {
        "listens": sorted(waits.turns.waiting),
        "runs": {index: work_name(entry.event) for index, entry in waits.work.items()},
        "updates": sorted(waits.updates),
        "signals": sorted(name for name, queue in waits.signals.items() if queue.waiting),
        "turns_not_taken": [entry.event.turn for entry in waits.turns.lying if isinstance(entry.event, e.TurnEnded)],
        "last_line": msgspec.structs.asdict(moment.site) if moment.site else None,
    }
