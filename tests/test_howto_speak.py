"""docs/howto/speak.md: its sessions run, are heard as the page says, and replay."""

import linecache
import re
import sys
import wave
from pathlib import Path
from types import ModuleType

import pytest

from turnlog.core import events as e
from turnlog.testing import Kit, speak

PAGE = Path(__file__).resolve().parent.parent / "docs" / "howto" / "speak.md"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's code, saved beside a recording of one second and a half."""
    with wave.open(str(tmp_path / "hold.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(speak("la la la la la"))
    monkeypatch.chdir(tmp_path)
    source = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
    module = ModuleType("speak_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    linecache.cache["speak_page.py"] = (len(source), None, source.splitlines(keepends=True), "speak_page.py")
    exec(compile(source, "speak_page.py", "exec"), module.__dict__)
    return module


async def test_exact_words_are_spoken_here(turnlog: Kit, page: ModuleType) -> None:
    """The provider speaks the welcome, this machine the figures."""
    async with turnlog.call(page.app, "bank.balance") as call:
        await call.ended()
        assert [one.heard for one in call.caller.heard] == ["Welcome to the bank.", "Your balance is 1,204.50 euros."]
    assert [one.link for one in call.of(e.SayDispatched)] == ["p1", "v1"]


async def test_music_plays_until_the_tool_is_done(turnlog: Kit, page: ModuleType) -> None:
    """Again and again, without words; then it is cut, and the offer is heard at once."""
    async with turnlog.call(page.app, "bank.mortgage") as call:
        await call.ended()
        heard = [one.heard for one in call.caller.heard]
        assert heard[0] == "Let me see what we can offer." and heard[-1] == "I found 3.1 percent for 10 years."
        assert heard[1:-2] == ["la la la la la"] * (len(heard) - 3) and len(heard) > 5
    codes = [one.code for one in call.of(e.SaySettled)]
    assert codes == [*[""] * (len(heard) - 2), "replaced", ""]
    returned = next(one.at_ns for one in call.log if one.type == "CallCompleted")
    cut = next(one.at_ns for one in call.log if one.type == "PlayoutCut")
    assert cut - returned < 50_000_000
