"""What the tests of delivery share: an app of one handler, how says ended, and what must hold on any caller's timeline."""

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import turnlog
from turnlog.core import events as e
from turnlog.core.codec import decode
from turnlog.testing import Call, Pace, ScriptedCaller, SpeakingProvider

__all__ = ["FIVE_S", "SLOW", "TEN_S", "assert_sound", "event_times", "line", "real_time", "sounding_order", "statuses", "words"]

SLOW = Pace(speed=1.0)
LEAD_MS = 400


def words(number: int, name: str = "word") -> str:
    """One sentence of so many words, "Word1 word2…"; a word takes 300 ms."""
    return " ".join(f"{name}{at}" for at in range(1, number + 1)).capitalize() + "."


FIVE_S = words(16)
TEN_S = words(33)


def line(handler: Callable[[turnlog.RealtimeSession], Awaitable[None]], **definition: Any) -> turnlog.App:
    """An app whose session "line.talk" runs the handler."""
    app = turnlog.App("line")
    app.session("talk", provider="openai", transport="websocket", **definition)(handler)
    return app


def real_time() -> SpeakingProvider:
    """A provider that sends its audio as fast as it is spoken."""
    return SpeakingProvider(pace=SLOW)


def statuses(call: Call) -> list[tuple[str, str, str]]:
    """Each settled say: its words, status and code, in the order in which they were settled."""
    asked = {one.say: one.command.text for one in call.of(e.SayRequested)}
    return [(asked[one.say], one.status, one.code) for one in call.of(e.SaySettled)]


def event_times(call: Call, kind: type[e.Event]) -> list[int]:
    """When the events of a type were recorded, in ns."""
    return [recorded.at_ns for recorded in call.log if isinstance(decode(recorded), kind)]


def sounding_order(caller: ScriptedCaller) -> list[str]:
    """The responses in the order in which they sounded, one entry a stretch of sound."""
    order: list[str] = []
    for sound in caller.playout.sounds:
        if sound.played and (not order or order[-1] != sound.response):
            order.append(sound.response)
    return order


def assert_sound(call: Call) -> None:
    """What holds of every call: one terminal state a say, one mouth, nothing behind a response.done, honest figures."""
    settled = [one.say for one in call.of(e.SaySettled)]
    asked = [one.say for one in call.of(e.SayRequested)]
    assert len(settled) == len(set(settled)), f"settled twice: {settled}"
    if call.of(e.SessionEnded):
        assert set(settled) == set(asked), f"not settled: {set(asked) - set(settled)}"
    for one in call.of(e.SaySettled):
        assert one.heard_ms <= one.generated_ms, one
        assert one.heard_ms > 0 or one.status != "interrupted" or one.code in ("speech", "caller"), one
    for ended in call.of(e.PlayoutEnded):
        for part in ended.heard:
            assert 0 <= part.heard_ms <= part.delivered_ms <= part.generated_ms, ended
    for caller in call.callers:
        order = sounding_order(caller)
        assert len(order) == len(set(order)), f"two responses sounded at once: {order}"
        gone: set[str] = set()
        for before, sound in pairwise(caller.playout.sounds):
            if before.response != sound.response:
                gone.add(before.response)
            assert sound.response not in gone, f"{sound.response} came after what followed it"
        for done in caller.events("response.done"):
            at = next(one.at_ms for one in caller.received if one.event is done)
            behind = [one.event for one in caller.received if one.at_ms > at and one.event["type"].startswith("response.")]
            late = [event["type"] for event in behind if event.get("response_id") == done["response"]["id"]]
            assert not late, f"behind its response.done: {late}"
