"""How a divergence is told: both sides of it, never mixed up."""

from ..core import commands as c
from ..core import events as e

__all__ = ["brief", "command_of", "difference", "side", "site_of"]

_RECORDS_COMMAND = (
    e.InputRequested,
    e.SayRequested,
    e.CallRequested,
    e.StepRequested,
    e.StreamRequested,
    e.SignalAwaited,
    e.UpdateRequested,
    e.PatchMarked,
    e.EndRequested,
)


def command_of(event: e.Event) -> tuple[int, c.Command]:
    """The index and command that an event of the journal records."""
    if isinstance(event, _RECORDS_COMMAND):
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
    site: c.Site = getattr(event, "site", c.Site("", 0))
    return site


def brief(command: c.Command) -> str:
    match command:
        case c.Say():
            return f"say({_short(command.text)})"
        case c.Call():
            given = [_short(value) for value in command.args]
            given += [f"{key}={_short(value)}" for key, value in command.kwargs.items()]
            return f"call({', '.join([_short(command.target), *given])})"
        case c.Input():
            return "input()" if command.timeout_s is None else f"input(timeout={command.timeout_s:g})"
        case c.Step() | c.Stream():
            given = [_short(value) for value in command.args]
            given += [f"{key}={_short(value)}" for key, value in command.kwargs.items()]
            kind = "step" if isinstance(command, c.Step) else "stream"
            return f"{kind}({', '.join([command.name.rpartition(':')[2], *given])})"
        case c.AwaitSignal():
            return f"signal({_short(command.name)})"
        case c.Update():
            parts = {"instructions": command.instructions, "tools": command.tools, "voice": command.voice}
            changed = [f"{key}={_short(value)}" for key, value in parts.items() if value is not None]
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


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, str) else '"' + value.replace("\n", "\\n") + '"'
    return text if len(text) <= 60 else text[:57] + '…"'


def side(command: c.Command, site: c.Site, code: str, python: str) -> str:
    where = f"{site.file.rpartition('/')[2]}:{site.line}" if site.line else ""
    return f"{brief(command):<44} {where:<24} code {code or '?':<8}  Python {python}"


def difference(then: c.Command | None, now: c.Command | None) -> str:
    if then is None:
        return "a command was added at the end"
    if now is None:
        return "a command is missing"
    if type(then) is not type(now):
        return "kind"
    for field in then.__struct_fields__:
        if getattr(then, field) != getattr(now, field):
            return f"{field}: {_short(getattr(then, field))} was recorded, now {_short(getattr(now, field))}"
    return "encoding"
