"""The names of functions in a log."""

import subprocess
import sys
from functools import partial
from pathlib import Path

from turnlog.engine.naming import function_name


def test_a_function_is_named_by_module_and_qualname() -> None:
    """Functions inside others and callables without a name have one too."""
    assert function_name(len) == "builtins:len"
    assert function_name(test_a_function_is_named_by_module_and_qualname).endswith(
        "test_naming:test_a_function_is_named_by_module_and_qualname"
    )
    assert function_name(partial(len, "a")).endswith(":partial")


def test_a_scripts_functions_are_named_after_its_file(tmp_path: Path) -> None:
    """So a session recorded by `python hotel.py` replays with `--handler hotel:fn`; `python -m` gives the module's name."""
    script = tmp_path / "hotel.py"
    root = Path(__file__).resolve().parents[2]
    script.write_text(
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "from turnlog.engine.naming import function_name\n"
        "def check_in(): ...\n"
        "print(function_name(check_in))\n"
    )
    for call in ([str(script)], ["-m", "hotel"]):
        ran = subprocess.run([sys.executable, *call], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == "hotel:check_in"
