"""A store from its URL. A file whose name ends in .turnlog is an archive: a store of one session, for reading."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..core.errors import StoreError
from .archive import SUFFIX, open_archive
from .connect import is_file
from .memory import MemoryStore
from .port import Store
from .sqlite import SqliteReadOnly, SqliteStore

__all__ = ["open_store", "store_path"]

_SHAPES = 'use "memory://", "sqlite:///calls.db" (relative), "sqlite:////var/lib/calls.db" (absolute), or a path'


def open_store(url: str | Path, *, durability: str = "normal", read_only: bool = False) -> Store:
    """Open or make the store at `url`: "memory://", "sqlite:///relative.db", "sqlite:////absolute.db", or a bare path.

    Blocks for some ms (a new file: some 100 ms), so an event loop calls it through asyncio.to_thread or before it runs.
    Raises StoreError TL401 (another owner), TL404 (URL or file cannot be read), TL405 (newer), TL406 (cannot be written).
    """
    if durability not in ("normal", "full"):
        raise StoreError("TL404", f"durability {durability!r} is not known", 'use "normal" or "full" (survives power loss)')
    text = str(url)
    scheme, separator, rest = text.partition("://")
    if scheme == "memory" and separator and not rest:
        return MemoryStore()
    path = store_path(text)
    if text == "" or (not is_file(path) and path.is_dir()):
        raise StoreError("TL404", f"{text!r} names no file", _SHAPES)
    if path.suffix == SUFFIX:
        if not read_only:
            raise StoreError("TL410", f"{path} is an archive, which is only read", "`turnlog import` takes it into a store")
        return open_archive(path)
    return SqliteReadOnly(path) if read_only else SqliteStore(path, durability=durability)


def store_path(url: str) -> Path:
    """The file that a URL or a bare path names. Raises StoreError TL404 if it names none."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        return Path(url)
    if scheme != "sqlite":
        raise StoreError("TL404", f"no store for {scheme}:// here", _SHAPES)
    parts = urlsplit(url)
    name = unquote(parts.path)[1:]  # after the third slash: relative, unless a fourth follows
    if parts.netloc or not name or parts.query:
        raise StoreError("TL404", f"{url!r} names no file", _SHAPES)
    return Path(name)
