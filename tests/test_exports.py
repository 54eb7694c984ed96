"""The public API is declared once: `__all__` of each module, re-exported by turnlog/__init__.py and nothing else.

A module whose optional dependency is absent on this machine cannot be imported here; only that excuses it.
"""

import ast
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import turnlog
from turnlog.core.errors import MissingExtra

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("core", "store", "transports", "engine", "server", "testing", "cli")  # migrations are run by Alembic, by path

MODULES = sorted(
    "turnlog." + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for layer in LAYERS
    for path in (ROOT / layer).rglob("*.py")
    if path.name != "__main__.py"
)


def load(name: str) -> ModuleType:
    """Import a module; skip if, and only if, a third-party package that it needs is truly not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        package = (missing.name or "turnlog").split(".")[0]
        if package == "turnlog" or importlib.util.find_spec(package):
            raise
        pytest.skip(f"{name} needs {package}, which is not installed")
    except MissingExtra as missing:
        pytest.skip(f"{name}: {missing.message}")


def imported_names(path: Path) -> dict[str, str]:
    """Name as seen in the file -> module and name that it was imported from ("core.errors", "TurnlogError")."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    froms = [node for node in body if isinstance(node, ast.ImportFrom) and node.level == 1]
    return {alias.asname or alias.name: f"{node.module}:{alias.name}" for node in froms for alias in node.names}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_declares_what_it_exports(name: str) -> None:
    """A module that holds anything has `__all__` without repeats, each name being there."""
    module = load(name)
    body = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body
    if all(isinstance(node, ast.Expr) for node in body):
        return  # a package's __init__.py that is only its docstring
    exported: list[str] = module.__all__
    assert len(set(exported)) == len(exported)
    assert [missing for missing in exported if not hasattr(module, missing)] == []


@pytest.mark.parametrize("name", MODULES)
def test_no_module_imports_a_private_name_of_another(name: str) -> None:
    """What starts with an underscore stays in its file."""
    path = ROOT.joinpath(*name.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    froms = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    private = [alias.name for node in froms if node.level for alias in node.names if alias.name.startswith("_")]
    assert private == []


def test_the_package_re_exports_only_declared_names() -> None:
    """Each name that turnlog takes from one of its modules stands in that module's `__all__`."""
    names = imported_names(ROOT / "turnlog" / "__init__.py")
    origins = {name: origin.split(":") for name, origin in names.items()}
    undeclared = [
        f"{name} of turnlog.{module}"
        for name, (module, original) in origins.items()
        if original not in importlib.import_module(f"turnlog.{module}").__all__
    ]
    assert undeclared == []


def test_the_package_exports_what_it_imports() -> None:
    """turnlog.__all__ lists the imported names and the version; each is the very object of its module."""
    names = imported_names(ROOT / "turnlog" / "__init__.py")
    assert set(turnlog.__all__) - {"__version__"} == set(names)
    for name, origin in names.items():
        module, original = origin.split(":")
        assert getattr(turnlog, name) is getattr(importlib.import_module(f"turnlog.{module}"), original)
