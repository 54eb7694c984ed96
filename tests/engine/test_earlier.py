"""Contributions that the session's own list does not hold any more."""

from typing import Any

import pytest

from tests.engine.living import Speaker, living
from turnlog.core import events as e
from turnlog.core.folds.conversation import Line
from turnlog.engine.handlers.session import RealtimeSession
from turnlog.engine.offline.replay import replay


async def test_older_contributions_come_from_the_log() -> None:
    """Those before the 200 that are at hand, in pages backwards; a replay gets the same without reading anything."""
    seen: list[list[Line]] = []

    async def desk(session: RealtimeSession) -> None:
        async for turn in session.turns():
            if turn.text == "enough":
                break
        oldest = session.conversation[0]
        assert oldest.text == "turn 11"  # 210 turns and the word that ends them
        older = await session.earlier()
        page = await session.earlier(before=older[-1].seq, limit=3)
        seen.append([*page, *older])

    async with living(desk, provider=Speaker(ms=20)) as alive:
        await alive.until(e.LinkReady)
        for n in range(210):
            alive.provider.hear(f"turn {n}", f"i{n}")
        alive.provider.hear("enough", "last")
        await alive.ended()
        log = list(alive.store.scan(alive.session.id))
    assert replay(log, desk).complete
    assert [line.text for line in seen[0]] == ["turn 7", "turn 8", "turn 9", *(f"turn {n}" for n in range(11))]
    assert {line.role for line in seen[0]} == {"user"}
    assert seen[1] == seen[0]


@pytest.mark.parametrize("given", [{"limit": 0}, {"limit": 1001}, {"limit": True}, {"before": 0}, {"before": 1.5}])
async def test_numbers_that_are_none_are_refused(given: dict[str, Any]) -> None:
    """Before anything is asked for."""
    refused: list[str] = []

    async def desk(session: RealtimeSession) -> None:
        with pytest.raises(ValueError, match="earlier"):
            await session.earlier(**given)
        refused.append("refused")

    async with living(desk) as alive:
        await alive.ended()
    assert refused == ["refused"]
