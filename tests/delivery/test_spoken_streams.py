"""Text that streams into a say: spoken sentence by sentence while it comes, and stopped where it was cut."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.delivery.scenes import assert_sound, line, statuses, words
from turnlog import RealtimeSession
from turnlog.core import events as e
from turnlog.testing import Call, Kit

SENTENCES = [words(12, name) for name in ("first", "second", "third", "fourth", "fifth", "sixth")]
SLOW_S = 1.0


class Writer:
    """A function that yields the words of SENTENCES slowly, and what became of it."""

    def __init__(self, pause_s: float = SLOW_S / 12, fails_at: int | None = None) -> None:
        self.pause_s = pause_s
        self.fails_at = fails_at
        self.written = 0
        self.closed = False
        self.ended = False

    async def write(self) -> AsyncIterator[str]:
        """A word at a time."""
        try:
            for word in " ".join(SENTENCES).split():
                if self.written == self.fails_at:
                    raise OSError("the model is gone")
                yield f"{word} "
                self.written += 1
                await asyncio.sleep(self.pause_s)
            self.ended = True
        except (GeneratorExit, asyncio.CancelledError):
            self.closed = True
            raise


def speaks(writer: Writer, reads: bool = False):  # type: ignore[no-untyped-def] # a handler
    """A handler that has the writer's words spoken."""

    async def desk(session: RealtimeSession) -> None:
        handle = await session.say(session.stream(writer.write))
        outcome = await handle.settled()
        async for turn in session.turns():
            await session.say(f"You said {turn.text} after {outcome.status}.")

    return desk


async def test_a_stream_is_spoken_while_it_comes(turnlog: Kit) -> None:
    """The first sentence is asked for long before the last one is written; all of them are heard, in order, as one say."""
    writer = Writer()
    async with turnlog.call(line(speaks(writer)), "line.talk") as call:
        await call.provider.gets("response.create")
        assert 12 <= writer.written <= 26 and not writer.ended
        await call.caller.hears("sixth12", within_s=60)
        await call.caller.falls_silent()
        await call.caller.is_silent(1)
        assert " ".join(one.heard for one in call.caller.heard) == " ".join(SENTENCES)
    assert "".join(call.provider.says).split() == " ".join(SENTENCES).split() or len(call.provider.says) > 1
    [settled] = call.of(e.SaySettled)
    assert settled.status == "played" and settled.heard_text.split() == " ".join(SENTENCES).split()
    assert_sound(call)


async def test_a_barge_in_stops_the_stream_and_its_writer(turnlog: Kit) -> None:
    """Nobody reads a stream whose say was cut: its function is told to stop."""
    writer = Writer(pause_s=0.5)
    async with turnlog.call(line(speaks(writer)), "line.talk") as call:
        await call.caller.hears("first2", within_s=30)
        await call.caller.says("hold on")
        await call.caller.hears("you said hold on after interrupted")
        await call.caller.falls_silent()
        await call.caller.is_silent(3)
        assert writer.closed and not writer.ended
        written = writer.written
        await call.caller.is_silent(20)
        assert writer.written == written < 60
    assert [(status, code) for _, status, code in statuses(call)] == [("interrupted", "speech"), ("played", "")]
    assert call.of(e.SaySettled)[0].heard_text.startswith("First1 first2")
    assert_sound(call)


async def test_a_stream_that_is_taken_back_stops(turnlog: Kit) -> None:
    """handle.cancel() does what a barge-in does."""
    writer = Writer(pause_s=0.5)

    async def desk(session: RealtimeSession) -> None:
        handle = await session.say(session.stream(writer.write))
        await session.signal("back")
        await handle.cancel()
        await session.say("Something else.")
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.is_silent(3)
        call.session.signal("back")
        await call.caller.hears("something else")
        await call.caller.falls_silent()
        await call.caller.is_silent(3)
        assert writer.closed
    assert [(status, code) for _, status, code in statuses(call)] == [("cancelled", "cancelled"), ("played", "")]
    assert_sound(call)


async def test_a_stream_that_fails_fails_its_say(turnlog: Kit) -> None:
    """What was written before is heard; the say has failed with the exception's type."""
    writer = Writer(fails_at=20)
    async with turnlog.call(line(speaks(writer)), "line.talk") as call:
        await call.caller.hears("first12", within_s=60)
        await call.caller.is_silent(10)
        settled = call.of(e.SaySettled)
        heard = " ".join(one.heard for one in call.caller.heard)
    assert [(one.status, one.code) for one in settled] == [("failed", "OSError")]
    assert heard.startswith(SENTENCES[0])
    assert settled[0].heard_text.startswith("First1") and settled[0].heard_ms >= 3600
    assert_sound(call)


