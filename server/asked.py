"""What a request asks for, whichever way its media will go: the session target, its metadata, and who asks.

Refused is raised out of an endpoint for what is wrong with the request itself, and makes the answer of it.
"""

from typing import Any

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response

from ..core.errors import DefinitionError, TurnlogError
from ..engine.directory import Directory
from .answers import error_answer

__all__ = ["Refused", "metadata_of", "peer_of", "target_of"]


class Refused(Exception):
    """A request that is wrong in a way of its own: the error, its status, and the parameter at fault."""

    def __init__(self, error: TurnlogError, status: int, param: str | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.status = status
        self.param = param

    def answer(self) -> Response:
        """The HTTP answer."""
        return error_answer(self.error, self.status, param=self.param)


def target_of(directory: Directory, model: str, where: str = "query") -> str:
    """The session target that `model` names, which stood in the request's `where`. Raises Refused: 400 without one, 404."""
    declared = ", ".join(session.target for session in directory.all()) or "none"
    hint = f"sessions of this server: {declared}"
    if not model:
        raise Refused(TurnlogError("TL504", f"the {where} has no `model`, which names the session target", hint), 400, "model")
    try:
        return directory.resolve(model).target
    except DefinitionError:
        unknown = TurnlogError("TL502", f"no session {model[:200]!r} is declared", hint)
        raise Refused(unknown, 404, "model") from None


def metadata_of(connection: HTTPConnection) -> dict[str, Any]:
    """The query's `metadata`, a JSON object. Raises Refused: 400."""
    text = connection.query_params.get("metadata")
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text.encode(), type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        wrong = TurnlogError("TL504", f"the query's `metadata` is no JSON object: {error}", 'for example metadata={"room":"12"}')
        raise Refused(wrong, 400, "metadata") from None


def peer_of(connection: HTTPConnection) -> str:
    """host:port of who asks."""
    return f"{connection.client.host}:{connection.client.port}" if connection.client else ""
