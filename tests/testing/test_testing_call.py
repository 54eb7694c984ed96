"""A call in a test: fast, the same each time, and checked when it is over."""

import time
from pathlib import Path

import pytest

from tests.testing.desk import GREETING, app
from turnlog.core import events as e
from turnlog.core.ports import Recorded
from turnlog.testing import Call, Kit


async def an_hour(call: Call) -> None:
    """Mostly silent."""
    caller = call.caller
    await caller.hears(GREETING)
    for minute in range(0, 60, 15):
        await caller.says(f"it is minute {minute}")
        await caller.hears(f"you said it is minute {minute}")
        await caller.is_silent(15 * 60)
    await caller.says("bye now")
    await caller.hears("bye now")
    await call.ended()


def test_an_hour_takes_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    """A call of sixty mostly silent minutes is over in a moment, and its log says that it took an hour."""
    began = time.perf_counter()
    call = Kit(0).run(app, "hotel.desk", an_hour)
    took_s = time.perf_counter() - began
    with capsys.disabled():
        print(f" [an hour in {took_s:.2f} s]", end="")
    assert call.log[-1].at_ns - call.log[0].at_ns > 3600 * 10**9
    assert [turn.text for turn in call.of(e.TurnEnded)][-1] == "bye now"
    assert took_s < 30  # a machine under load; the figure printed is the one to look at


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{folder}/calls.db"])
def test_equal_calls_have_equal_logs(tmp_path: Path, store: str) -> None:
    """Two calls of one seed have the same events to the byte, hashes included, in memory and in a file; another seed's differ."""

    def log(name: str, seed: int) -> list[Recorded]:
        (tmp_path / name).mkdir()
        return Kit(seed).run(app, "hotel.desk", an_hour, store=store.format(folder=tmp_path / name)).log

    one = log("one", 1)
    assert len(one) > 100
    assert one == log("again", 1)
    assert one[0].hash != log("other", 2)[0].hash
