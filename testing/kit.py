"""What the fixture `turnlog` gives a test: calls on virtual time, all made from the test's seed."""

import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from ..engine.app import App
from .calls import Call, call
from .faults import Faults
from .virtual_loop import run_virtual

__all__ = ["Kit"]


class Kit:
    """seed: of this test, made of --turnlog-seed and the test's name. random: drawn from it, for the test's own choices."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)

    def call(self, app: App, target: str, **options: Any) -> AbstractAsyncContextManager[Call]:
        """`async with turnlog.call(app, "hotel.desk") as call:`; the options are those of turnlog.testing.call."""
        return call(app, target, **{"seed": self.seed, **options})

    def faults(self, **rates: float) -> Faults:
        """Faults of the test's seed, for `call(…, faults=…)`; the rates are those of turnlog.testing.FaultRates."""
        return Faults(self.seed, **rates)

    def run(self, app: App, target: str, script: Callable[[Call], Awaitable[object]], **options: Any) -> Call:
        """The same from a plain function: runs `script(call)` on virtual time; returns the call that is over."""

        async def main() -> Call:
            async with self.call(app, target, **options) as one:
                await script(one)
            return one

        return run_virtual(main())
