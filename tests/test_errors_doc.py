"""The reference page of error codes is the generated one, and the codes that the sources use are those it lists."""

import re
from pathlib import Path

from tools import gen_errors
from turnlog.core.errors import CODES

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("core", "store", "transports", "engine", "server", "testing", "cli", "migrations")


def test_the_committed_page_is_the_generated_one() -> None:
    """docs/reference/errors.md says what CODES says; `make docs` writes it."""
    assert gen_errors.PAGE.read_text(encoding="utf-8") == gen_errors.render()


def test_every_code_is_listed_once_with_its_meaning() -> None:
    """The page has one row a code."""
    rows = re.findall(r"^\| (TL\d{3}) \| (.+) \|$", gen_errors.render(), re.MULTILINE)
    assert dict(rows) == CODES
    assert len(rows) == len(CODES)


def test_every_code_in_the_sources_is_declared() -> None:
    """No file names a TL code that CODES does not have."""
    files = [path for layer in LAYERS for path in (ROOT / layer).rglob("*.py")]
    used = {code: path.name for path in files for code in re.findall(r"\bTL\d{3}\b", path.read_text(encoding="utf-8"))}
    assert {code: name for code, name in used.items() if code not in CODES} == {}
