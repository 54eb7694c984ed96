"""Apps and handlers by name, MODULE:NAME, as commands and configurations name them. AgentField's are adapted when loaded."""

import importlib
import inspect
import os
import sys
from typing import Any, TextIO

from ..core.definition import Answers
from ..core.errors import DefinitionError
from .agentfield.adapt import adapt_agent, adapt_handler, is_agent
from .app import App, Handler
from .handlers.frames import raised_in

__all__ = ["load_app", "load_handler"]


def load_app(spec: str, *, answers: Answers = "handler") -> App:
    """The App that MODULE:NAME names, or an AgentField agent as one, whose sessions are answered by `answers`.

    Raises DefinitionError TL206, and as `adapt_agent`.
    """
    app = _load(spec, "APP")
    if is_agent(app):
        return adapt_agent(app, answers=answers)
    if not isinstance(app, App):
        hint = "name the module's App object, or an AgentField Agent"
        raise DefinitionError("TL206", f"{spec!r} is {type(app).__name__}, no turnlog.App", hint)
    return app


def load_handler(spec: str) -> Handler:
    """The handler that MODULE:FUNCTION names. Raises DefinitionError TL206."""
    handler = _load(spec, "FUNCTION")
    if not inspect.iscoroutinefunction(handler):
        raise DefinitionError("TL206", f"{spec!r} is no coroutine function", "name the handler's `async def`")
    return adapt_handler(handler)


def _load(spec: str, what: str) -> Any:
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute:
        raise DefinitionError("TL206", f"{spec!r} is not of the form MODULE:{what}", f"for example hotel:{what.lower()}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    streams = sys.stdout, sys.stderr
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise _not_imported(spec, error) from error
    finally:
        _put_back(*streams)
    try:
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise DefinitionError("TL206", f"cannot import {spec!r}: {error}", "check the name behind the colon") from None
    return found


def _put_back(stdout: TextIO, stderr: TextIO) -> None:
    """AgentField's SDK copies what is printed, by streams that take no bytes, though they say so: click cannot write to them."""
    if _is_agentfields(sys.stdout):
        sys.stdout = stdout
    if _is_agentfields(sys.stderr):
        sys.stderr = stderr


def _is_agentfields(stream: object) -> bool:
    return type(stream).__module__.partition(".")[0] == "agentfield"


def _not_imported(spec: str, error: Exception) -> DefinitionError:
    """What keeps a module from being imported: that it is not there, or something in it, and in which line."""
    module_name = spec.partition(":")[0]
    if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
        hint = "run it from the folder of the module, or install the module"
        return DefinitionError("TL206", f"cannot import {spec!r}: {error}", hint)
    frames = [frame for frame in raised_in(error.__traceback__) if not frame.startswith("<frozen importlib")]
    where = f" at {frames[-1].rpartition(' ')[0]}" if frames else ""
    if isinstance(error, ImportError):
        hint = "install what the module imports, or correct it"
        return DefinitionError("TL206", f"cannot import {spec!r}: {error}{where}", hint)
    message = f"importing {spec!r} raised {type(error).__name__}: {error}{where}"
    return DefinitionError("TL206", message, "the module must import without errors and without effects")
