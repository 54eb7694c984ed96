"""The page to talk in a browser: its files, and the little that it must be told. Nothing of it comes from elsewhere.

The files hold no secret and go to everybody; what sessions there are goes to those who may call. A path is looked up among
the files that were read at the start, so no path leads out of their folder.
"""

import mimetypes
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..core.errors import TurnlogError
from ..engine.engine import Engine
from .access import Access
from .answers import error_answer

__all__ = ["HEADERS", "TARGETS", "Page"]

TARGETS: Final = "/v1/turnlog/targets"
HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What a browser is told with every file: run and show nothing but these files, and talk to this server alone."""

_INDEX: Final = "index.html"
_TYPES: Final = {".js": "text/javascript", ".svg": "image/svg+xml"}  # the system's table may lack or misname these


class _Target(msgspec.Struct):
    """A session that can be called. direct: its provider holds the call with the caller itself, and tells no turns and says."""

    target: str
    direct: bool


class _Server(msgspec.Struct, omit_defaults=True):
    """An RTCIceServer, as browsers spell it."""

    urls: str
    username: str = ""
    credential: str = ""


class _Told(msgspec.Struct):
    targets: list[_Target]
    ice_servers: list[_Server]


class Page:
    """`GET /`, its files under /static/, and `GET /v1/turnlog/targets`."""

    def __init__(self, engine: Engine, access: Access) -> None:
        self._engine = engine
        self._access = access
        self.routes = [
            Route("/", self._index),
            Route("/static/{name}", self._static),
            Route(TARGETS, self._targets),
        ]

    async def _index(self, request: Request) -> Response:
        return _file(_INDEX)

    async def _static(self, request: Request) -> Response:
        name: str = request.path_params["name"]
        if name == _INDEX or name not in _files():
            error = TurnlogError("TL504", f"the page has no file {name[:200]!r}", "the page is at /")
            return error_answer(error, 404)
        return _file(name)

    async def _targets(self, request: Request) -> Response:
        """The sessions that can be called, and the ICE servers that a caller's browser is to use."""
        try:
            await self._access.check(request, "start")
        except TurnlogError as error:
            return error_answer(error)
        declared = self._engine.directory.all()
        told = _Told(
            [_Target(one.target, one.definition.transport == "webrtc") for one in declared],
            [_Server(one.url, one.username, one.credential) for one in self._engine.calls.ice.servers],
        )
        return Response(msgspec.json.encode(told), media_type="application/json", headers={"Cache-Control": "no-store"})


@cache
def _files() -> Mapping[str, tuple[bytes, str]]:
    """Content and media type of every file by its name."""
    folder = resources.files(__package__) / "static"
    return {one.name: (one.read_bytes(), _type(one.name)) for one in folder.iterdir() if one.is_file()}


def _type(name: str) -> str:
    suffix = name[name.rfind(".") :]
    return _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _file(name: str) -> Response:
    content, media_type = _files()[name]
    return Response(content, media_type=media_type, headers=HEADERS)
