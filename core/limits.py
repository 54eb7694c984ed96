"""What one key may ask of a server, as values. Who counts, and what an excess is answered with, is the server's affair."""

from typing import Annotated

import msgspec
from msgspec import Meta

from .errors import DefinitionError

__all__ = ["Limits"]

_Count = Annotated[int, Meta(gt=0)] | None
_Positive = Annotated[float, Meta(gt=0)] | None


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """None: no limit of its own. requests_s: requests a second, in the mean. sessions: at the same time. body_bytes: of one
    request. message_bytes and messages_s: of one socket, one message and messages a second.

    Raises DefinitionError TL201 for what is no positive number.
    """

    requests_s: Annotated[_Positive, Meta(description="requests a second of one key")] = None
    sessions: Annotated[_Count, Meta(description="sessions of one key at a time")] = None
    body_bytes: Annotated[_Count, Meta(description="the largest body of a request")] = None
    message_bytes: Annotated[_Count, Meta(description="the largest message over a WebSocket")] = None
    messages_s: Annotated[_Positive, Meta(description="messages a second over one WebSocket")] = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            given = getattr(self, name)
            if given is not None and not 0 < given < float("inf"):
                raise DefinitionError("TL201", f"{name}={given!r} is no limit", "a limit is a number above 0", field=name)

    def over(self, general: "Limits") -> "Limits":
        """These, and where one has none of its own the general one."""
        own = {name: getattr(self, name) for name in self.__struct_fields__}
        return Limits(**{name: getattr(general, name) if one is None else one for name, one in own.items()})
