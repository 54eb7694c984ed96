"""What of a round may wait for the next append, and for how long."""

from turnlog.core import events as e
from turnlog.core.core import Staged
from turnlog.core.ports import Segment
from turnlog.engine.inbox import Arrived
from turnlog.engine.line import Line
from turnlog.engine.step import Behind, Send, Step
from turnlog.transports.links.in_process import pair
from turnlog.transports.realtime.caller_leg import CallerLeg
from turnlog.transports.realtime.wire import parse

WAIT_NS = 200_000_000


def line() -> Line:
    """A caller's line."""
    return Line("c1", pair()[0], CallerLeg("c1", "model", lambda kind: f"{kind}_1"), "websocket")


def staged(seq: int, event: e.Event) -> Staged:
    """An event at its place."""
    return Staged(seq, seq, e.Root.WIRE, event)


def received(seq: int) -> Staged:
    """A message that was recorded."""
    return staged(seq, e.TransportReceived(link="p1", n=seq, data=b"{}"))


def media(seq: int) -> tuple[Staged, Segment]:
    """A segment and the event that names it."""
    recorded = e.MediaRecorded(track="p1.in", n=1, duration_ms=200, digest=b"", messages=1, first=1)
    return staged(seq, recorded), Segment("p1.in", 1, seq, 0, 0, "tlm1", b"", b"")


def test_records_alone_can_wait() -> None:
    """What was received and what was recorded of media can wait, together too."""
    recorded, segment = media(1)
    assert Step([recorded, received(2)], [segment], [], []).can_wait()


def test_what_a_decision_follows_from_cannot_wait() -> None:
    """Any other fact is appended at once: somebody acts on it."""
    assert not Step([received(1), staged(2, e.ResponseStarted(response="r"))], [], [], []).can_wait()
    assert not Step([received(1), staged(2, e.PeerFaulted(link="p1", code="TL304", message="?"))], [], [], []).can_wait()


def test_what_a_message_waits_for_cannot_wait() -> None:
    """A message to a peer leaves after the append that holds its cause, and so does media that was held behind it."""
    assert not Step([received(1)], [], [Send(line(), b"{}", False)], []).can_wait()
    held = Arrived(line(), parse(b'{"type":"x"}'), 0)
    assert not Step([received(1)], [], [], [held]).can_wait()


def test_what_makes_quiet_waits_for_nothing() -> None:
    """Cancels and the like are taken out, but none overtakes a message of its own line that waits."""
    one, other = line(), Line("p1", pair()[0], CallerLeg("p1", "model", str), "websocket")
    cancel = staged(1, e.CancelDispatched(link="p1", response="r"))
    sends = [Send(one, b"1", False), Send(other, b"2", True), Send(one, b"3", True)]
    sends += [Send(other, b"4", False), Send(other, b"5", True)]
    step = Step([cancel], [], list(sends), [])
    assert step.take_reducing() == [sends[1]]
    assert step.sends == [sends[0], *sends[2:]]


def test_an_answer_that_makes_quiet_waits_for_nothing() -> None:
    """Also where no fact of the step does: a caller clears what sounded when nothing of ours was open any more."""
    clears = Send(line(), b"1", True)
    step = Step([received(1)], [], [clears], [])
    assert (step.take_reducing(), step.sends) == ([clears], [])


def test_what_waits_keeps_its_order() -> None:
    """Steps that waited are taken together in the order in which they came, once."""
    behind = Behind()
    recorded, segment = media(1)
    behind.add(Step([recorded, received(2)], [segment], [], []), 5)
    behind.add(Step([received(3)], [], [], []), 6)
    taken, segments = behind.take()
    assert ([one.seq for one in taken], segments) == ([1, 2, 3], [segment])
    assert behind.take() == ([], [])


def test_nothing_waits_longer_than_media() -> None:
    """At a multiple of 200 ms, at most that after the first one came, all of them are due; what is taken is due no more."""
    behind = Behind()
    due = [behind.due_ns]
    for at_ns in (3 * WAIT_NS + 7, 4 * WAIT_NS - 1):
        behind.add(Step([received(1)], [], [], []), at_ns)
        due.append(behind.due_ns)
    behind.take()
    due.append(behind.due_ns)
    behind.add(Step([received(3)], [], [], []), 4 * WAIT_NS)
    assert [*due, behind.due_ns] == [None, 4 * WAIT_NS, 4 * WAIT_NS, None, 5 * WAIT_NS]


def test_media_that_waits_behind_has_waited_before() -> None:
    """A segment is due at most 200 ms after its first message, and not after the record that it was closed for."""
    behind, (recorded, segment) = Behind(), media(1)
    began_ns = 40 * WAIT_NS
    behind.add(Step([recorded, received(2)], [segment._replace(t0_ns=began_ns)], [], []), began_ns + WAIT_NS + 5)
    assert behind.due_ns == began_ns + WAIT_NS
