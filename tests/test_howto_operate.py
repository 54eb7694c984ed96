"""docs/howto/operate.md: its configuration is one, what it shows is shown, and its table has all metrics."""

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from turnlog.cli.config import command
from turnlog.server.config import load_config
from turnlog.server.metrics import COUNTERS
from turnlog.server.options import ProviderOptions, ServeOptions
from turnlog.server.settings import ServerSettings

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "howto" / "operate.md").read_text(encoding="utf-8")


def test_the_configuration_of_the_page_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It loads, with its secrets from files, and `turnlog config` shows what the page does."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("TURNLOG_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "turnlog-keys").write_text("tl_one\ntl_two\n")
    (tmp_path / "openai").write_text("sk-one\n")
    (block,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "turnlog.toml").write_text(block.replace("/run/secrets/", ""))
    config = load_config(environment={})
    assert config.section(ServeOptions).app == "hotel:app"
    assert config.section(ServerSettings).keys == ("tl_one", "tl_two")
    assert config.section(ProviderOptions).openai_api_key == "sk-one"
    (session,) = re.findall(r"^\$ turnlog config\n(.*?)^…$", PAGE, re.MULTILINE | re.DOTALL)
    shown = CliRunner().invoke(command, []).output.splitlines()
    assert [line for line in session.splitlines() if line not in shown] == []


def test_the_table_of_metrics_is_whole() -> None:
    """Each counter stands in it by its full name, with its labels."""
    rows = dict(re.findall(r"^\| `(turnlog_\w+)` \| ([^|]*?) \|", PAGE, re.MULTILINE))
    assert {name: rows.get(f"turnlog_{name}_total") for name in COUNTERS} == {
        name: ", ".join(labels) for name, (_, labels) in COUNTERS.items()
    }
