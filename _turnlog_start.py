"""How the command starts: Ctrl-C ends it quietly from its first moment on, with 130, also while turnlog is being imported.

Beside the package, because importing anything inside of it imports all of it, which takes some 0.4 s: the console script comes
here first, and for `python -m turnlog` the package imports this before all else. Python's own handler raises KeyboardInterrupt in
the middle of an import, where it is a traceback, or is printed and lost in a callback of the import system.
"""

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import FrameType
from typing import NoReturn

__all__ = ["INTERRUPTED", "main", "quiet_imports"]

INTERRUPTED = 130


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End at once. Nothing has begun that would have to be put in order."""
    os._exit(INTERRUPTED)


def _begin() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # who ignores it, as a shell's `command &`, goes on
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Ctrl-C ends the process meanwhile, if it is this command's: for imports between its start and its work."""
    handled = signal.getsignal(signal.SIGINT)
    if not _started or handled is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handled)


def main() -> None:
    """The command `turnlog`."""
    _started.append(True)
    _begin()
    run = importlib.import_module("turnlog.cli.main").main
    try:
        if signal.getsignal(signal.SIGINT) is _leave:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        run()
    except KeyboardInterrupt:  # before or behind what `run` takes care of
        os._exit(INTERRUPTED)
    finally:
        _begin()  # what is left is the interpreter's own end


def _is_run_as_module() -> bool:
    """Whether this is `python -m turnlog`, whose module is still being looked for."""
    words = sys.orig_argv
    return sys.argv[:1] == ["-m"] and ("-mturnlog" in words or ("-m", "turnlog") in pairwise(words))


_started: list[bool] = []

if _is_run_as_module():
    _begin()
