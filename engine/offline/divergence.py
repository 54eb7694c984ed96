"""How two commands differ, and how a command is written in a line. Pure; core/divergence.py says what comes of it."""

from typing import Any

from ...core import commands as c
from ...core import events as e
from ...core.divergence import DivergenceKind

__all__ = ["RECORDS_COMMAND", "brief", "command_of", "first_difference", "kind_of", "records_command", "site_of"]

_WITH_COMMAND = (
    e.InputRequested,
    e.SayRequested,
    e.SayRepeated,
    e.SayCancelRequested,
    e.CallRequested,
    e.StepRequested,
    e.StreamRequested,
    e.SignalAwaited,
    e.UpdateRequested,
    e.PatchMarked,
    e.EndRequested,
)
RECORDS_COMMAND = (*_WITH_COMMAND, e.CommandAbandoned, e.HandlerReturned, e.HandlerFailed)
_NOTHING: Any = object()
_VALUE = 60  # columns of a value within a command
_EACH = 24  # columns of each of two values side by side
_CONTEXT = 6  # characters shown before the first that differs


def records_command(event: e.Event) -> bool:
    """Whether this is what the handler asked for. Index 0 is the engine's own (a filler): no handler's, so never compared."""
    return isinstance(event, RECORDS_COMMAND) and event.index != 0


def command_of(event: e.Event) -> tuple[int, c.Command]:
    """The index and command that an event of the journal records."""
    if isinstance(event, _WITH_COMMAND):
        return event.index, event.command
    match event:
        case e.CommandAbandoned():
            return event.index, c.Abandon(command=event.command)
        case e.HandlerFailed():
            return event.index, c.Fail(type_name=event.type_name, message=event.message)
        case e.HandlerReturned():
            return event.index, c.Return()
    raise TypeError(f"{type(event).__name__} records no command")


def site_of(event: e.Event) -> c.Site:
    """Where the handler's code issued it; line 0 where that was not recorded."""
    site: c.Site = getattr(event, "site", c.Site("", 0))
    return site


def kind_of(then: c.Command | None, now: c.Command | None) -> DivergenceKind:
    """What sort of difference this is. None: the log, or the handler, has no command here."""
    match then, now:
        case (None | c.Return(), c.Fail()):
            return "raised"
        case (None | c.Return(), _) if now is not None:
            return "added"
        case (_, None):
            return "waits"
        case (_, c.Return()):
            return "ended"
        case _ if type(then) is type(now):
            return "arguments"
        case (_, c.Fail()):
            return "raised"
    return "kind"


def first_difference(then: c.Command | None, now: c.Command | None) -> tuple[str, str]:
    """The path of the first field that differs ("" if none does), and the difference in words."""
    match kind_of(then, now):
        case "added":
            return "", "a command was added at the end"
        case "waits":
            return "", "a command is missing: the handler waits for what the log does not bring"
        case "ended":
            return "", "a command is missing: the handler has returned"
        case "raised":
            assert isinstance(now, c.Fail)
            return "", f"an exception where there was none: {now.type_name}: {_one_line(now.message)}"
        case "kind":
            return "", "kind"
    assert then is not None and now is not None
    for field in (name for name in then.__struct_fields__ if name not in ("turn", "after", "frames")):
        if found := _differs(getattr(then, field), getattr(now, field), field):
            path, old, new = found
            old_text, new_text = _apart(old, new)
            return path, f"{path}: {old_text} was recorded, now {new_text}"
    return "", "encoding"


def _differs(then: Any, now: Any, path: str) -> tuple[str, Any, Any] | None:
    """(path, recorded, now) of the first part that is not the same, in the order of the recorded one."""
    match then, now:
        case (dict(), dict()):
            keys = [*then, *(key for key in now if key not in then)]
            parts = ((_differs(then.get(key, _NOTHING), now.get(key, _NOTHING), f"{path}.{key}")) for key in keys)
            return next((part for part in parts if part), None)
        case (list(), list()):
            length = max(len(then), len(now))
            both = ((_at(then, n), _at(now, n)) for n in range(length))
            return next((part for n, (old, new) in enumerate(both) if (part := _differs(old, new, f"{path}[{n}]"))), None)
        case (c.Options(), c.Options()):
            fields = then.__struct_fields__
            parts = (_differs(getattr(then, name), getattr(now, name), f"{path}.{name}") for name in fields)
            return next((part for part in parts if part), None)
    return None if type(then) is type(now) and then == now else (path, then, now)


def _at(items: list[Any], n: int) -> Any:
    return items[n] if n < len(items) else _NOTHING


def _apart(old: Any, new: Any) -> tuple[str, str]:
    """Both values in a line; of long texts the place where they part."""
    if isinstance(old, str) and isinstance(new, str):
        same = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        start = same - _CONTEXT
        if max(len(old), len(new)) > _EACH and start > 1:
            return _short("…" + old[start:], _EACH), _short("…" + new[start:], _EACH)
    return _short(old, _EACH), _short(new, _EACH)


def brief(command: c.Command) -> str:
    """The command as it would be written, in a line."""
    match command:
        case c.Say():
            return f"say({_short(command.text or (command.clip.name if command.clip else 'a stream'))})"
        case c.CancelSay():
            return f"cancel({command.say})"
        case c.Call():
            return f"call({', '.join([_short(command.target), *_given(command.args, command.kwargs)])})"
        case c.Input():
            return "input()" if command.timeout_s is None else f"input(timeout={command.timeout_s:g})"
        case c.Step() | c.Stream():
            kind = "step" if isinstance(command, c.Step) else "stream"
            return f"{kind}({', '.join([command.name.rpartition(':')[2], *_given(command.args, command.kwargs)])})"
        case c.AwaitSignal():
            return f"signal({_short(command.name)})"
        case c.Update():
            parts = ((name, getattr(command, name)) for name in command.__struct_fields__)
            changed = [f"{name}={_short(value)}" for name, value in parts if value is not None]
            return f"update({', '.join(changed)})"
        case c.Patch():
            return f"patched({_short(command.name)})"
        case c.End():
            return f"end({_short(command.reason)})"
        case c.Abandon():
            return f"(cancelled #{command.command})"
        case c.Return():
            return "return"
        case c.Fail():
            return f"raise {command.type_name}({_short(command.message)})"


def _given(args: list[Any], kwargs: dict[str, Any]) -> list[str]:
    return [*map(_short, args), *(f"{key}={_short(value)}" for key, value in kwargs.items())]


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n")


def _short(value: object, columns: int = _VALUE) -> str:
    if value is _NOTHING:
        return "nothing"
    text = repr(value) if not isinstance(value, str) else f'"{_one_line(value)}"'
    closing = '…"' if isinstance(value, str) else "…"
    return text if len(text) <= columns else text[: columns - len(closing)] + closing
