"""The demo's second half: what was just said, told again from the log, by a changed handler first and then by the same one."""

import importlib.util
import inspect
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from ..core.codec import decode
from ..core.events import SayRequested
from ..core.ports import Recorded
from ..engine.app import Handler

__all__ = ["Edited", "edit_handler"]


class Edited:
    """A handler after one line of its file was changed: the file, the line's number, and both wordings."""

    def __init__(self, handler: Handler, path: Path, line: int, change: tuple[str, str]) -> None:
        self.handler = handler
        self.path = path
        self.line = line
        self.before, self.after = change


def edit_handler(module: ModuleType, name: str, events: Iterable[Recorded], folder: Path) -> Edited | None:
    """Copy the module of handler `name` into `folder` with one of the says that were recorded worded differently.

    None if no recorded say stands in the source as it was said.
    """
    source = inspect.getsource(module)
    says = [event.command.text for event in map(decode, events) if isinstance(event, SayRequested) and event.index]
    literal = list(dict.fromkeys(text for text in says if f'"{text}"' in source))
    if not literal:
        return None
    before = _choose(literal)
    after = f"Certainly. {before}"
    path = folder / "hotel_edited.py"
    path.write_text(source.replace(f'"{before}"', f'"{after}"'), encoding="utf-8")
    line = source[: source.index(f'"{before}"')].count("\n") + 1
    return Edited(_load(path, name), path, line, (before, after))


def _choose(texts: Sequence[str]) -> str:
    """One from the middle of the conversation, so that something matches before it differs."""
    return texts[len(texts) // 2]


def _load(path: Path, name: str) -> Handler:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # a file that was just written, named .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # inspect finds a handler's source through it
    spec.loader.exec_module(module)
    handler: Handler = getattr(module, name)
    return handler
