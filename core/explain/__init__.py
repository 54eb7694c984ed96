"""Why: questions to one session's log, answered from its events and the state they fold to. Pure.

Nothing here guesses. What the log does not hold is said so: "unexplained" in a gap, `estimated` on words, `basis` on a time.
"""

from .late import Late, Stretch, why_late
from .picture import picture
from .said import Said, why_said
from .silent import Waiter, why_silent
from .stopped import Stopped, why_stopped
from .trail import Entry, Link, Trail

__all__ = [
    "Entry",
    "Late",
    "Link",
    "Said",
    "Stopped",
    "Stretch",
    "Trail",
    "Waiter",
    "picture",
    "why_late",
    "why_said",
    "why_silent",
    "why_stopped",
]
