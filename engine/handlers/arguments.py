"""What a handler hands to its session, checked where it does: what cannot be meant or stored raises at the handler's line."""

import sys
from collections.abc import Callable
from typing import Any

from ...core import commands as c
from ...core.errors import HandlerError
from ..naming import function_name

__all__ = ["asked_of", "seconds", "text", "tries"]


def text(given: object, what: str) -> None:
    """Refuse what is no string, or none that can be stored. Raises HandlerError TL105."""
    if type(given) is not str:
        raise HandlerError("TL105", f"{what}: {given!r} is no string", "pass a string")
    c.plain(given, what)


def seconds(timeout: float | None, call: str) -> float | None:
    """A limit in seconds, or None. Raises ValueError."""
    if timeout is None:
        return None
    if type(timeout) not in (int, float) or not 0 < timeout <= sys.float_info.max:
        raise ValueError(f"{call}(timeout={timeout!r}): a positive number of seconds, or None")
    return float(timeout)


def tries(timeout: float | None, retries: int, backoff: float) -> c.Options:
    """How often and how long a call is tried. Raises ValueError."""
    limit_s = seconds(timeout, "options")
    if type(retries) is not int or not 0 <= retries < 2**63:
        raise ValueError(f"options(retries={retries!r}): a number of attempts, 0 or more")
    if type(backoff) not in (int, float) or not 0 <= backoff <= sys.float_info.max:
        raise ValueError(f"options(backoff={backoff!r}): a number of seconds, 0 or more")
    return c.Options(timeout_s=limit_s, retries=retries, backoff_s=float(backoff))


def asked_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A function of a step or stream and its arguments, as they are stored. Raises HandlerError TL105."""
    if not callable(function):
        raise HandlerError("TL105", f"step({function!r}): it cannot be called", "pass a function and its arguments")
    name = function_name(function)
    return {"name": name, "args": c.plain(args, f"{name} args"), "kwargs": c.plain(kwargs, name)}
