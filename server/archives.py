"""`GET /v1/turnlog/sessions/{session}/archive`: a session as one file that checks itself, to be replayed elsewhere."""

import tempfile
from functools import partial
from pathlib import Path
from shutil import rmtree

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from ..core.errors import TurnlogError
from ..engine.engine import Engine
from ..store.archive import SUFFIX
from ..store.archive_write import export_archive
from .access import Access
from .answers import error_answer

__all__ = ["Archives"]


class Archives:
    """The route; it needs the scope observe, and shows a key of a tenant that tenant's sessions only."""

    def __init__(self, engine: Engine, access: Access) -> None:
        self._engine = engine
        self._access = access
        self.routes: list[BaseRoute] = [Route("/v1/turnlog/sessions/{session}/archive", self.answer, methods=["GET"])]

    async def answer(self, request: Request) -> Response:
        """The file; of a session that runs as far as it went."""
        session = request.path_params["session"]
        try:
            await self._access.check_session(request, "observe", session)
            folder = Path(tempfile.mkdtemp(prefix="turnlog-"))
            try:
                await export_archive(self._engine.store, session, folder / f"session{SUFFIX}", writer="turnlog")
            except BaseException:
                rmtree(folder, ignore_errors=True)
                raise
        except TurnlogError as error:
            return error_answer(error)
        gone = BackgroundTask(partial(rmtree, folder, ignore_errors=True))
        kind = "application/octet-stream"
        return FileResponse(folder / f"session{SUFFIX}", media_type=kind, filename=f"{session}{SUFFIX}", background=gone)
