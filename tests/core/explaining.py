"""What the tests of core.explain share: trails of driven sessions, and handlers' facts that Drive has no word for."""

import msgspec

from tests.core.driving import SITE, Drive
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core import signals as s
from turnlog.core.explain import Trail, Waiter, why_silent
from turnlog.core.explain.waits import DELIVERED

__all__ = ["called", "listening", "now", "ready", "spoke", "trail", "woken"]


def ready() -> Drive:
    """A session with both links."""
    return Drive().open_provider().open_caller()


def trail(drive: Drive) -> Trail:
    """The trail of what was driven so far."""
    return Trail(drive.log)


def now(drive: Drive) -> Waiter:
    """Who is to act next, now."""
    return why_silent(trail(drive), at_ns=drive.now_ns)


def listening() -> Drive:
    """A session whose handler awaits input."""
    drive = ready()
    drive.command(c.Input())
    return drive


def spoke(drive: Drive, text: str, item: str = "i1", *, silence_ms: int = 500, words_ms: float = 300) -> None:
    """The user speaks for a second; the words are known `words_ms` after the commit."""
    drive.signal("p1", s.SpeechBegan(item=item, audio_start_ms=100))
    drive.wait(1_000 + silence_ms)
    drive.signal("p1", s.SpeechCeased(item=item, audio_end_ms=1_100 + silence_ms))
    drive.wait(5)
    drive.signal("p1", s.AudioCommitted(item=item, previous_item=None))
    drive.wait(words_ms)
    drive.signal("p1", s.TranscriptCompleted(item=item, transcript=text))


def woken(drive: Drive, command: c.Command) -> int:
    """What the handler asks for on the last event that it was given; returns the place of the command."""
    cause = next(one.seq for one in reversed(drive.log) if isinstance(one.event, DELIVERED))
    drive.index += 1
    drive.core.command(drive.index, command, SITE, cause, drive.now_ns)
    asked = drive.core.staged[0].seq
    drive.settle()
    return asked


def called(drive: Drive, target: str, ms: float, result: object = None) -> None:
    """The handler calls a tool that takes so long."""
    asked, index = woken(drive, c.Call(target=target)), drive.index
    drive.wait(ms)
    drive.fact(e.CallCompleted(index=index, result=msgspec.msgpack.encode(result)), asked)
