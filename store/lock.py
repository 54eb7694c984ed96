"""One process a file: an operating system's lock on a file beside the database.

The lock dies with its process, so it is never stale. The file itself stays: removing it would let two processes lock two
files of one name. Not for network file systems, where neither this lock nor SQLite's own can be trusted.
"""

import os
import sys
from pathlib import Path

from ..core.errors import StoreError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["FileLock"]

_FAR = 1 << 30  # Windows locks bytes, and a locked byte cannot be read: lock one far behind the pid


class FileLock:
    """Holds PATH.lock, in which the owner's pid stands. Raises StoreError TL401 (another has it), TL404 (cannot be made)."""

    def __init__(self, path: Path) -> None:
        name = Path(f"{path}.lock")
        try:
            self._fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(
                "TL404", f"{name} cannot be made: {error.strerror}", "the folder must exist and be writable"
            ) from error
        try:
            _take(self._fd)
        except OSError as error:
            pid = name.read_text("ascii", "replace").strip()
            os.close(self._fd)
            who = "this process itself" if pid == str(os.getpid()) else f"process {pid or 'unknown'}"
            raise StoreError(
                "TL401", f"{path} is open in {who}", "close that one first, or give this engine a file of its own"
            ) from error
        os.ftruncate(self._fd, 0)
        os.write(self._fd, str(os.getpid()).encode())

    def release(self) -> None:
        """Let go. Releasing twice does nothing."""
        if self._fd >= 0:
            os.close(self._fd)  # closing releases the lock on every system
            self._fd = -1


def _take(fd: int) -> None:
    if sys.platform == "win32":
        os.lseek(fd, _FAR, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        os.lseek(fd, 0, os.SEEK_SET)
    else:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
