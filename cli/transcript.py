"""A conversation as its log tells it, while it happens: lines for people, and whether the other side has finished.

It reads what is committed and nothing else, so what is shown is what can be replayed.
"""

import asyncio
from collections.abc import Callable

from ..core import commands as c
from ..core import events as e
from ..core.codec import decode, decode_value
from ..core.ports import Log
from .essence import call_text

__all__ = ["Progress", "Transcript"]

_POLL_S = 0.1


class Progress:
    """What is open in a session, counted from its events."""

    def __init__(self) -> None:
        self.turns = 0
        self.asked = 0  # times the handler asked for a turn
        self._inputs: set[str] = set()  # speech under way, or committed and not a turn yet
        self._says: set[str] = set()

    @property
    def idle(self) -> bool:
        """Whether everything said was answered and heard, and the handler waits for the next turn."""
        return self.asked > self.turns and not self._inputs and not self._says

    def apply(self, event: object) -> None:
        """Count one event."""
        match event:
            case e.SpeechStarted() | e.InputCommitted():
                self._inputs.add(event.item)
            case e.TurnEnded():
                self.turns += 1
                self._inputs.discard(event.item)
            case e.TurnDiscarded():
                self._inputs.discard(event.item)
            case e.InputRequested():
                self.asked += 1
            case e.SayRequested():
                self._says.add(event.say)
            case e.SaySettled():
                self._says.discard(event.say)


class Transcript:
    """Follows one session of a log. `write` is given ms since the session's start, who, and a line."""

    def __init__(self, log: Log, session: str, write: Callable[[int, str, str], None]) -> None:
        self.progress = Progress()
        self._log = log
        self._session = session
        self._write = write
        self._seen = (0, 0)  # seq of the last event read, ns of the first
        self._reading = asyncio.Lock()

    async def follow(self) -> None:
        """Read on until cancelled."""
        while True:
            await self.catch_up()
            await asyncio.sleep(_POLL_S)

    async def catch_up(self) -> None:
        """Read what there is by now."""
        async with self._reading:
            seq, started_ns = self._seen
            async for recorded in self._log.read(self._session, after=seq):
                started_ns = started_ns or recorded.at_ns
                self._seen = (recorded.seq, started_ns)
                event = decode(recorded)
                self.progress.apply(event)
                for who, line in _lines(event):
                    self._write((recorded.at_ns - started_ns) // 1_000_000, who, line)

    async def note(self, now_ns: int, who: str, line: str) -> None:
        """Say something that is not in the log, in its place."""
        await self.catch_up()
        self._write((now_ns - self._seen[1]) // 1_000_000, who, line)

    async def until(self, condition: Callable[[], bool], limit_s: float | None = None) -> bool:
        """Wait until something holds that the log can bring; False if it did not within the limit."""
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    await self.catch_up()
                    if condition():
                        return True
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return False


def _lines(event: object) -> list[tuple[str, str]]:
    match event:
        case e.SessionStarted():
            definition = event.definition
            return [("session", f"{event.session}: {event.target}, {definition.provider} {definition.transport}")]
        case e.TurnEnded(channel="text"):
            return [("caller", f'typed: "{event.text}"')]
        case e.TurnEnded(channel="dtmf"):
            return [("caller", f"pressed: {event.text}")]
        case e.TurnEnded():
            status = "" if event.transcript_status == "completed" else f" (recognition {event.transcript_status})"
            return [("caller", f'heard as: "{event.text}"{status}')]
        case e.TurnDiscarded():
            return [("caller", f"(no turn: {event.reason})")]
        case e.CallRequested():
            return [("tool", call_text(event.command))]
        case e.CallCompleted():
            return [("tool", f"= {decode_value(event.result, 'a result')!r}")]
        case e.CallFailed():
            return [("tool", f"failed: {event.type_name}: {event.message}")]
        case e.SayRequested():
            return [("desk", _words(event.command))]
        case e.SaySettled():
            heard = f", {event.heard_ms} ms" if event.heard_ms else ""
            return [("desk", f"  {event.status}{heard}{': ' + event.code if event.code else ''}")]
        case e.PlayoutEnded(say=None) if event.heard:
            heard = " ".join(part.heard_text for part in event.heard if part.heard_text)
            return [("model", f'"{heard}"{" (cut short)" if event.interrupted else ""}')]
        case e.AnswersSwitched():
            return [("session", f"the {event.answers} answers from here on")]
        case e.PeerFaulted() | e.LinkFailed():
            return [("problem", f"{event.code} {event.message}")]
        case e.HandlerFailed():
            return [("problem", f"the handler raised {event.type_name}: {event.message}")]
        case e.SessionEnded():
            return [("session", f"ended: {event.reason}")]
    return []


def _words(command: c.Say) -> str:
    if command.clip:
        return f"(clip {command.clip.name})"
    return f'"{command.text}…"' if command.stream else f'"{command.text}"'
