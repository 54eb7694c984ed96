"""`turnlog replay --pdb`: plain pdb on the line where a handler stands in a replay.

Nothing runs while it is looked at: time in a replay passes only from event to event. So what steps in pdb is refused, and
`back SEQ` replays to another event instead.
"""

import pdb
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

from ..core.errors import Divergence, TurnlogError
from ..core.ports import Recorded
from ..engine.app import Handler
from ..engine.offline.replay import ReplayRun
from ..engine.offline.standing import Kept, standing_frames

__all__ = ["Debugger"]

_NO_STEPS = "the handler stands still: `back SEQ` replays to another event, `c` or `q` leaves"


class Debugger(pdb.Pdb):
    """pdb in a replay of `log`. `diverged` tells whether the last one did."""

    def __init__(self, log: Sequence[Recorded], handler: Handler) -> None:
        super().__init__(nosigint=True)
        self.prompt = "(turnlog) "
        self.diverged = False
        self._log = log
        self._handler = handler
        self._run: ReplayRun | None = None
        self._frames: list[tuple[FrameType, int]] = []

    def look(self, seq: int | None) -> None:
        """Replay to an event, the divergence, or the end, and let a person look around there."""
        try:
            self._go(seq)
            self.reset()
            self.interaction(self._frames[-1][0], None)
        finally:
            self._leave()

    def _go(self, seq: int | None) -> None:
        self._leave()
        kept = Kept(self._handler)
        self._run = run = ReplayRun(self._handler, self._log, kept)
        self.diverged = False
        try:
            done = run.run(seq)
        except Divergence as error:
            self.diverged = True
            self.message(str(error))
        else:
            place = "the end" if seq is None else f"event {seq}"
            self.message(f"at {place}: {done.commands} commands were the same")
        assert run.live is not None  # or run() had raised
        self._frames = standing_frames(run.live, kept)
        if run.live.finished:
            self.message("the handler has raised" if run.live.failure else "the handler has returned; this is its last line")

    def _leave(self) -> None:
        if self._run:
            self._run.close()
            self._run = None

    def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
        """The handler's frames alone."""
        return self._frames, len(self._frames) - 1

    def do_back(self, arg: str) -> None:
        """back SEQ

        Replay again, to event SEQ, and stand there. Without SEQ: to the divergence or the end.
        """
        seq = arg.strip()
        if seq and not (seq.isdecimal() and 1 <= int(seq) <= self._log[-1].seq):
            self.error(f"back SEQ: a number from 1 to {self._log[-1].seq}")
            return
        try:
            self._go(int(seq) if seq else None)
        except TurnlogError as error:
            self.error(str(error))
        self.setup(self._frames[-1][0], None)
        self.print_stack_entry(self.stack[self.curindex])

    def do_continue(self, arg: str) -> bool:
        """c(ont(inue))

        Leave: a replay is over where it stands.
        """
        return bool(self.do_quit(arg))

    do_c = do_cont = do_continue

    def _stands(self, arg: str) -> None:
        """Refused: the handler stands still in a replay. `back SEQ` goes to another event."""
        self.error(_NO_STEPS)

    do_step = do_s = do_next = do_n = do_until = do_unt = do_return = do_r = do_jump = do_j = do_run = do_restart = _stands

    def error(self, msg: str) -> None:
        """Told as pdb tells it."""
        self.message(f"*** {msg}")

    def message(self, msg: Any) -> None:
        """A line to the person."""
        print(msg, file=self.stdout)
