"""Which frames are a handler's own: those that are neither of the standard library nor of turnlog.

Rule: examples and servers are no such part of turnlog; what an environment has installed may be the handler's.
"""

import asyncio
import os
from types import TracebackType

__all__ = ["MOST_FRAMES", "is_own", "raised_in"]

MOST_FRAMES = 20
_PACKAGES = {os.path.dirname(os.path.dirname(os.path.dirname(path(__file__)))) for path in (os.path.abspath, os.path.realpath)}
_OURS = tuple(os.path.join(root, part) + os.sep for root in _PACKAGES for part in ("core", "engine", "store", "transports"))
_STDLIB = os.path.dirname(os.path.dirname(os.path.abspath(asyncio.__file__))) + os.sep
_INSTALLED = os.path.join(_STDLIB, "site-packages") + os.sep


def is_own(file: str) -> bool:
    """Whether this file may be a handler's."""
    return not file.startswith(_OURS) and (file.startswith(_INSTALLED) or not file.startswith(_STDLIB))


def raised_in(traceback: TracebackType | None) -> list[str]:
    """The innermost of the own frames of a traceback, outermost first, each as "file:line function". No values."""
    frames: list[str] = []
    while traceback:
        code = traceback.tb_frame.f_code
        if is_own(code.co_filename):
            frames.append(f"{code.co_filename}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return frames[-MOST_FRAMES:]
