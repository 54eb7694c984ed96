"""The name by which a log knows a function: `module:qualname`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["function_name"]


def function_name(function: Callable[..., Any]) -> str:
    """The function's name. A script's own functions are named after its file, as when the file is imported for a replay."""
    module = getattr(function, "__module__", None) or "?"
    if module == "__main__":
        module = _main_name()
    return f"{module}:{getattr(function, '__qualname__', type(function).__name__)}"


def _main_name() -> str:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        name: str = spec.name
        return name.removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return Path(file).stem if file else "__main__"
