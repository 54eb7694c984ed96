"""Decisions on what is asked from outside of the handler: signals and says of the embedding program. Live only.

A key is one fact, however often what it stands for is sent, as long as it is among the last (keys.py). The keys of signals, of
says from outside and of the handler's own says have nothing to do with each other.
"""

from collections.abc import Iterator

from . import events as e
from .playing import Heads
from .saying import request
from .state import State

__all__ = ["decide_said", "decide_signal"]


def decide_signal(state: State, received: e.SignalReceived) -> Iterator[e.Event]:
    """A signal from outside; one with a key that was received before is no new fact."""
    if received.key not in state.signals.keys:
        yield received


def decide_said(state: State, heads: Heads, asked: e.SayRequested) -> Iterator[e.Event]:
    """A say from outside; one with a key that was asked for before is no new fact."""
    if asked.command.key not in state.delivery.outside and asked.say not in state.delivery.says:  # a key is its say's id
        yield from request(state, heads, asked)
