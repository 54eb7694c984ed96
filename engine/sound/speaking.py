"""Speaking: the mouth's way out to the callers' lines, and the one timer by which what waits leaves at its time.

Media waits for no append. But it may not overtake a message that does, nor what is still to be decided: a cut may be among it.
What is due then leaves a moment later.
"""

import asyncio
from collections.abc import Callable

from ..clock import Clock
from ..intake import Intake
from .media import MediaRouter
from .mouth import Mouth

__all__ = ["Speaking"]

_PAUSE_S = 0.005  # until it is looked again whether media may pass


class Speaking:
    """The Outlet of a session's mouth. `started` and `emptied` let the live loop decide what follows: see Outlet."""

    def __init__(
        self,
        mouth: Mouth,
        media: MediaRouter,
        intake: Intake,
        clock: Clock,
        started: Callable[[str, int], None],
        emptied: Callable[[], None],
    ) -> None:
        mouth.outlet = self
        self._mouth = mouth
        self._media = media
        self._intake = intake
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self.deliver = media.deliver
        self.started = started
        self.emptied = emptied

    def held(self) -> None:
        """Arm the timer for what begins to wait."""
        self.stop()
        self._arm()

    def stop(self) -> None:
        """What still waits stays where it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, least_s: float = 0.0) -> None:
        due_ns = self._mouth.due_ns()
        if due_ns is not None:
            delay_s = max(least_s, (due_ns - self._clock.now_ns()) / 1e9)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._release)

    def _release(self) -> None:
        self._timer = None
        if not self._intake.may_pass:
            self._arm(_PAUSE_S)
            return
        now_ns = self._clock.now_ns()
        try:
            self._mouth.release(now_ns)
        finally:
            self._arm()
            if self._media.begins:
                self._intake.write_behind(now_ns)
