"""A command as a handler issued it, and the line where it did."""

import asyncio
import os
import sys

import msgspec

from ...core import commands as c

__all__ = ["Issued", "call_site"]

# The package's own folder, by both of its names: through the symlink and real.
_OWN = tuple({os.path.dirname(os.path.dirname(path(__file__))) for path in (os.path.abspath, os.path.realpath)})
_STDLIB = os.path.dirname(os.path.abspath(asyncio.__file__))


class Issued(msgspec.Struct, frozen=True):
    """A command with its place among the handler's commands and in its code."""

    index: int
    command: c.Command
    site: c.Site


def call_site() -> c.Site:
    """The innermost frame of the handler's own code."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith((*_OWN, _STDLIB)):
        frame = frame.f_back
    return c.Site(frame.f_code.co_filename, frame.f_lineno)
