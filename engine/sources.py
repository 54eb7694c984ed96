"""What an engine takes from outside of the program: the time, and random bytes. Tests give it others (turnlog.testing)."""

import os
from collections.abc import Callable
from typing import NamedTuple

from .clock import Clock

__all__ = ["SYSTEM", "Sources"]


class Sources(NamedTuple):
    """clock: makes the clock of one session. entropy(n): n random bytes, for ids and for the nonces of events."""

    clock: Callable[[], Clock] = Clock
    entropy: Callable[[int], bytes] = os.urandom


SYSTEM = Sources()
"""The host's own clock and randomness."""
