"""What the embedding program asks of a running session, checked and ready for its inbox: signals and says. Pure."""

from hashlib import sha256
from typing import Any

import msgspec

from ..core import events as e
from ..core.commands import Site, plain
from ..core.errors import HandlerError
from .handlers.say_command import say_command
from .inbox import Signalled, Told

__all__ = ["signalled", "told"]

_NOWHERE = Site("", 0)  # no line of a handler's asked for it


def signalled(name: str, data: Any, key: str) -> Signalled:
    """A signal. Raises HandlerError TL105 for data that cannot be stored, and a name or key that is no string."""
    for part, given in (("name", name), ("key", key)):
        if type(plain(given, f"signal() {part}")) is not str:
            raise HandlerError("TL105", f"signal({part}={given!r}): it is no string", "pass a string")
    stored = msgspec.msgpack.encode(plain(data, f"signal({name!r})"))
    return Signalled(e.SignalReceived(name=name, data=stored, key=key))


def told(text: str, *, turn: int, made: str, options: dict[str, Any]) -> Told:
    """A say from outside. turn: the session's last; made: an id, for a say without a key. A key is its own id.

    Raises HandlerError TL105 for what is nothing to say, TL111 for an option that is none.
    """
    if type(text) is not str:
        raise HandlerError("TL105", f"say({text!r:.80}): it is no string", "pass the words to be spoken")
    command = say_command(plain(text, "say() text"), turn=turn, live=True, options=options)
    key = plain(command.key, "say() key")
    say = f"said_{sha256(key.encode()).hexdigest()[:20]}" if key else made
    return Told(e.SayRequested(index=0, say=say, command=command, site=_NOWHERE))
