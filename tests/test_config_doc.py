"""The reference page of the configuration is the generated one, and what it shows can be read back."""

import tomllib
from pathlib import Path

import pytest

from tools import gen_config
from turnlog.server.config import load_config
from turnlog.server.config_fields import OPTIONS


def test_the_committed_page_is_the_generated_one() -> None:
    """docs/reference/configuration.md says what the fields say; `make docs` writes it."""
    assert gen_config.PAGE.read_text(encoding="utf-8") == gen_config.render()


def test_the_defaults_as_they_are_shown_are_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turnlog.toml of all that `turnlog config` shows loads, and says the same."""
    monkeypatch.chdir(tmp_path)
    config = load_config(environment={})
    lines: dict[str, list[str]] = {}
    for option in OPTIONS.values():
        if config.values[option.path] is not None:
            lines.setdefault(".".join(option.path[:-1]), []).append(f"{option.path[-1]} = {config.shown(option)}")
    text = "\n".join("\n".join([f"[{section}]", *rows]) for section, rows in lines.items())
    tomllib.loads(text)
    Path("turnlog.toml").write_text(text)
    assert load_config(environment={}).values == config.values
