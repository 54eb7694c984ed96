"""Two sequences of commands are aligned by what they have in common."""

from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.engine.offline.answers import Decoded
from turnlog.engine.offline.side_by_side import Issue, issued_until, side_by_side

SITE = c.Site("desk.py", 3)


def issues(*commands: c.Command) -> list[Issue]:
    """The commands with their indexes."""
    return [Issue(n, command, SITE) for n, command in enumerate(commands, 1)]


def statuses(then: list[Issue], now: list[Issue]) -> list[str]:
    """The status of each row."""
    return [row.status for row in side_by_side(then, now)]


def test_each_row_says_what_became_of_a_command() -> None:
    """Equal, changed, added, missing; a difference is told where the kind is the same."""
    hello, bye = c.Say(text="Hello"), c.Say(text="Bye")
    assert statuses(issues(hello, bye), issues(hello, c.Input(), bye)) == ["equal", "added", "equal"]
    assert statuses(issues(hello, c.Input(), bye), issues(hello, bye)) == ["equal", "missing", "equal"]
    (row,) = side_by_side(issues(hello), issues(bye))
    assert (row.status, row.difference) == ("changed", 'text: "Hello" was recorded, now "Bye"')
    (row,) = side_by_side(issues(hello), issues(c.Input()))
    assert (row.status, row.difference) == ("changed", "")
    assert row.recorded is not None and (row.recorded.index, row.recorded.file, row.recorded.line) == (1, "desk.py", 3)


def test_a_cancelled_command_is_the_same_at_another_index() -> None:
    """What was abandoned is compared, not its number."""
    then = issues(c.Input(), c.Abandon(command=1))
    now = issues(c.Say(text="Hello"), c.Input(), c.Abandon(command=2))
    assert statuses(then, now) == ["added", "equal", "equal"]
    assert statuses(then, issues(c.Input(timeout_s=1), c.Abandon(command=1))) == ["changed", "changed"]


def test_the_commands_of_a_log_up_to_an_event() -> None:
    """And those behind it that nothing from outside stands before."""
    returned = e.HandlerReturned(index=2)
    log = [
        Decoded(1, 0, e.InputRequested(index=1, command=c.Input(), site=SITE)),
        Decoded(2, 0, e.CallersGone()),
        Decoded(3, 0, e.SpeechStopped(item="i", audio_end_ms=1)),
        Decoded(4, 0, returned),
    ]
    assert [one.index for one in issued_until(log, 2)] == [1, 2]
    assert [one.index for one in issued_until(log, 1)] == [1]
