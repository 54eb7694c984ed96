"""What an engine takes from outside of the program: time, random bytes, a voice. Tests give it others (turnlog.testing)."""

import os
from collections.abc import Callable
from typing import NamedTuple

from ..transports.speech.engines import load_synthesiser
from ..transports.speech.synthesise import Synthesiser
from .clock import Clock

__all__ = ["SYSTEM", "Sources"]


class Sources(NamedTuple):
    """clock: makes the clock of one session. entropy(n): n random bytes, for ids and for the nonces of events.

    voice: loads, in a thread and when it is first needed, what speaks says of the mode "tts"; raises TurnlogError where there
    is none.
    """

    clock: Callable[[], Clock] = Clock
    entropy: Callable[[int], bytes] = os.urandom
    voice: Callable[[], Synthesiser] = load_synthesiser


SYSTEM = Sources()
"""The host's own clock, randomness and voice."""
