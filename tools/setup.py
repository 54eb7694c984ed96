"""Sets up the environment that a make target runs in: `python3 -m tools.setup text|demo|test|bench`.

Standard library only, any Python from 3.11 on. Installs exactly what the committed locks pin; does nothing when the
stamp in the environment says that this lock and this pyproject.toml are what was installed last. Says what it is about
to install, and how large that is, before it does.
"""

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tools import debian, node

__all__ = ["PROFILES", "Profile", "main"]

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)


class Profile(NamedTuple):
    """What one make target needs. Sizes in MB, measured on Linux x86-64 with Python 3.11 (download, on disk)."""

    venv: str
    lock: str
    extras: str  # "*" installs the whole lock
    download_mb: int
    disk_mb: int
    contents: str


PROFILES = {
    "text": Profile(".venv", "requirements-dev.lock", "", 8, 55, "the core: SQLAlchemy, msgspec, websockets, click, rich"),
    "demo": Profile(
        ".venv",
        "requirements-dev.lock",
        "[server,webrtc,local]",
        245,
        590,
        "the core, WebRTC and offline speech: Moonshine (recognition), Piper with one voice (synthesis), voice activity, codecs",
    ),
    "test": Profile(".venv", "requirements-dev.lock", "*", 400, 1150, "the core, WebRTC, offline speech, development tools"),
    "bench": Profile(
        ".venv-bench",
        "requirements-bench.lock",
        "*",
        330,
        940,
        "the core, offline speech, and the two engines compared with: openai-agents and pipecat-ai",
    ),
}
INCLUDES = {"text": ("demo", "test"), "demo": ("test",)}  # a stamp of one of these is as good


def digest(profile: str) -> str:
    """Names what an up-to-date environment was installed from."""
    parts = (ROOT / "pyproject.toml", ROOT / PROFILES[profile].lock)
    return hashlib.sha256(b"\0".join(part.read_bytes() for part in parts) + str(ROOT).encode()).hexdigest()


def stamp(profile: str) -> Path:
    """Where the digest of the last complete installation is kept."""
    return ROOT / PROFILES[profile].venv / f".turnlog-{profile}"


def is_current(profile: str) -> bool:
    """Whether the environment holds this profile, from these very files, and its interpreter still runs."""
    stamps = [stamp(name) for name in (profile, *INCLUDES.get(profile, ()))]
    wanted = digest(profile)
    return interpreter(profile).exists() and any(path.exists() and path.read_text() == wanted for path in stamps)


def interpreter(profile: str) -> Path:
    """The environment's Python."""
    return ROOT / PROFILES[profile].venv / "bin" / "python"


def run(command: list[str]) -> str:
    """Run quietly; returns "" or, if it failed, what it said last."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip() or "failed without a word")[-2000:]


def create_venv(profile: str) -> str:
    """Create the environment if it is absent or of a Python that is gone; returns an error text or ""."""
    if interpreter(profile).exists():
        return ""
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if not (debian.can_install() and debian.install([package])):
            return f"this Python cannot create environments (no ensurepip); on Debian: apt-get install {package}"
    return run([sys.executable, "-m", "venv", "--clear", str(ROOT / PROFILES[profile].venv)])


def install(profile: str) -> str:
    """Install the lock, or what of it the extras need, then the checkout itself, editable; an error text or ""."""
    asked = PROFILES[profile]
    pip = [str(interpreter(profile)), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    # The build backend comes from the lock too, hence --no-build-isolation.
    steps = [[*pip, "-c", asked.lock, "setuptools"]]
    if asked.extras == "*":
        steps += [[*pip, "-r", asked.lock], [*pip, "--no-deps", "--no-build-isolation", "-e", "."]]
    else:
        steps += [[*pip, "--no-build-isolation", "-c", asked.lock, "-e", f".{asked.extras}"]]
    return next((error for error in map(run, steps) if error), "")


def set_up_python(profile: str) -> bool:
    """Bring the environment up to date, saying first what is about to be installed."""
    asked = PROFILES[profile]
    if is_current(profile):
        return True
    print(f"installing into {asked.venv}: {asked.contents}")
    print(f"  about {asked.download_mb} MB to download, {asked.disk_mb} MB on disk; once, from {asked.lock}", flush=True)
    error = create_venv(profile) or install(profile)
    if not error:
        stamp(profile).write_text(digest(profile))
        return True
    print(f"could not set up {asked.venv}: {error}", file=sys.stderr)
    if profile == "demo":
        print("where offline speech has no build, `make demo TEXT=1` runs the same demo typed", file=sys.stderr)
    return False


def set_up_debian(profile: str) -> bool:
    """Install absent Debian packages where that may be done, else name them; false where that is a failure (CI)."""
    absent = debian.missing(profile)
    if absent and debian.can_install():
        names = [package.name for package in absent]
        print(f"installing Debian packages: {', '.join(names)} (about {sum(package.mb for package in absent)} MB)", flush=True)
        debian.install(names)
        absent = debian.missing(profile)
    for package in absent:
        print(f"missing: {package.name}; not run without it: {package.without}")
        print(f"  get it: sudo apt-get install {package.name} ({package.elsewhere})")
    return not (absent and debian.required())


def set_up_node(profile: str) -> bool:
    """Install the clients of tests/node where Node.js is there; false if that fails. Without Node.js its tests are skipped."""
    if profile != "test" or node.is_current() or any(one.name in ("nodejs", "npm") for one in debian.missing(profile)):
        return True
    print("installing into tests/node: npm's Realtime client (15 MB; once, from its package-lock.json)", flush=True)
    if error := node.install():
        print(f"could not set up tests/node: {error}", file=sys.stderr)
    return not error


def report(profile: str) -> None:
    """One line: what the target is about to run with."""
    wanted = debian.names_for(profile)
    packages = ", ".join(f"{package.name} {'yes' if package.present() else 'NO'}" for package in wanted)
    lock = digest(profile)[:8]
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"environment: {PROFILES[profile].venv} ({lock}), Python {version}" + (f"; Debian: {packages}" if packages else ""))


def main(arguments: list[str]) -> int:
    """Set up the profile named by the only argument; 0 if its target can run."""
    if len(arguments) != 1 or arguments[0] not in PROFILES:
        print(f"usage: python3 -m tools.setup {'|'.join(PROFILES)}", file=sys.stderr)
        return 2
    if sys.version_info < OLDEST:
        print("turnlog needs Python 3.11 or newer", file=sys.stderr)
        return 1
    profile = arguments[0]
    if not (set_up_python(profile) and set_up_debian(profile) and set_up_node(profile)):
        return 1
    if profile in ("test", "bench"):
        report(profile)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
