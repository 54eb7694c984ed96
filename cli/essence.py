"""What of an event matters to a reader, in a line. Pure."""

from typing import Any

from ..core import commands as c
from ..core import events as e
from ..core.codec import decode_value
from ..engine.offline.divergence import brief
from .essence_spoken import essence_spoken

__all__ = ["call_text", "essence"]


def essence(event: e.Event | e.Unknown | e.Erased) -> str:
    """The point of an event in some words, without its type. One line, of any length."""
    return " ".join(_essence(event).split())


def _essence(event: e.Event | e.Unknown | e.Erased) -> str:
    match event:
        case e.SessionStarted():
            definition = event.definition
            return f"{event.target} by {event.handler}, {definition.provider} {definition.transport}, Python {event.python}"
        case e.CallerAwaited():
            whose = f"{event.link} dropped ({event.code} {event.reason})" if event.link else "the session's first caller"
            return f"{whose}, awaited for {event.grace_ms / 1000:g} s"
        case e.SessionEnding() | e.SessionEnded():
            return " ".join(filter(None, (event.reason, event.code, event.detail)))
        case e.TurnEnded():
            status = "" if event.transcript_status == "completed" else f" ({event.transcript_status})"
            cut = f", cut {' '.join(event.interrupted)}" if event.interrupted else ""
            return f'turn {event.turn} "{event.text}"{status}{cut}'
        case e.InputTranscribed() | e.TranscriptArrivedLate():
            return f'{event.item} "{event.transcript}"'
        case e.SayRequested():
            return f"#{event.index} {event.say} {_said(event)}"
        case e.SayRepeated():
            return f"#{event.index} {event.say} again, by its key {event.command.key!r}"
        case e.SaySettled():
            code = f" {event.code}" if event.code else ""
            return f"{event.say} {event.status}{code}, heard {event.heard_ms} ms of {event.generated_ms} ms"
        case e.CallRequested():
            return f"#{event.index} {call_text(event.command)}"
        case e.StepRequested() | e.StreamRequested() | e.SignalAwaited() | e.UpdateRequested() | e.PatchMarked():
            return f"#{event.index} {brief(event.command)}"
        case e.EndRequested() | e.SayCancelRequested():
            return f"#{event.index} {brief(event.command)}"
        case e.StreamItem():
            return f"#{event.index} item {event.n} {_value(event.item)!r}"
        case e.StreamEnded() | e.UpdateApplied():
            return f"#{event.index} {getattr(event, 'message', '')}"
        case e.AttemptFailed():
            return f"#{event.index} attempt {event.attempt}: {event.type_name}: {event.message}"
        case e.UpdateRefused():
            return f"#{event.index} {event.code}: {event.message}"
        case e.SignalReceived():
            return f"{event.name} {_value(event.data)!r} {event.key}"
        case e.OutsideCallRequested():
            by = ", ".join(filter(None, (event.caller, event.peer, event.agent)))
            return f"{event.execution} {event.target}({event.arguments}) by HTTP, {by}"
        case e.OutsideCallEnded():
            return f"{event.execution} {event.status} {event.output or event.error or event.elsewhere}"
        case e.CallCompleted():
            return f"#{event.index} {_value(event.result)!r}"
        case e.CallFailed():
            return f"#{event.index} {event.type_name}: {event.message}"
        case e.HandlerFailed():
            where = f" at {event.traceback[-1].rpartition('/')[2]}" if event.traceback else ""
            return f"#{event.index} {event.type_name}: {event.message}{where}"
        case e.InputRequested():
            limit = "" if event.command.timeout_s is None else f"timeout={event.command.timeout_s:g}"
            return f"#{event.index} input({limit})"
        case e.CommandAbandoned():
            return f"#{event.index} waits for #{event.command} no more"
        case e.HandlerReturned():
            return f"#{event.index}"
        case e.TimerFired():
            return f"timer {event.timer}"
        case _:
            return essence_spoken(event)


def _value(data: bytes) -> Any:
    return decode_value(data, "a recorded value")


def _said(event: e.SayRequested) -> str:
    """The words of a say, or where they come from, behind what is special about it."""
    command = event.command
    when = "" if command.when == "queue" else f"{command.when}: "
    if event.index == 0 and not event.say.startswith(e.FILLER):
        when = f"from outside: {when}"
    elif event.index == 0:
        when = f"filler of {command.metadata.get('filler', '')}: "
    if command.clip:
        return f"{when}clip {command.clip.name}"
    words = [f'"{command.text}"'] if command.text else []
    return when + ", then ".join(words + ([f"the stream #{command.stream}"] if command.stream else []))


def call_text(command: c.Call) -> str:
    """The call as its handler wrote it."""
    given = [repr(value) for value in command.args] + [f"{key}={value!r}" for key, value in command.kwargs.items()]
    return f"{command.target}({', '.join(given)})"
