"""Writes requirements-bench.lock and requirements-dev.lock from pyproject.toml, each in a fresh environment (`make lock`).

The bench set is resolved first and bounds the dev set, so that what both hold has one version in both: openai-agents
wants websockets < 17, and a benchmark must drive the same engine that the tests test. A lock is a plain pip
requirements file of exact versions, without markers: resolved on Linux with the oldest Python that turnlog supports.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

__all__ = ["main", "resolve"]

ROOT = Path(__file__).resolve().parent.parent
HEAD = "# Written by `make lock` from pyproject.toml; do not edit. Python {minor}, {count} packages.\n"


def resolve(wanted: list[str], constraints: Path | None) -> list[str]:
    """Install `wanted` (pip arguments, relative to the checkout) into a fresh environment and return its pins, sorted."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        # --group (dependency groups) needs pip 25.1, newer than what Python 3.11 brings along.
        subprocess.run([*pip, "install", "-q", "-U", "pip>=25.1", "setuptools"], check=True)
        bounds = ["-c", str(constraints)] if constraints else []
        subprocess.run([*pip, "install", "-q", *bounds, *wanted], check=True, cwd=ROOT)
        freeze = [*pip, "freeze", "--all", "--exclude-editable", "--exclude", "pip"]
        listed = subprocess.run(freeze, check=True, capture_output=True, text=True).stdout
    return sorted(listed.splitlines(), key=str.lower)


def write(path: Path, pins: list[str]) -> None:
    """Write `pins` below a line that says where they come from."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    path.write_text(HEAD.format(minor=minor, count=len(pins)) + "\n".join(pins) + "\n")
    print(f"{path.name}: {len(pins)} packages")


def main() -> int:
    """Resolve both sets and write both files."""
    bench, dev = ROOT / "requirements-bench.lock", ROOT / "requirements-dev.lock"
    write(bench, resolve(["-e", ".[server,local,webrtc,fast]", "--group", "bench"], None))
    write(dev, resolve(["-e", ".[server,local,webrtc,fast,mcp,http,otel]", "--group", "dev"], bench))
    return 0


if __name__ == "__main__":
    sys.exit(main())
