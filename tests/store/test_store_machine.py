"""A random walk over both stores at once, against a model that is two dicts."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from turnlog.core.chain import digest
from turnlog.core.errors import Fenced, WrongExpectedSeq
from turnlog.core.ports import Draft, Head, Segment, SessionRow
from turnlog.store import Store, VerifyReport, open_store

__all__: list[str] = []

NAMES = st.sampled_from(["a", "b", "c"])
DRAFTS = st.lists(
    st.builds(
        Draft, st.sampled_from(["TurnEnded", "TransportSent"]), st.just(1), st.integers(0, 9), st.just(-1), st.binary(max_size=30)
    ),
    max_size=6,
)


async def head_of(name: str, _: int, store: Store) -> Head:
    """The head that a store names."""
    return await store.head(name)


async def report_of(name: str, _: int, store: Store) -> VerifyReport:
    """A store's verification."""
    return await store.verify(name)


class StoreMachine(RuleBasedStateMachine):
    """Each rule does the same to both stores and the model, and compares what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.stores: list[Store] = [open_store("memory://"), open_store(self.file)]
        self.data: dict[str, list[bytes]] = {}
        self.heads: dict[str, list[list[Head]]] = {}  # per session, every head there ever was, one for each store

    @property
    def file(self) -> Path:
        """Where the SQLite store stands."""
        return Path(self.folder.name) / "log.db"

    def everywhere(self, call: Callable[[int, Store], Awaitable[object]]) -> list[object]:
        """The results of both stores, an error as itself."""

        async def ask() -> list[object]:
            waiting = [call(number, store) for number, store in enumerate(self.stores)]
            return list(await asyncio.gather(*waiting, return_exceptions=True))

        return self.runner.run(ask())

    @rule(name=NAMES)
    def create(self, name: str) -> None:
        """A name is taken once."""
        row = SessionRow(name, "", "t.s", "scripted", "in_process", "active", "3.11", "", 0, 0, 1, None)
        results = self.everywhere(lambda _, store: store.create(row))
        if name in self.data:
            assert [getattr(result, "code", None) for result in results] == ["TL409"] * 2
        else:
            self.data[name] = []
            self.heads[name] = [results]  # type: ignore[list-item]  # heads, or the next rules fail

    @rule(name=NAMES, drafts=DRAFTS, back=st.integers(0, 3), media=st.booleans())
    def append(self, name: str, drafts: list[Draft], back: int, media: bool) -> None:
        """From the newest head it takes, from an older one it is refused for what makes it old."""
        if name not in self.data:
            return
        heads = self.heads[name][max(len(self.heads[name]) - 1 - back, 0)]
        newest = self.heads[name][-1]
        segments: list[Segment] = []
        if media:
            body = f"{len(self.heads[name])} of {name}".encode()
            drafts = [*drafts, Draft("MediaRecorded", 1, 1, -1, digest(body))]
            number = heads[0].seq + len(drafts)
            segments = [Segment("p1.in", number, number, 0, 0, "tlm1", digest(body), body)]
        results = self.everywhere(lambda number, store: store.append(heads[number], drafts, segments))
        if heads[0].epoch != newest[0].epoch:
            assert [type(result) for result in results] == [Fenced] * 2
        elif heads[0].seq != newest[0].seq:
            assert [type(result) for result in results] == [WrongExpectedSeq] * 2
        else:
            self.data[name] += [draft.data for draft in drafts]
            self.heads[name].append(results)  # type: ignore[arg-type]  # as above

    @rule(name=NAMES)
    def claim(self, name: str) -> None:
        """A claim gives a new epoch at the same seq."""
        results = self.everywhere(lambda _, store: store.claim(name))
        if name in self.data:
            self.heads[name].append(results)  # type: ignore[arg-type]  # as above
        else:
            assert [getattr(result, "code", None) for result in results] == ["TL408"] * 2

    @rule()
    def reopen(self) -> None:
        """A file that was closed and opened again says the same."""
        self.runner.run(self.stores[1].close())
        self.stores[1] = open_store(self.file)

    @invariant()
    def both_hold_what_the_model_holds(self) -> None:
        """Data, heads and verification agree."""
        for name, data in self.data.items():
            of_memory, of_file = (list(store.scan(name)) for store in self.stores)
            assert of_memory == of_file
            assert [event.data for event in of_file] == data
            assert [event.seq for event in of_file] == list(range(1, len(data) + 1))
            assert self.everywhere(partial(head_of, name)) == self.heads[name][-1]

    def teardown(self) -> None:
        """Everything verifies at the end."""
        for name in self.data:
            for report in self.everywhere(partial(report_of, name)):
                assert isinstance(report, VerifyReport) and report.ok, report
        self.everywhere(lambda _, store: store.close())
        self.runner.close()
        self.folder.cleanup()


def test_both_stores_do_what_two_dicts_do() -> None:
    """Any sequence of creates, appends, claims and reopenings gives the model's contents."""
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)),
    )
