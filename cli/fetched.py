"""A session of an engine elsewhere: its archive, fetched over HTTP into a folder that is gone afterwards."""

import json
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote, urlsplit

from ..core.errors import LinkError, StoreError
from ..store.archive import SUFFIX
from ..transports.providers.dial import is_loopback

__all__ = ["fetched"]

_PATIENCE_S = 60


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key goes nowhere else."""

    def redirect_request(self, *args: object) -> None:
        """None: a redirect is the refusal that it is."""


@contextmanager
def fetched(engine: str, session: str, key: str = "") -> Iterator[str]:
    """The path of the session's archive. Raises LinkError TL301 or TL303 for the engine, StoreError TL408 for the session."""
    parts = urlsplit(engine)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LinkError("TL301", f"--engine {engine!r} is no URL of an engine", "for example http://127.0.0.1:8080")
    url = f"{engine.rstrip('/')}/v1/turnlog/sessions/{quote(session, safe='')}/archive"
    with tempfile.TemporaryDirectory(prefix="turnlog-") as folder:
        path = Path(folder) / f"session{SUFFIX}"
        _get(url, key, path, session)
        yield str(path)


def _get(url: str, key: str, path: Path, session: str) -> None:
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if is_loopback(urlsplit(url).hostname):
        handlers.append(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.build_opener(*handlers).open(asked, timeout=_PATIENCE_S) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file)
        return
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            status, words = error.code, _words(error)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a key that no header can carry
        status, words = 0, str(getattr(error, "reason", "") or type(error).__name__)
    if status == 404:
        raise StoreError("TL408", f"the engine has no session {session!r}", "give its whole id")
    code = "TL303" if status in (401, 403) else "TL301"
    raise LinkError(code, f"the archive of {session!r} cannot be had: {words}", "check --engine, and --key (scope observe)")


def _words(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(4096))["error"]["message"])
    except (ValueError, LookupError, TypeError, OSError):
        return f"HTTP {error.code}"
