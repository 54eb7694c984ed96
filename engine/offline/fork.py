"""Fork: a new session that begins with another one's past and goes on by a script, offline. What is stored replays.

The past is taken over event by event: same types, data, times and causes, under the new session's name. Its links are gone,
so nothing is asked of a provider: a say counts as the equal one of the record ended, or as played; a call, step or stream
takes the record's next answer to an equal one, or fails as NotRecorded.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ...core import events as e
from ...core.chain import GENESIS, NONCE_SIZE, digest, link
from ...core.codec import decode, encode
from ...core.errors import StoreError
from ...core.ports import Head, Recorded, Segment, SessionRow
from ...store.port import Store
from ..app import Handler, code_version
from .answers import Answers, Decoded
from .fork_rest import Line, Rest
from .replay import ReplayRun, replay
from .replay_all import handler_name

__all__ = ["Forked", "fork"]

_EPOCH = 1


class Forked(msgspec.Struct, frozen=True, kw_only=True):
    """A stored fork: `past` events were taken over from `forked_from`, `events` there are in all."""

    session: str
    forked_from: str
    past: int
    events: int
    commands: int
    not_recorded: list[str] = []  # what the handler asked for in the rest that the record had no answer for


async def fork(
    store: Store, session: str, at: int, handler: Handler, *, name: str, script: Iterable[Line] = (), into: Store | None = None
) -> Forked:
    """Store a new session `name` with the past of `session` up to event `at`, and the script's rest.

    Raises Divergence TL101 if the handler does not replay the past, StoreError TL418 if there is no such event or the session
    had ended by then, TL409 if the name is taken, and what `replay` raises.
    """
    row = await store.session(session)
    if not 1 <= at <= row.head_seq:
        raise StoreError("TL418", f"session {session} has no event {at}", f"its events are 1 to {row.head_seq}")
    tracks = await store.tracks(session)

    def make() -> tuple[_Made, list[Segment]]:
        every = (segment for track in tracks for segment in store.scan_segments(session, track))
        return _made(list(store.scan(session)), at, handler, name, script), [one for one in every if one.first_seq <= at]

    # In a thread: a handler's loop is not to hold up the sessions of this one.
    made, segments = await asyncio.to_thread(make)
    await _store(into or store, row, name, made.recorded, segments, handler)
    return Forked(
        session=name,
        forked_from=session,
        past=at,
        events=len(made.recorded),
        commands=made.commands,
        not_recorded=made.not_recorded,
    )


class _Made(NamedTuple):
    """A fork's log, and what came of making it."""

    recorded: list[Recorded]
    commands: int
    not_recorded: list[str]


def _made(log: list[Recorded], at: int, handler: Handler, name: str, script: Iterable[Line]) -> _Made:
    past = _renamed(log[:at], name, handler)
    run = ReplayRun(handler, past)
    try:
        run.run()
        if run.state.life.phase.value == "ended":
            raise StoreError("TL418", f"the session had ended by event {at}", "fork it at an earlier event")
        assert run.live is not None  # the past has its beginning, or run() had raised
        rest = Rest(run.live, run.state, _remembered(log, at), past[-1])
        rest.asked.extend(run.asked)
        staged = rest.play(script)
    finally:
        run.close()
    recorded = _chained(name, past)
    for one in staged:
        type_, version, data = encode(one.event, os.urandom(NONCE_SIZE))
        draft = Recorded(one.seq, type_, version, one.at_ns, _EPOCH, one.cause, digest(data), b"", data)
        recorded += _chained(name, [draft], recorded[-1].hash)
    return _Made(recorded, replay(recorded, handler).commands, rest.not_recorded)


def _renamed(past: list[Recorded], name: str, handler: Handler) -> list[Recorded]:
    """The past, its first event saying whose it was. What the handler drew from session.random stays as it was drawn."""
    started = decode(past[0])
    if not isinstance(started, e.SessionStarted):
        raise StoreError("TL407", "this log has no SessionStarted", "the session was never started, or its log is cut")
    forked = msgspec.structs.replace(
        started,
        session=name,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        code_version=code_version(handler),
        handler=handler_name(handler),
        forked_from=started.session,
        forked_at=past[-1].seq,
        seed=started.seed or started.session,
    )
    type_, version, data = encode(forked, os.urandom(NONCE_SIZE))
    first = past[0]._replace(type=type_, version=version, data=data, digest=digest(data))
    return [first, *past[1:]]


def _remembered(log: list[Recorded], at: int) -> Answers:
    """The record's answers, those to commands of the past taken; what such a command still waits for is kept."""
    decoded = [(one.seq, one.at_ns, decode(one)) for one in log]
    answers = Answers([Decoded(seq, at_ns, event) for seq, at_ns, event in decoded if isinstance(event, e.Event)])
    for known in list(answers.by_index.values()):
        if known.seq <= at:
            answers.claim(known.command)
    return answers


def _chained(name: str, events: list[Recorded], previous: bytes = GENESIS) -> list[Recorded]:
    chained = []
    for one in events:
        of_data = one.digest
        previous = link(previous, name, one.seq, one.type, one.version, one.at_ns, _EPOCH, one.cause, of_data)
        chained.append(one._replace(epoch=_EPOCH, hash=previous))
    return chained


async def _store(
    store: Store, row: SessionRow, name: str, recorded: list[Recorded], segments: list[Segment], handler: Handler
) -> None:
    now_ns = time.time_ns()
    forked = row._replace(
        session=name,
        status="ended",
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        code_version=code_version(handler),
        head_seq=len(recorded),
        created_ns=now_ns,
        ended_ns=now_ns,
    )
    await store.restore(forked, Head(name, 0, _EPOCH, len(recorded), recorded[-1].hash), recorded, segments)
