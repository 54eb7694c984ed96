"""docs/howto/projections.md does what it says: its Python runs on a real call, its commands exist."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import turnlog
from tests.engine.living import PATIENCE_S, Caller, Speaker, app_of
from tests.test_readme import blocks, commands, complaint

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/howto/projections.md"
ALL = blocks(PAGE, (ROOT / PAGE).read_text(encoding="utf-8"))


@pytest.mark.parametrize("words", [words for block in ALL if block.language == "sh" for words in commands(block)], ids=" ".join)
def test_its_commands_exist(words: list[str]) -> None:
    """Each command and option of the page is there."""
    assert complaint(words) == ""


async def test_its_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's projection takes a call's question, its feed gives the turn, its engine and its script read the rows."""
    monkeypatch.chdir(tmp_path)
    delivered: list[Any] = []
    enough = asyncio.Event()

    async def deliver(session: str, recorded: Any) -> None:
        delivered.append((session, recorded.type))
        enough.set()

    page: dict[str, Any] = {"__name__": "howto", "turnlog": turnlog, "deliver": deliver, "remember": delivered.append}
    for block in ALL:
        if block.language == "python":
            exec(compile(block.body, PAGE, "exec"), page)  # the page's code is what is under test

    async def desk(session: turnlog.RealtimeSession) -> None:
        await session.input()

    app = app_of(desk)
    async with asyncio.timeout(PATIENCE_S):
        async with turnlog.Engine(app, store="sqlite:///calls.db", providers={"scripted": Speaker()}) as engine:
            session = await engine.start("hotel.desk")
            caller = Caller()
            await engine.attach(session.id, caller.theirs)
            caller.type("Is breakfast included?")
            await session.ended()
            following = asyncio.create_task(page["follow"](engine))
            await enough.wait()
            await caller.hang_up()
        await following
        assert delivered[0] == (session.id, "TurnEnded") and isinstance(delivered[1], str)
        await page["serve"](app)
    assert capsys.readouterr().out == "questions live 0 \n1 0\n"
    assert await asyncio.to_thread(page["report"], "sqlite:///calls.db") == ["Is breakfast included?"]
