"""Modules of this layer that need an extra, loaded when they are first used.

Strategy: such a module imports what it needs at its top, as any other does, and whoever can do without it asks for it here.
So the core install imports, runs and replays everything else, and a missing package is told with the extra that brings it.
"""

import importlib
from types import ModuleType

from ..core.errors import MissingExtra

__all__ = ["load"]


def load(module: str, extra: str, needed_for: str, *, package: str = __package__) -> ModuleType:
    """A module by its name below transports, e.g. "callers.webrtc", or another package. Raises MissingExtra TL601."""
    try:
        return importlib.import_module(f"{package}.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "turnlog").partition(".")[0] == "turnlog":
            raise  # the name is wrong, not the installation
        raise MissingExtra(extra, f"{needed_for} ({error.name} is not installed)") from error
