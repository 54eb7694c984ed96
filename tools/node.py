"""The npm packages that tests drive clients with: tests/node, exactly as its committed lock pins them.

Standard library only: this runs before anything is installed. Whether Node.js itself is there is debian.py's affair.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

__all__ = ["FOLDER", "install", "is_current", "stamp"]

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "node"
_COMMAND = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")


def digest(folder: Path) -> str:
    """Names what an up-to-date folder was installed from."""
    return hashlib.sha256(b"\0".join((folder / name).read_bytes() for name in ("package.json", "package-lock.json"))).hexdigest()


def stamp(folder: Path) -> Path:
    """Where the digest of the last complete installation is kept: it goes with what was installed."""
    return folder / "node_modules" / ".turnlog"


def is_current(folder: Path = FOLDER) -> bool:
    """Whether these very packages are installed."""
    return stamp(folder).exists() and stamp(folder).read_text() == digest(folder)


def install(folder: Path = FOLDER) -> str:
    """Install the lock; returns an error text or ""."""
    if shutil.which("npm") is None:
        return "there is no npm"
    done = subprocess.run(_COMMAND, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip() or done.stdout.strip() or "npm failed without a word")[-2000:]
    stamp(folder).write_text(digest(folder))
    return ""
