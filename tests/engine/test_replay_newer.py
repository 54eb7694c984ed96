"""Replay of a log by a newer turnlog: what the handler does not meet is passed over, what it may have met is named."""

from collections.abc import Iterator

import msgspec
import pytest

from turnlog import RealtimeSession, StoreError, replay
from turnlog.core import commands as c
from turnlog.core import events as e
from turnlog.core.chain import GENESIS, NONCE_SIZE, digest, link
from turnlog.core.codec import encode
from turnlog.core.definition import define_session
from turnlog.core.ports import Recorded

NEW = ("StepRequestedInANewWay", 1, bytes(NONCE_SIZE) + msgspec.msgpack.encode({"index": 2}))
SITE = c.Site("desk.py", 1)


def log(*events: e.Event | tuple[str, int, bytes]) -> Iterator[Recorded]:
    """A session of these events."""
    started = e.SessionStarted(
        session="s", target="a.b", definition=define_session("b", provider="local", transport="in_process"), python="3.11"
    )
    previous = GENESIS
    for seq, event in enumerate((started, *events), start=1):
        type_, version, data = event if isinstance(event, tuple) else encode(event, bytes(NONCE_SIZE))
        previous = link(previous, "s", seq, type_, version, seq, 1, -1, digest(data))
        yield Recorded(seq, type_, version, seq, 1, -1, digest(data), previous, data)


async def greeter(session: RealtimeSession) -> None:
    """Says one thing."""
    await session.say("Hi")


async def silent(session: RealtimeSession) -> None:
    """Asks for nothing."""


def said(text: str) -> e.SayRequested:
    """The log's word for a say."""
    return e.SayRequested(index=1, say="say_1", command=c.Say(text=text), site=SITE)


def test_an_unknown_event_that_the_handler_never_meets_changes_nothing() -> None:
    """Types of the future between known ones are skipped, and the replay is identical."""
    done = replay(log(NEW, said("Hi"), NEW, e.HandlerReturned(index=2)), greeter)
    assert (done.commands, done.events) == (2, 5)


@pytest.mark.parametrize("handler", [greeter, silent])
def test_a_difference_after_an_unknown_event_is_no_divergence(handler: object) -> None:
    """Whether the handler differs cannot be told once something unknown was asked or answered: TL405 names that event."""
    with pytest.raises(StoreError) as refused:
        replay(log(NEW, said("Hello")), handler)  # type: ignore[arg-type] # parametrized
    assert refused.value.code == "TL405"
    assert "event 2 is StepRequestedInANewWay in version 1" in refused.value.message


def test_a_known_journal_type_in_a_newer_version_is_named() -> None:
    """A SayRequested of version 2 cannot be compared: TL405, with the way to replay what stands before it."""
    _, _, data = encode(said("Hi"), bytes(NONCE_SIZE))
    with pytest.raises(StoreError, match="SayRequested in version 2") as refused:
        replay(log(("SayRequested", 2, data)), greeter)
    assert refused.value.code == "TL405" and "until=1" in refused.value.hint
    assert replay(log(("SayRequested", 2, data)), greeter, until=1).events == 1


def test_flags_of_a_newer_turnlog_are_refused() -> None:
    """A session that ran under rules of the future is TL405 at its first event."""
    first = next(log())
    started = msgspec.msgpack.decode((first.data or b"")[NONCE_SIZE:]) | {"engine_flags": 1 << 40}
    with pytest.raises(StoreError, match="rules that this turnlog does not know") as refused:
        replay([first._replace(data=bytes(NONCE_SIZE) + msgspec.msgpack.encode(started))], greeter)
    assert refused.value.code == "TL405"
