"""What is shipped: a wheel and an sdist of real files, complete and without the tests. Built from a copy, offline."""

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("core", "store", "transports", "engine", "server", "testing", "cli", "migrations", "examples")
BESIDE = {"_turnlog_pytest.py", "_turnlog_start.py"}  # the plugin and the command's start: to be had without importing turnlog
SHIPPED_BESIDE = {*BESIDE, "LICENSE", "MANIFEST.in", "README.md", "CHANGELOG.md", "PKG-INFO", "pyproject.toml", "setup.cfg"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of the checkout."""
    copy, out = tmp_path_factory.mktemp("checkout") / "turnlog-main", tmp_path_factory.mktemp("built")
    not_source = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "out")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=not_source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-build-isolation", "-w", str(out), "."], cwd=copy, check=True, capture_output=True)
    sdist = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", sdist, str(out)], cwd=copy, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    """The wheel, open."""
    return zipfile.ZipFile(next(built.glob("*.whl")))


def sources() -> set[str]:
    """Every Python file of the package, as it is named inside it."""
    files = {f"turnlog/{path.relative_to(ROOT)}" for layer in LAYERS for path in (ROOT / layer).rglob("*.py")}
    return files | {f"turnlog/{path.name}" for path in (ROOT / "turnlog").glob("*.py")} | BESIDE


def test_the_wheel_holds_every_source_file(wheel: zipfile.ZipFile) -> None:
    """Each file behind the symlinks is in the wheel as a real file, and nothing else is Python."""
    assert {name for name in wheel.namelist() if name.endswith(".py")} == sources()
    assert all(info.external_attr >> 28 != 0o12 for info in wheel.infolist())  # 0o12 is a symlink


def test_the_wheel_holds_what_is_no_python(wheel: zipfile.ZipFile) -> None:
    """The typing marker, the migrations' template, the static files, the demo's recordings and the licence are shipped too."""
    wanted = {"turnlog/py.typed", "turnlog/migrations/script.py.mako"}
    data = [*(ROOT / "server" / "static").rglob("*"), *(ROOT / "examples" / "audio").iterdir()]
    wanted |= {f"turnlog/{path.relative_to(ROOT)}" for path in data if path.is_file()}
    names = set(wheel.namelist())
    assert wanted <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_installs_only_turnlog(wheel: zipfile.ZipFile) -> None:
    """No folder of the checkout (core, tests, tools, …) lands at the top of site-packages, only two modules."""
    assert {name.split("/")[0].split("-")[0] for name in wheel.namelist()} == {"turnlog", *BESIDE}
    assert len({name.split("/")[0] for name in wheel.namelist()}) == 4  # turnlog/, its dist-info and the two


def test_the_console_script_is_declared(wheel: zipfile.ZipFile) -> None:
    """`turnlog` runs what begins it quietly, and pytest finds its plugin."""
    entry = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "turnlog = _turnlog_start:main" in wheel.read(entry).decode()
    assert "[pytest11]\n_turnlog_pytest = _turnlog_pytest" in wheel.read(entry).decode()


def test_the_wheel_runs_by_itself(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Unpacked elsewhere, the package imports from there and its migrations are found beside it."""
    wheel.extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import turnlog, turnlog.core.errors as errors, pathlib;"
        "home = pathlib.Path(turnlog.__file__).parent; print(home); print(errors.__file__);"
        "print((home / 'migrations' / 'env.py').exists())"
    )
    python = [sys.executable, "-I", "-c", code, str(tmp_path)]
    done = subprocess.run(python, cwd=tmp_path, capture_output=True, text=True, check=True)
    home = tmp_path / "turnlog"
    assert done.stdout.splitlines() == [str(home), str(home / "core" / "errors.py"), "True"]


def test_the_sdist_holds_the_package_and_no_tests(built: Path) -> None:
    """The sdist has the same sources as real files, the licence, and none of the checkout's other folders."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        members = {member.name.split("/", 1)[1]: member for member in sdist.getmembers() if "/" in member.name}
    assert sources() <= set(members)
    assert not any(member.issym() or member.islnk() for member in members.values())
    beside = {name.split("/")[0] for name in members} - {"turnlog", "turnlog.egg-info"}
    assert beside <= SHIPPED_BESIDE and {"LICENSE", "pyproject.toml"} <= beside


def test_the_locks_agree_and_hold_what_is_declared() -> None:
    """A package in both locks has one version, and every dependency of pyproject.toml is pinned in the dev lock."""
    dev, bench = (pins(f"requirements-{name}.lock") for name in ("dev", "bench"))
    assert {name: (dev[name], bench[name]) for name in dev.keys() & bench.keys() if dev[name] != bench[name]} == {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    declared = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    declared += [line for extra in ("server", "local", "fast") for line in extras[extra]]
    assert {name_of(line) for line in declared} - dev.keys() == set()
    assert {name_of(line) for line in project["dependency-groups"]["bench"]} - bench.keys() == set()


def pins(name: str) -> dict[str, str]:
    """Package -> version of a lock."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    return {name_of(line): line.partition("==")[2] for line in lines}


def name_of(requirement: str) -> str:
    """The normalized name at the start of a requirement."""
    name = requirement.split(";")[0]
    for mark in "[=<>~! ":
        name = name.split(mark)[0]
    return name.strip().lower().replace("_", "-")
