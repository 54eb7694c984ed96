"""Writes requirements-bench.lock and requirements-dev.lock from pyproject.toml, each in a fresh environment (`make lock`).

The bench set is resolved first and bounds the dev set, so that what both hold has one version in both: openai-agents
wants websockets < 17, and a benchmark must drive the same engine that the tests test. A lock is a plain pip
requirements file of exact versions, resolved on Linux with the oldest Python that turnlog supports. Its only markers are
those by which pyproject.toml leaves a package out on Pythons that it has no release for: there the rest installs all the same.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

__all__ = ["limited", "main", "resolve"]

ROOT = Path(__file__).resolve().parent.parent
HEAD = "# Written by `make lock` from pyproject.toml; do not edit. Python {minor}, {count} packages.\n"


def limited(pyproject: str) -> dict[str, str]:
    """The packages that pyproject's dependency groups want on some Pythons only, by name, each with its marker."""
    groups = tomllib.loads(pyproject)["dependency-groups"].values()
    split = (requirement.partition(";") for group in groups for requirement in group)
    named = ((re.split(r"[^\w.-]", wanted, maxsplit=1)[0], marker.strip()) for wanted, _, marker in split)
    return {name: marker for name, marker in named if "python_version" in marker}


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
    markers = limited((ROOT / "pyproject.toml").read_text())
    pins = ((pin, markers.get(pin.partition("==")[0])) for pin in listed.splitlines())
    return sorted((f"{pin}; {marker}" if marker else pin for pin, marker in pins), key=str.lower)


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
