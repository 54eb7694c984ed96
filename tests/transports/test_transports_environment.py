"""Where keys are found: a variable, or the file that one names."""

import os
from pathlib import Path

import pytest

from turnlog.core.errors import TurnlogError
from turnlog.transports.environment import setting


def test_a_variable_or_the_file_that_one_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NAME counts more than NAME_FILE; blank ends of the file are no part of it; without either it is empty."""
    monkeypatch.delenv("DESK_KEY", raising=False)
    monkeypatch.delenv("DESK_KEY_FILE", raising=False)
    assert setting("DESK_KEY") == ""
    (tmp_path / "key").write_text(" s3cret\n")
    monkeypatch.setenv("DESK_KEY_FILE", str(tmp_path / "key"))
    assert setting("DESK_KEY") == "s3cret"
    monkeypatch.setenv("DESK_KEY", "other")
    assert setting("DESK_KEY") == "other"


def test_a_file_that_cannot_be_read_is_tl210(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the variable and the file: not there, a folder, no text."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for path, says in ((tmp_path / "none", "No such file"), (os.sep, "Is a directory"), (tmp_path / "bytes", "no text")):
        monkeypatch.setenv("DESK_KEY_FILE", str(path))
        with pytest.raises(TurnlogError, match=says) as raised:
            setting("DESK_KEY")
        assert raised.value.code == "TL210" and "$DESK_KEY_FILE" in str(raised.value)