@pytest.mark.parametrize("after", [0, 3])
async def test_a_stream_of_no_text(turnlog: Kit, after: int) -> None:
    """An item that is no text fails the say as not_text, whether words came before or not; the next say is heard."""

    def write() -> object:
        for n in range(after):
            yield f"Sentence number {n} of a few. "
        yield 5

    async def desk(session: RealtimeSession) -> None:
        assert (await (await session.say(session.stream(write))).settled()).code == "not_text"
        await session.say("Never mind.")
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("never mind")
        await call.caller.falls_silent()
    assert [(status, code) for _, status, code in statuses(call)] == [("failed", "not_text"), ("played", "")]
    assert_sound(call)


@pytest.mark.parametrize("items", [[], [""], [" ", "\n"]])
async def test_an_empty_stream(turnlog: Kit, items: list[str]) -> None:
    """A stream without words has failed as no_words; nothing was asked of the provider."""

    def write() -> object:
        yield from items

    async def desk(session: RealtimeSession) -> None:
        assert (await (await session.say(session.stream(write))).settled()).code == "no_words"
        await session.say("Never mind.")
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("never mind")
        await call.caller.falls_silent()
    assert call.provider.says == ["Never mind."]
    assert [(status, code) for _, status, code in statuses(call)] == [("failed", "no_words"), ("played", "")]


async def test_a_stream_that_has_ended_before_it_is_spoken(turnlog: Kit) -> None:
    """Items that came before the say are spoken too, and those that the handler has taken are not."""

    def write() -> object:
        yield from ("Taken. ", "First left. ", "Second left.")

    async def desk(session: RealtimeSession) -> None:
        stream = session.stream(write)
        assert await anext(stream) == "Taken. "
        await asyncio.sleep(1)
        assert (await (await session.say(stream)).settled()).status == "played"
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("second left")
        await call.caller.falls_silent()
        await call.caller.is_silent(1)
        assert " ".join(one.heard for one in call.caller.heard) == "First left. Second left."
    assert [status for _, status, _ in statuses(call)] == ["played"]


async def test_a_stream_with_a_used_key_is_not_written(turnlog: Kit) -> None:
    """A second say of one key speaks nothing, so the function of its stream is stopped, and iterating it ends."""
    writers = Writer(), Writer()
    rest: list[list[str]] = []

    async def desk(session: RealtimeSession) -> None:
        await session.say(session.stream(writers[0].write), key="once")
        second = session.stream(writers[1].write)
        await session.say(second, key="once")
        rest.append([item async for item in second])
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("sixth12", within_s=60)
        await call.caller.falls_silent()
        await call.caller.is_silent(1)
        assert writers[0].ended and not writers[1].ended and writers[1].written < 5
    assert rest == [[], []]
    assert [status for _, status, _ in statuses(call)] == ["played"]


async def test_a_say_behind_a_slow_stream_waits_for_its_end(turnlog: Kit) -> None:
    """Between two sentences of a stream that is slow, no other say cuts in."""
    writer = Writer(pause_s=0.6)

    async def desk(session: RealtimeSession) -> None:
        await session.say(session.stream(writer.write))
        await session.say("The end.")
        await session.input()

    async with turnlog.call(line(desk), "line.talk") as call:
        await call.caller.hears("the end", within_s=120)
        await call.caller.falls_silent()
        assert " ".join(one.heard for one in call.caller.heard) == " ".join([*SENTENCES, "The end."])
    assert [status for _, status, _ in statuses(call)] == ["played", "played"]
    assert_sound(call)


async def hang_up(call: Call) -> None:
    """The caller goes."""
    await call.caller.hangs_up()


@pytest.mark.parametrize("loss", [hang_up, lambda call: call.provider.disconnects(1006)])
async def test_a_lost_line_stops_the_writer(turnlog: Kit, loss) -> None:  # type: ignore[no-untyped-def] # of a call
    """When nobody can hear it any more the say is settled and its function told to stop."""
    writer = Writer(pause_s=0.5)
    async with turnlog.call(line(speaks(writer)), "line.talk") as call:
        await call.caller.hears("first2", within_s=30)
        await loss(call)
        await call.ended()
    assert writer.closed
    assert len(call.of(e.SaySettled)) == 1
    assert_sound(call)
