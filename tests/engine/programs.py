"""Random handlers: programs as data, and their interpreter, which writes down everything a handler could notice.

A program is a list of statements, each a list: its name, then its arguments; bodies are lists of statements.
"""

import asyncio
import contextvars
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from turnlog.engine.handlers.handles import SayHandle
from turnlog.engine.handlers.session import RealtimeSession

__all__ = ["Interpreter", "Program", "Trace", "lookup"]

Program = list[Any]

QUEUES = EVENTS = 2
WHEN = {"first": asyncio.FIRST_COMPLETED, "error": asyncio.FIRST_EXCEPTION, "all": asyncio.ALL_COMPLETED}
MOOD = contextvars.ContextVar("MOOD", default="calm")


def lookup(key: int) -> int:
    """What steps and streams name; a replay never runs it."""
    raise AssertionError("the world answers for it")


class Trace(list[Any]):
    """What a handler noticed; after the session's end nothing is written any more."""


class Interpreter:
    """One run of a program as a handler."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.trace = Trace()
        self.tasks: list[asyncio.Task[None]] = []
        self.handles: list[SayHandle] = []

    async def handler(self, session: RealtimeSession) -> None:
        """The handler."""
        self.session = session
        self.queues = [asyncio.Queue[int](maxsize=1) for _ in range(QUEUES)]
        self.events = [asyncio.Event() for _ in range(EVENTS)]
        self.lock, self.room = asyncio.Lock(), asyncio.Semaphore(2)
        await self.body(self.program)

    def note(self, what: str, seen: object = None) -> None:
        """Write down what was noticed, by whom and when."""
        task = asyncio.current_task()
        at = asyncio.get_running_loop().time()
        self.trace.append([task.get_name() if task else "", at, what, seen, MOOD.get()])

    async def body(self, statements: Program) -> None:
        """Run statements in order; how each ends is noted."""
        for name, *args in statements:
            try:
                seen = await getattr(self, f"do_{name}")(*args)
            except asyncio.CancelledError:
                self.note(f"{name} cancelled")
                raise
            except Exception as error:
                self.note(f"{name} raised", type(error).__name__)
                raise
            self.note(name, seen)

    def spawn(self, statements: Program) -> asyncio.Task[None]:
        """A task that runs a body."""
        task = asyncio.create_task(self.body(statements))
        self.tasks.append(task)
        return task

    # --- the session ---

    async def do_say(self, text: str) -> str:
        return (await self.session.say(text)).id

    async def do_say_heard(self, text: str) -> str:
        handle = await self.session.say(text)
        return (await handle.settled()).heard_text

    async def do_say_so(self, text: str, options: dict[str, Any]) -> str:
        """Say with options; the handle is kept for those who settle and cancel."""
        self.handles.append(await self.session.say(text, **options))
        return self.handles[-1].id

    async def do_settled(self, number: int) -> object:
        """What became of a say, once it is settled."""
        if number >= len(self.handles):
            return None
        outcome = await self.handles[number].settled()
        return [outcome.status, outcome.code, outcome.heard_ms, outcome.heard_text]

    async def do_unsay(self, number: int) -> object:
        """Take a say back, and look at it the next moment."""
        if number >= len(self.handles):
            return None
        await self.handles[number].cancel()
        return self.handles[number].status

    async def do_race(self, number: int) -> object:
        """Its end is awaited while it is taken back; whichever comes first is seen."""
        return await self.do_wait([[["settled", number]], [["unsay", number]]], "first", None)

    async def do_say_stream(self, key: int, most: int, leave: bool, options: dict[str, Any]) -> object:
        """A stream of which some items are taken is spoken, and left or read beside it."""
        stream = self.session.stream(lookup, key)
        if most:
            async for item in stream:
                self.note("item", item)
                if stream.taken >= most:
                    break
        self.handles.append(await self.session.say(stream, **options))
        if leave:
            await stream.aclose()
        else:
            async for item in stream:
                self.note("item beside", item)
        return self.handles[-1].id

    async def do_watch(self, most: int) -> int:
        """What ends to be heard, as it ends."""
        seen = 0
        async for one in self.session.utterances():
            self.note("utterance", [one.response, one.say, one.heard_ms, one.heard_text, one.interrupted])
            seen += 1
            if seen == most:
                break
        return seen

    async def do_turns(self, most: int) -> list[Any]:
        """Turns, and what they say that they interrupted."""
        seen: list[Any] = []
        async for turn in self.session.turns():
            seen.append([turn.text, turn.channel, turn.metadata.get("interrupted")])
            if len(seen) == most:
                break
        return seen

    async def do_answers(self, who: str) -> None:
        await self.session.update(answers=who)  # type: ignore[arg-type] # "handler" or "model"

    async def do_earlier(self, before: int | None) -> list[str]:
        return [line.text for line in await self.session.earlier(before=before)]

    async def do_call(self, key: int) -> object:
        return await self.session.call("lookup", key)

    async def do_step(self, key: int) -> object:
        return await self.session.step(lookup, key)

    async def do_stream(self, key: int, most: int) -> list[Any]:
        items: list[Any] = []
        async for item in self.session.stream(lookup, key):
            self.note("item", item)
            items.append(item)
            if len(items) == most:
                break
        return items

    async def do_input(self, limit_s: float | None) -> str:
        return (await self.session.input(timeout=limit_s)).text

    async def do_signal(self, name: str) -> object:
        return await self.session.signal(name)

    async def do_update(self, words: str) -> None:
        await self.session.update(instructions=words)

    async def do_look(self) -> list[Any]:
        session = self.session
        return [str(session.now()), session.random.random(), str(session.uuid()), len(session.outbox), len(session.conversation)]

    async def do_patched(self, name: str) -> bool:
        return self.session.patched(name)

    async def do_end(self, drain: bool) -> None:
        await self.session.end("enough", drain=drain)

    # --- asyncio ---

    async def do_sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def do_gather(self, bodies: Program, keep: bool) -> list[str]:
        results = await asyncio.gather(*map(self.body, bodies), return_exceptions=keep)
        return [type(result).__name__ for result in results]

    async def do_group(self, bodies: Program) -> None:
        async with asyncio.TaskGroup() as group:
            self.tasks += [group.create_task(self.body(body)) for body in bodies]

    async def do_wait(self, bodies: Program, when: str, limit_s: float | None) -> list[Any]:
        tasks = [self.spawn(body) for body in bodies]
        done, pending = await asyncio.wait(tasks, timeout=limit_s, return_when=WHEN[when])
        return [[task.get_name() for task in tasks] for tasks in (done, pending)]

    async def do_as_completed(self, bodies: Program) -> None:
        for one in asyncio.as_completed([self.spawn(body) for body in bodies]):
            try:
                await one
                self.note("one")
            except Exception as error:
                self.note("one", type(error).__name__)

    async def do_timeout(self, seconds: float, body: Program) -> None:
        async with asyncio.timeout(seconds):
            await self.body(body)

    async def do_wait_for(self, seconds: float, body: Program) -> None:
        await asyncio.wait_for(self.body(body), seconds)

    async def do_shield(self, body: Program) -> None:
        await asyncio.shield(self.spawn(body))

    async def do_spawn(self, body: Program) -> None:
        self.spawn(body)

    async def do_cancel(self, number: int) -> bool:
        return number < len(self.tasks) and self.tasks[number].cancel()

    async def do_put(self, queue: int, value: int) -> None:
        await self.queues[queue].put(value)

    async def do_get(self, queue: int) -> int:
        return await self.queues[queue].get()

    async def do_lock(self, body: Program) -> None:
        async with self.lock:
            await self.body(body)

    async def do_room(self, body: Program) -> None:
        async with self.room:
            await self.body(body)

    async def do_set(self, event: int) -> None:
        self.events[event].set()

    async def do_clear(self, event: int) -> None:
        self.events[event].clear()

    async def do_await_event(self, event: int) -> None:
        await self.events[event].wait()

    # --- the language ---

    async def do_fail(self) -> None:
        raise ValueError("as told")

    async def do_try(self, body: Program, instead: Program) -> None:
        try:
            await self.body(body)
        except Exception:
            await self.body(instead)

    async def do_finally(self, body: Program, after: Program) -> None:
        try:
            await self.body(body)
        finally:
            await self.body(after)

    async def do_swallow(self, body: Program) -> None:
        try:
            await self.body(body)
        except asyncio.CancelledError:
            self.note("swallowed")

    async def do_mood(self, mood: str) -> None:
        MOOD.set(mood)

    async def do_generator(self, body: Program, how: str) -> None:
        numbers = self.numbers(body)
        if how == "closed":
            async with aclosing(numbers):
                await anext(numbers)
        else:
            async for _ in numbers:
                if how == "left":
                    break

    async def numbers(self, body: Program) -> AsyncGenerator[int, None]:
        """An async generator with a cleanup of its own."""
        try:
            yield 1
            await self.body(body)
            yield 2
        finally:
            self.note("generator closed")
