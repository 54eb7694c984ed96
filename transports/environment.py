"""Secrets from the environment, read when they are needed: NAME, or a file that NAME_FILE names."""

import os
from pathlib import Path

from ..core.errors import TurnlogError

__all__ = ["setting"]

_LARGEST = 64 * 1024


def setting(name: str) -> str:
    """What the variable holds, else the text of the file that <name>_FILE names, else "". Raises TurnlogError TL210.

    The file's blank ends are no part of it. Docker and Kubernetes mount secrets in this way.
    """
    if value := os.environ.get(name):
        return value
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return ""
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(_LARGEST).strip()
    except (OSError, UnicodeDecodeError) as error:
        detail = error.strerror if isinstance(error, OSError) else "it is no text"
        problem = f"${name}_FILE names {path}, which cannot be read: {detail}"
        raise TurnlogError("TL210", problem, "name a file with the secret in it") from None
