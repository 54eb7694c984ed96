"""Strategies for random programs (see programs.py): what each statement may be given, and how they are put together."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

__all__ = ["PROGRAMS", "QUIET", "SEEDS", "SIMPLE", "TALKS", "statement"]

SECONDS = st.sampled_from([0.0, 0.001, 0.02, 0.25, 1.0, 30.0])
SOON = st.sampled_from([0.001, 0.02, 0.25, 1.0])
TEXT = st.sampled_from(["Good evening.", "One moment.", "Goodbye."])
FEW = st.integers(0, 1)


def statement(name: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Statements of this name with these arguments."""
    return st.tuples(st.just(name), *args).map(list)


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "when": st.sampled_from(["interrupt", "drop"]),
        "interruptible": st.just(False),
        "key": st.sampled_from(["k", "l"]),
        "on_stale": st.sampled_from(["drop", "speak"]),
        "on_mismatch": st.sampled_from(["retry", "fail"]),
    },
)

SPEAKING = st.one_of(
    *(statement("say_so", st.one_of(TEXT, st.just("It is late. Shall I book? Tell me.")), OPTIONS) for _ in range(2)),
    *(statement(name, st.integers(0, 3)) for name in ("settled", "unsay", "race")),
    *(statement("say_stream", st.integers(0, 3), st.integers(0, 2), st.booleans(), OPTIONS) for _ in range(2)),
    statement("watch", st.integers(0, 3)),
    statement("turns", st.integers(0, 2)),
    statement("answers", st.sampled_from(["handler", "model"])),
    statement("earlier", st.one_of(st.none(), st.integers(1, 99))),
)

SIMPLE = st.one_of(
    SPEAKING,
    *(statement(name, TEXT) for name in ("say", "say_heard")),
    *(statement(name, st.integers(0, 3)) for name in ("call", "step")),
    statement("stream", st.integers(0, 3), st.integers(1, 3)),
    statement("input", st.one_of(st.none(), SOON)),
    statement("signal", st.sampled_from(["a", "b"])),
    statement("update", TEXT),
    statement("look"),
    statement("patched", st.sampled_from(["one", "two"])),
    statement("end", st.booleans()),
    *(statement("sleep", SECONDS) for _ in range(2)),
    statement("cancel", st.integers(0, 4)),
    statement("put", FEW, st.integers(0, 9)),
    *(statement(name, FEW) for name in ("get", "set", "clear", "await_event")),
    statement("fail"),
    statement("mood", st.sampled_from(["merry", "sad"])),
)


def compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Statements with bodies of `inner` ones."""
    body = st.lists(inner, min_size=1, max_size=3)
    bodies = st.lists(body, min_size=1, max_size=4)
    return st.one_of(
        statement("gather", bodies, st.booleans()),
        statement("group", bodies),
        statement("wait", bodies, st.sampled_from(["first", "error", "all"]), st.one_of(st.none(), SOON)),
        statement("as_completed", bodies),
        statement("timeout", SOON, body),
        statement("wait_for", SOON, body),
        *(statement(name, body) for name in ("shield", "spawn", "spawn", "lock", "room", "swallow")),
        statement("try", body, body),
        statement("finally", body, body),
        statement("generator", body, st.sampled_from(["left", "closed", "read"])),
    )


PROGRAMS = st.lists(st.recursive(SIMPLE, compound, max_leaves=12), min_size=1, max_size=8)
TALKS = st.lists(st.lists(st.one_of(SPEAKING, SPEAKING, SIMPLE), min_size=1, max_size=4), min_size=2, max_size=7).map(
    lambda bodies: [["spawn", [["watch", 0]]], ["gather", bodies, True], ["sleep", 1.0], ["turns", 2]]
)
"""Tasks that speak, beside one that watches what is heard."""

SEEDS = st.integers(0, 2**32)
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], database=None)
