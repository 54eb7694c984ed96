"""What the checkout needs from the system's packages: one table, read by tools/setup.py and by the tests' `needs` marker.

A later part that needs another package (a browser, a database server) adds one line to DEBIAN. Standard library only:
this runs before anything is installed.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

__all__ = ["DEBIAN", "Package", "can_install", "install", "missing", "names_for", "required"]


class Package(NamedTuple):
    """A Debian package and what turnlog does with it."""

    name: str
    probe: str  # an executable's name, or an absolute path that exists once it is installed
    mb: int  # installed, with what it pulls in
    wanted_by: frozenset[str]  # profiles of tools/setup.py
    without: str  # what does not run where it is absent
    elsewhere: str  # how to get it on another system

    def present(self) -> bool:
        """Whether it is there, however it was installed."""
        return Path(self.probe).exists() if self.probe.startswith("/") else shutil.which(self.probe) is not None


DEBIAN = (
    Package(
        "chromium",
        probe="chromium",
        mb=430,
        wanted_by=frozenset({"test"}),
        without="tests of WebRTC and of the page in a real browser",
        elsewhere="any Chromium as `chromium` on the PATH",
    ),
    Package(
        "espeak-ng",
        probe="espeak-ng",
        mb=14,
        wanted_by=frozenset({"test"}),
        without="tests of the second synthesiser",
        elsewhere="brew install espeak-ng, or your system's package of that name",
    ),
    Package(
        "nodejs",
        probe="node",
        mb=110,
        wanted_by=frozenset({"test"}),
        without="tests with the Realtime client of npm",
        elsewhere="Node.js 20 or newer, as `node` on the PATH",
    ),
    Package(
        "npm",
        probe="npm",
        mb=60,
        wanted_by=frozenset({"test"}),
        without="tests with the Realtime client of npm",
        elsewhere="it comes with Node.js but on Debian and its descendants",
    ),
    Package(
        "pocketsphinx-testdata",
        probe="/usr/share/pocketsphinx/test/data/librivox",
        mb=4,
        wanted_by=frozenset({"test"}),
        without="tests that recognise recorded human speech (LibriVox)",
        elsewhere="it is only packaged by Debian and its descendants",
    ),
)


def names_for(profile: str) -> list[Package]:
    """The packages that a profile wants."""
    return [package for package in DEBIAN if profile in package.wanted_by]


def missing(profile: str) -> list[Package]:
    """Those of them that are absent."""
    return [package for package in names_for(profile) if not package.present()]


def required() -> bool:
    """Whether an absent package is a failure and not a skip: true in CI."""
    return os.environ.get("CI", "").lower() in {"1", "true"} or bool(os.environ.get("TURNLOG_REQUIRE_ALL"))


def can_install() -> bool:
    """Whether this process may install Debian packages here: root, on a system with apt-get."""
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def install(names: list[str]) -> bool:
    """Install by name; the package lists are fetched only if the first try fails, as on a fresh image without any."""
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *names]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for prepare in (None, ["apt-get", "update", "-q"]):
        if prepare:
            subprocess.run(prepare, env=environment, stdout=subprocess.DEVNULL, check=False)
        tried = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return True
    print(tried.stderr.strip()[-800:])
    return False
