"""Who may import whom (docs/design.md, layout), read from the source text and not by importing anything.

A violation means that a boundary is wrong: move the thing, do not excuse it here.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "store": {"core"},
    "transports": {"core"},
    "migrations": {"core", "store"},
    "engine": {"core", "store", "transports"},
    "server": {"core", "store", "transports", "engine"},
    "testing": {"core", "store", "transports", "engine"},
    "cli": {"core", "store", "transports", "engine", "server", "testing", "examples"},
    "examples": {"", "server"},  # the public API alone, as a user's own module; the demo runs one, others mount the server
}

# What reads a clock, makes ids, does I/O or runs things at the same time: the core gets all of it as arguments.
IMPURE = {
    *("asyncio", "concurrent", "datetime", "http", "io", "logging", "multiprocessing", "os", "pathlib"),
    *("platform", "queue", "random", "sched", "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3"),
    *("ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid", "warnings"),
}


class Import(NamedTuple):
    """One imported name, as it stands in a file. `target` is absolute for what is ours: turnlog.core.errors."""

    path: Path
    line: int
    target: str
    relative: bool
    at_top: bool  # a direct statement of the module, not inside a function, class, if or try

    @property
    def own(self) -> bool:
        """Whether a part of turnlog is imported."""
        return self.target.split(".")[0] == "turnlog"

    @property
    def layer(self) -> str:
        """The part that is imported: core, store, …; "" for the package itself."""
        return self.target.partition(".")[2].partition(".")[0]

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.target}"


def sources(layer: str) -> list[Path]:
    """The Python files of a top-level folder."""
    return sorted(path for path in (ROOT / layer).rglob("*.py") if "__pycache__" not in path.parts)


def imports_of(path: Path) -> Iterator[Import]:
    """Every import statement of a file, one Import per imported name."""
    folder = path.parent.relative_to(ROOT)
    package = [] if folder.parts == ("turnlog",) else list(folder.parts)
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    top = {id(statement) for statement in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, False, id(node) in top)
        elif isinstance(node, ast.ImportFrom):
            base = ["turnlog", *package][: 2 + len(package) - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from . import x` names a module in x, `from .x import y` in x: both lie in the same layer or below.
            for alias in node.names:
                target = f"{module}.{alias.name}" if node.level and not node.module else module
                yield Import(path, node.lineno, target, bool(node.level), id(node) in top)


def every_import(*layers: str) -> list[Import]:
    """The imports of whole layers."""
    return [found for layer in layers for path in sources(layer) for found in imports_of(path)]


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_imports_go_down_only(layer: str) -> None:
    """A layer imports itself and the layers below it; store and transports never see each other."""
    allowed = MAY_IMPORT[layer] | {layer}
    assert [str(found) for found in every_import(layer) if found.own and found.layer not in allowed] == []


def test_the_core_imports_msgspec_and_pure_standard_library_only() -> None:
    """Nothing in core/ can do I/O, read a clock, make an id or run concurrently."""
    pure = (set(sys.stdlib_module_names) - IMPURE) | {"msgspec", "turnlog"}
    assert [str(found) for found in every_import("core") if found.target.split(".")[0] not in pure] == []


def test_own_modules_are_imported_at_the_top_of_the_file() -> None:
    """No import between our own modules hides in a function, a class, a try or an `if TYPE_CHECKING`."""
    assert [str(found) for found in every_import(*MAY_IMPORT, "turnlog") if found.own and not found.at_top] == []


def test_imports_inside_the_package_are_relative() -> None:
    """`turnlog.` is written out only by migrations, whose files Alembic runs by path, and by examples, which users copy."""
    layers = [layer for layer in MAY_IMPORT if layer not in ("migrations", "examples")]
    assert [str(found) for found in every_import(*layers, "turnlog") if found.own and not found.relative] == []


def test_no_folder_of_the_checkout_is_imported_by_its_bare_name() -> None:
    """`import core` would load a second copy of turnlog.core beside the first."""
    bare = [*MAY_IMPORT, "tests", "tools", "benchmarks"]
    found = every_import(*MAY_IMPORT, "turnlog")
    assert [str(one) for one in found if not one.relative and one.target.split(".")[0] in bare] == []


def test_every_layer_is_a_link_in_the_package() -> None:
    """turnlog/ holds a relative symlink to each top-level folder, and no other folder."""
    links = {path.name: str(path.readlink()) for path in (ROOT / "turnlog").iterdir() if path.is_symlink()}
    assert links == {layer: f"../{layer}" for layer in MAY_IMPORT}


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_every_file_opens_with_its_rules(layer: str) -> None:
    """A file's docstring says what lives in it; an empty file has nothing to say."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sources(layer)}
    assert [str(path.relative_to(ROOT)) for path, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []


def test_the_reader_of_imports_sees_what_it_must_forbid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports in functions, under TYPE_CHECKING, relative and absolute, are all found and resolved."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    folder = tmp_path / "core" / "folds"
    folder.mkdir(parents=True)
    text = (
        "import time\nfrom .turns import A\nfrom ..events import B\nfrom ...store import log\nfrom . import tools\n"
        "if TYPE_CHECKING:\n    from turnlog.engine.run import C\n"
    )
    (folder / "x.py").write_text(text)
    assert [(found.target, found.relative, found.at_top) for found in imports_of(folder / "x.py")] == [
        ("time", False, True),
        ("turnlog.core.folds.turns", True, True),
        ("turnlog.core.events", True, True),
        ("turnlog.store", True, True),
        ("turnlog.core.folds.tools", True, True),
        ("turnlog.engine.run", False, False),
    ]
