"""What is installed, told without importing it: packages are found on the path, their files looked up beside them.

Importing a speech engine costs up to a second and loads native code; `turnlog doctor` must not.
"""

from importlib import metadata, util
from pathlib import Path

from ...core.errors import MissingExtra

__all__ = ["installed_version", "package_file", "require"]


def installed_version(distribution: str) -> str:
    """The version of an installed distribution, "" if there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def package_file(package: str, *parts: str) -> Path | None:
    """The path of a file inside a top-level package, None if the package or the file is not there."""
    spec = util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, *parts)
        if path.is_file():
            return path
    return None


def require(needed_for: str, *packages: str) -> None:
    """Raise MissingExtra for the extra `local` unless all these top-level packages can be found."""
    for package in packages:
        if util.find_spec(package) is None:
            raise MissingExtra("local", needed_for)
