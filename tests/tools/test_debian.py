"""The table of system packages: what counts as present, and what an absent one means."""

from pathlib import Path

import pytest

from tools import debian

ABSENT = debian.Package("nosuch", "/nosuch/file", 1, frozenset({"test"}), "nothing", "nowhere")


@pytest.mark.parametrize(
    ("probe", "present"), [("/", True), ("/nosuch/file", False), ("sh", True), ("no-such-program-anywhere", False)]
)
def test_a_package_is_present_if_its_probe_is_found(probe: str, present: bool) -> None:
    """A probe is an executable's name or an absolute path."""
    assert ABSENT._replace(probe=probe).present() is present


def test_only_what_a_profile_wants_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that another profile wants is not asked for."""
    monkeypatch.setattr(debian, "DEBIAN", (ABSENT, ABSENT._replace(name="other", wanted_by=frozenset({"bench"}))))
    assert [package.name for package in debian.missing("test")] == ["nosuch"]
    assert debian.missing("text") == []


@pytest.mark.parametrize(
    ("ci", "everything", "required"),
    [("true", "", True), ("1", "", True), ("", "1", True), ("false", "", False), ("", "", False)],
)
def test_an_absent_package_fails_in_ci_only(monkeypatch: pytest.MonkeyPatch, ci: str, everything: str, required: bool) -> None:
    """CI=true or TURNLOG_REQUIRE_ALL turns a skip into a failure."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("TURNLOG_REQUIRE_ALL", everything)
    assert debian.required() is required


def test_a_package_names_how_to_get_it_and_what_stops_without_it() -> None:
    """Every line of the table is complete; a name stands once."""
    assert all(package.without and package.elsewhere and package.mb and package.wanted_by for package in debian.DEBIAN)
    assert len({package.name for package in debian.DEBIAN}) == len(debian.DEBIAN)


def test_the_guide_names_every_package() -> None:
    """docs/howto/install.md lists each package of the table."""
    guide = (Path(__file__).resolve().parents[2] / "docs" / "howto" / "install.md").read_text(encoding="utf-8")
    assert [package.name for package in debian.DEBIAN if f"`{package.name}`" not in guide] == []
