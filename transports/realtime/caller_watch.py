"""What a caller is told that asked to watch: each turn, and what became of each say, as the log has them. turnlog's own messages.

Invariant: the figures and words of `turnlog.say` are those of the SaySettled that it tells of. The ids are the caller's own.
What is needed for that is noted from the beginning, for a caller may ask to watch at any time.
"""

from typing import Any

import msgspec

from ...core import events as e
from ...core.commands import Say
from ...core.state import State
from .server import ServerProtocol

__all__ = ["CallerWatch", "WatchedEvent"]

WatchedEvent = e.SayRequested | e.SayDispatched | e.ResponseStarted | e.SaySettled | e.TurnEnded


class _Asked(msgspec.Struct, kw_only=True):
    """A say that is not settled."""

    command: Say
    pieces: dict[int, str] = {}  # those that were asked for
    responses: list[str] = []  # that spoke it, in the provider's ids

    @property
    def text(self) -> str:
        if self.command.stream:
            return "".join(words for _, words in sorted(self.pieces.items()))
        return self.command.clip.name if self.command.clip else self.command.text


class CallerWatch:
    """One caller's watch; silent until `on`."""

    def __init__(self, server: ServerProtocol) -> None:
        self.on = False
        self._server = server
        self._says: dict[str, _Asked] = {}

    def begin(self, state: State) -> None:
        """Note the says that were asked for before this caller came."""
        for name, say in state.delivery.says.items():
            self._says[name] = _Asked(command=say.command, pieces=dict(enumerate(say.pieces[: say.piece])))

    def note(self, event: e.SayRequested | e.SayDispatched | e.ResponseStarted) -> None:
        """Keep what is to be told later."""
        match event:
            case e.SayRequested():
                self._says[event.say] = _Asked(command=event.command)
            case e.SayDispatched() if event.say in self._says:
                self._says[event.say].pieces[event.part] = event.text
            case e.ResponseStarted(say=str(), dead=False) if event.say in self._says:
                self._says[event.say].responses.append(event.response)

    def responses(self, say: str) -> list[str]:
        """The responses that spoke a say, in the provider's ids, in order."""
        asked = self._says.get(say)
        return asked.responses if asked else []

    def turn(self, event: e.TurnEnded, item: str, at_ms: int) -> None:
        """Tell of a turn; `item` is the caller's id of what it was said or typed in."""
        if self.on:
            told = msgspec.structs.asdict(event)
            del told["item"]
            self._server.tell("turnlog.turn", item_id=item, at_ms=at_ms, **told)

    def settled(self, event: e.SaySettled, shown: list[tuple[str, list[str]]], at_ms: int) -> None:
        """Tell what became of a say; `shown`: each response of it that the caller saw, in its ids, with its items."""
        asked = self._says.pop(event.say, None)
        if not self.on:
            return
        responses = [response for response, _ in shown]
        items = [item for _, those in shown for item in those]
        ids: dict[str, Any] = {"response_id": next(iter(responses), None), "item_id": next(iter(items), None)}
        told = {**ids, "response_ids": responses, "item_ids": items, "at_ms": at_ms, "text": asked.text if asked else ""}
        interrupted = event.status == "interrupted"
        self._server.tell("turnlog.say", **told, **msgspec.structs.asdict(event), interrupted=interrupted)
