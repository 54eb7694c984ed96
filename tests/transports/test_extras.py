"""Modules that need an extra: found where it is, named where it is not."""

import subprocess
import sys

import pytest

from turnlog.transports.extras import load

WITHOUT = """
import sys
sys.modules["starlette"] = None
from turnlog.core.errors import MissingExtra
from turnlog.transports.providers.local import LocalProvider
try:
    LocalProvider().server.serve(port=0)
except MissingExtra as error:
    print(error.code, error.message, error.hint)
"""


def test_a_module_is_loaded_by_its_name() -> None:
    """The module itself; a name that is wrong is no missing extra."""
    assert load("providers.model_server", "server", "x").__name__ == "turnlog.transports.providers.model_server"
    with pytest.raises(ModuleNotFoundError, match="nothing_here"):
        load("providers.nothing_here", "server", "x")


def test_a_missing_package_names_the_extra() -> None:
    """A provider is there without the extra `server`; serving it over the network is TL601, with what to install."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("TL601") and "server" in done.stdout and "starlette" in done.stdout
