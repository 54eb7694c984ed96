"""Byte transparency of proxied sessions: every recording and capture in both directions, and frames that Hypothesis makes up."""

import os
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.connection import Connection

from tests.server.proxying import Proxying, frames_of, proxying
from turnlog.core import events as e

RECORDINGS = sorted((Path(__file__).parent.parent / "recordings").glob("*.jsonl"))
CAPTURES = os.environ.get("TURNLOG_CAPTURES", "")
FILES = RECORDINGS + (sorted(Path(CAPTURES).rglob("*.jsonl")) if CAPTURES else [])

Sent = tuple[bool, str | bytes]  # whether the caller sends it, and the frame


class Line(msgspec.Struct):
    """A line of a recording; `event` verbatim."""

    dir: str
    event: msgspec.Raw = msgspec.Raw(b"")


def sent_in(file: Path, *, swapped: bool) -> list[Sent]:
    """The messages of a recording, in order; swapped: each by the other side."""
    found = (msgspec.json.decode(line, type=Line) for line in file.read_bytes().splitlines())
    return [((one.dir == "client") != swapped, bytes(one.event).decode()) for one in found if bytes(one.event)]


async def exchange(running: Proxying, sent: list[Sent]) -> list[e.Event]:
    """Send these over a proxied call, each side receiving what the other sends before it goes on; the log."""
    async with running.through(compression=None) as (caller, provider):
        for at, (by_caller, frame) in enumerate(sent):
            sender: Connection = caller if by_caller else provider
            await sender.send(frame)
            if at + 1 == len(sent) or sent[at + 1][0] != by_caller:
                run = at
                while run and sent[run - 1][0] == by_caller:
                    run -= 1
                receiver: Connection = provider if by_caller else caller
                assert [await receiver.recv() for _ in sent[run : at + 1]] == [one for _, one in sent[run : at + 1]]
    return await running.log()


async def assert_recorded(running: Proxying, sent: list[Sent], log: list[e.Event]) -> None:
    """Both links of the log hold each frame, byte for byte, in order."""
    for by_caller, came, left in ((True, "c1", "p1"), (False, "p1", "c1")):
        frames = [frame for of_caller, frame in sent if of_caller == by_caller]
        assert await frames_of(running, came, "in", log) == frames
        assert await frames_of(running, left, "out", log) == frames


async def test_every_recording_passes_and_is_recorded_in_both_directions() -> None:
    """Each as it was, and with the sides swapped: what arrives and what the log holds are its bytes, in any dialect."""
    async with proxying() as running:
        for file in FILES:
            for swapped in (False, True):
                sent = sent_in(file, swapped=swapped)
                log = await exchange(running, sent)
                await assert_recorded(running, sent, log)
                assert isinstance(log[-1], e.SessionEnded) and log[-1].reason == "caller_gone", file


TYPES = ["session.update", "input_audio_buffer.append", "response.output_audio.delta", "response.created", "response.done"]
VALUES = st.recursive(st.none() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=4)
MESSAGES = st.builds(
    lambda kind, fields: msgspec.json.encode({**fields, "type": kind}).decode(),
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(["delta", "audio", "response_id", "item_id", "response", "session", "event_id"]), VALUES),
)
FRAMES = st.text(max_size=200) | st.binary(max_size=200) | MESSAGES


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.tuples(st.booleans(), FRAMES), max_size=12), min_size=1, max_size=3))
async def test_any_frames_pass_and_are_recorded(calls: list[list[Sent]]) -> None:
    """Text, binary, and messages whose fields are anything: none is refused, changed or lost, and none ends the recording."""
    async with proxying() as running:
        for sent in calls:
            await assert_recorded(running, sent, await exchange(running, sent))
