"""What every store promises, run over each of them."""

import asyncio
from collections.abc import Callable

import pytest

from turnlog.core.chain import GENESIS, digest, link
from turnlog.core.errors import Fenced, StoreError, WrongExpectedSeq
from turnlog.core.ports import Draft, Head, Segment, SessionRow
from turnlog.store import Store, open_store
from turnlog.store.port import Began

__all__: list[str] = []

Rows = Callable[..., SessionRow]
Drafts = Callable[..., Draft]


def segment(n: int, first_seq: int, data: bytes = b"audio", track: str = "p1.in") -> Segment:
    """A media segment."""
    return Segment(track, n, first_seq, 100, 20, "tlm1", digest(data), data)


async def seqs(store: Store, session: str, after: int = 0, until: int | None = None) -> list[int]:
    """The seqs that an async read gives; the scan must give the same."""
    events = [event async for event in store.read(session, after=after, until=until)]
    assert events == list(store.scan(session, after=after, until=until))
    return [event.seq for event in events]


async def test_new_session_has_an_empty_stream_in_epoch_one(store: Store, row: Rows) -> None:
    """A created session's head is seq 0, epoch 1 and the genesis hash."""
    head = await store.create(row())
    assert (head.seq, head.epoch, head.hash) == (0, 1, GENESIS)
    assert await store.head("s1") == head
    assert await seqs(store, "s1") == []


async def test_a_name_is_taken_once(store: Store, row: Rows) -> None:
    """A second session of the same name is refused with TL409."""
    await store.create(row())
    with pytest.raises(StoreError) as refused:
        await store.create(row())
    assert refused.value.code == "TL409"


async def test_appended_events_are_read_back_as_written(store: Store, row: Rows, draft: Drafts) -> None:
    """What is read has the drafts' fields, running seqs, and digests and hashes of the chain."""
    head = await store.create(row())
    drafts = [draft("A", cause=-3), draft("B", cause=1), draft("C", data=b"")]
    after = await store.append(head, drafts)
    previous = GENESIS
    for seq, (written, event) in enumerate(zip(drafts, store.scan("s1"), strict=True), start=1):
        assert event[:6] == (seq, written.type, 1, written.at_ns, 1, written.cause)
        assert event.data == written.data
        previous = link(previous, "s1", seq, written.type, 1, written.at_ns, 1, written.cause, digest(written.data))
        assert event.hash == previous
    assert (after.seq, after.hash) == (3, previous)
    assert await store.head("s1") == after


async def test_reads_cut_by_seq(store: Store, row: Rows, draft: Drafts) -> None:
    """`after` is excluded, `until` is included, and pages join without loss."""
    head = await store.create(row())
    await store.append(head, [draft() for _ in range(600)])
    assert await seqs(store, "s1") == list(range(1, 601))
    assert await seqs(store, "s1", after=598) == [599, 600]
    assert await seqs(store, "s1", until=2) == [1, 2]
    assert await seqs(store, "s1", after=2, until=4) == [3, 4]
    assert await seqs(store, "s1", after=600) == []


async def test_semantic_reads_leave_the_wire_out(store: Store, row: Rows, draft: Drafts) -> None:
    """A semantic read skips received and sent messages and media."""
    types = ["TransportReceived", "TurnEnded", "MediaRecorded", "TransportSent", "SayRequested"]
    await store.append(await store.create(row()), [draft(name) for name in types])
    assert [event.type async for event in store.read("s1", semantic=True)] == ["TurnEnded", "SayRequested"]
    assert [event.seq for event in store.scan("s1", semantic=True)] == [2, 5]


async def test_an_old_head_is_refused_and_writes_nothing(store: Store, row: Rows, draft: Drafts) -> None:
    """An append from a head that has moved raises WrongExpectedSeq with both seqs."""
    head = await store.create(row())
    after = await store.append(head, [draft()])
    with pytest.raises(WrongExpectedSeq) as refused:
        await store.append(head, [draft(), draft()])
    assert (refused.value.expected, refused.value.actual) == (0, 1)
    assert await store.head("s1") == after
    assert await seqs(store, "s1") == [1]


async def test_the_same_append_twice_is_refused(store: Store, row: Rows, draft: Drafts) -> None:
    """Even byte for byte the same append from the same head counts once."""
    head = await store.create(row())
    drafts = [draft()]
    await store.append(head, drafts)
    with pytest.raises(WrongExpectedSeq):
        await store.append(head, drafts)


async def test_a_claim_fences_the_old_writer(store: Store, row: Rows, draft: Drafts) -> None:
    """After a claim the old epoch's append raises Fenced, the new one's goes on, and its events carry the new epoch."""
    old = await store.append(await store.create(row()), [draft()])
    new = await store.claim("s1", owner="node-2")
    assert (new.epoch, new.seq, new.hash) == (2, 1, old.hash)
    with pytest.raises(Fenced) as refused:
        await store.append(old, [draft()])
    assert (refused.value.epoch, refused.value.actual) == (1, 2)
    await store.append(new, [draft()])
    assert [event.epoch for event in store.scan("s1")] == [1, 2]
    assert (await store.verify("s1")).ok


async def test_one_refusal_never_fails_its_neighbours(store: Store, row: Rows, draft: Drafts) -> None:
    """Of 50 simultaneous appends only those with a wrong head or epoch fail, each with its own reason."""
    heads = [await store.create(row(f"s{n}")) for n in range(50)]
    await store.append(heads[7], [draft()])
    await store.claim("s13")
    results = await asyncio.gather(*(store.append(head, [draft(), draft()]) for head in heads), return_exceptions=True)
    failed = {n: type(result) for n, result in enumerate(results) if isinstance(result, BaseException)}
    assert failed == {7: WrongExpectedSeq, 13: Fenced}
    for n in range(50):
        assert (await store.head(f"s{n}")).seq == {7: 1, 13: 0}.get(n, 2)
        assert (await store.verify(f"s{n}")).ok


async def test_a_duplicate_segment_fails_its_own_append_only(store: Store, row: Rows, draft: Drafts) -> None:
    """A segment number used twice is refused with TL406, wholly, and the neighbour's append goes through."""
    one, two = await store.create(row("s1")), await store.create(row("s2"))
    media = draft("MediaRecorded", data=digest(b"audio"))
    one = await store.append(one, [media], [segment(1, 1)])
    results = await asyncio.gather(
        store.append(one, [media], [segment(1, 2)]), store.append(two, [draft()]), return_exceptions=True
    )
    assert isinstance(results[0], StoreError) and results[0].code == "TL406"
    assert isinstance(results[1], Head)
    assert await seqs(store, "s1") == [1]
    await store.append(one, [draft()])


async def test_a_number_too_large_is_refused_alone(store: Store, row: Rows, draft: Drafts) -> None:
    """An event that cannot be stored is refused with TL406 and leaves the head where it was."""
    head = await store.create(row())
    with pytest.raises(StoreError) as refused:
        await store.append(head, [draft(), draft(at_ns=2**70)])
    assert refused.value.code == "TL406"
    assert (await store.append(head, [draft()])).seq == 1


async def test_what_is_no_draft_is_refused(store: Store, row: Rows, draft: Drafts) -> None:
    """Data that is no bytes is refused with TL406, naming the event."""
    head = await store.create(row())
    with pytest.raises(StoreError, match="event 2") as refused:
        await store.append(head, [draft(), draft()._replace(data="text")])  # type: ignore[arg-type]  # on purpose
    assert refused.value.code == "TL406"


async def test_a_segment_comes_with_its_event(store: Store, row: Rows, draft: Drafts) -> None:
    """A segment that names an event outside its append is refused."""
    head = await store.create(row())
    for first_seq in (0, 2):
        with pytest.raises(StoreError, match="names event"):
            await store.append(head, [draft("MediaRecorded")], [segment(1, first_seq)])


async def test_segments_are_read_in_order_by_track(store: Store, row: Rows, draft: Drafts) -> None:
    """Tracks are listed, and each gives its segments in order of n, `after` excluded, over pages."""
    head = await store.create(row())
    written = []
    for n in range(1, 41):
        for track in ("c1.in", "p1.out"):
            data = f"{track} {n}".encode()
            part = segment(n, head.seq + 1, data, track)
            head = await store.append(head, [draft("MediaRecorded", data=part.digest)], [part])
            written.append(part)
    assert await store.tracks("s1") == ["c1.in", "p1.out"]
    wanted = [part for part in written if part.track == "c1.in"]
    assert [part async for part in store.segments("s1", "c1.in")] == wanted
    assert list(store.scan_segments("s1", "c1.in")) == wanted
    assert [part.n async for part in store.segments("s1", "p1.out", after=38)] == [39, 40]
    assert [part async for part in store.segments("s1", "none")] == []
    report = await store.verify("s1")
    assert report.ok and report.segments == 80


async def test_ending_closes_the_catalogue_row(store: Store, row: Rows, draft: Drafts) -> None:
    """`status="ended"` sets status and the last event's time, with or without events in the same append."""
    head = await store.create(row("s1"))
    await store.append(head, [draft(at_ns=77)], status="ended")
    ended = await store.session("s1")
    assert (ended.status, ended.ended_ns, ended.head_seq) == ("ended", 77, 1)
    head = await store.append(await store.create(row("s2")), [draft(at_ns=88)])
    assert await store.append(head, [], status="ended") == head
    assert (await store.session("s2")).ended_ns == 88
    assert (await store.session("s1")) == ended


async def test_sessions_are_listed_newest_first_filtered_and_paged(store: Store, row: Rows) -> None:
    """Target, status, tenant and beginning filter, `before` and `limit` page without loss."""
    for n in range(5):
        head = await store.create(row(f"s{n}", target="hotel.desk" if n % 2 else "hotel.bar"))
        if n == 3:
            await store.append(head, [], status="ended")
    assert [r.session for r in await store.sessions()] == ["s4", "s3", "s2", "s1", "s0"]
    assert [r.session for r in await store.sessions(target="hotel.desk")] == ["s3", "s1"]
    assert [r.session for r in await store.sessions(target="hotel.desk", status="active")] == ["s1"]
    await store.create(row("s5", target="hotel.spa", created_ns=2_000)._replace(tenant="acme"))
    assert [r.session for r in await store.sessions(tenant="acme")] == ["s5"]
    assert [r.session for r in await store.sessions(tenant="", limit=2)] == ["s4", "s3"]
    assert [r.session for r in await store.sessions(began=Began(since_ns=1_001))] == ["s5"]
    assert [r.session for r in await store.sessions(began=Began(until_ns=2_000), limit=1)] == ["s4"]
    first = await store.sessions(limit=2, tenant="")
    rest = await store.sessions(before=first[-1].session)
    assert [r.session for r in first + rest] == ["s4", "s3", "s2", "s1", "s0"]
    assert (await store.sessions(before="s0")) == []


async def test_an_unknown_session_is_named(store: Store, row: Rows, draft: Drafts) -> None:
    """Whatever is asked of a session that is not there raises TL408."""
    head = (await store.create(row()))._replace(session="nobody", sid=99)
    asked = [
        store.head("nobody"), store.session("nobody"), store.claim("nobody"), store.tracks("nobody"), store.verify("nobody"),
        store.add_caller(b"h", "nobody", expires_ns=1), store.append(head, [draft()]), store.sessions(before="nobody"),
    ]  # fmt: skip
    for result in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(result, StoreError) and result.code == "TL408", result
    for reading in (store.scan("nobody"), store.scan_segments("nobody", "c1.in")):
        with pytest.raises(StoreError, match="nobody"):
            next(reading)
    for stream in (store.read("nobody"), store.segments("nobody", "c1.in")):
        with pytest.raises(StoreError, match="nobody"):
            await anext(stream)


async def test_a_callers_token_opens_one_session_until_it_expires(store: Store, row: Rows) -> None:
    """A token's hash is found with its session and scope before `expires_ns`, and not from then on."""
    await store.create(row())
    await store.add_caller(b"hash", "s1", expires_ns=1_000)
    found = await store.find_caller(b"hash", now_ns=999)
    assert found is not None and (found.session, found.scope, found.expires_ns) == ("s1", "attach", 1_000)
    assert await store.find_caller(b"hash", now_ns=1_000) is None
    assert await store.find_caller(b"other", now_ns=0) is None
    await store.add_caller(b"hash", "s1", expires_ns=2_000)
    assert await store.find_caller(b"hash", now_ns=1_999) is not None


async def test_a_closed_store_takes_nothing_more(store: Store, row: Rows, draft: Drafts) -> None:
    """After close() every write raises TL410, and closing again does nothing."""
    head = await store.create(row())
    await store.close()
    await store.close()
    with pytest.raises(StoreError) as refused:
        await store.append(head, [draft()])
    assert refused.value.code == "TL410"
    with pytest.raises(StoreError, match="closed"):
        await store.create(row("s2"))


async def test_names_and_types_may_hold_any_text(store: Store, row: Rows, draft: Drafts) -> None:
    """Quotes, percent signs, emoji and zero bytes in names survive."""
    name = "o'neil %s \x00 🎙"
    head = await store.append(await store.create(row(name)), [draft("Tür'")])
    assert head.session == name
    assert [event.type for event in store.scan(name)] == ["Tür'"]
    assert (await store.verify(name)).ok


async def test_a_name_that_is_no_unicode_is_refused(store: Store, row: Rows, draft: Drafts) -> None:
    """A lone surrogate cannot be chained or stored: TL406, not a crash."""
    head = await store.create(row())
    with pytest.raises(StoreError) as refused:
        await store.append(head, [draft("\ud800")])
    assert refused.value.code == "TL406"


async def test_a_recorded_session_is_entered_verbatim(store: Store, row: Rows, draft: Drafts) -> None:
    """restore() keeps row, head, epochs, hashes and media; the session then goes on like any other."""
    other = open_store("memory://")
    head = await other.append(await other.create(row("s9")), [draft()])
    head = await other.claim("s9")
    head = await other.append(head, [draft("MediaRecorded", data=digest(b"audio")), draft()], [segment(1, 2)], status="ended")
    await store.create(row("s1"))
    entered = await store.restore(await other.session("s9"), head, other.scan("s9"), other.scan_segments("s9", "p1.in"))
    assert entered == await store.head("s9") and entered[2:] == head[2:]
    assert await store.session("s9") == await other.session("s9")
    assert list(store.scan("s9")) == list(other.scan("s9"))
    assert list(store.scan_segments("s9", "p1.in")) == [segment(1, 2)]
    assert [one.session for one in await store.sessions()] == ["s9", "s1"]
    await store.append(entered, [draft()])
    assert (await store.verify("s9")).ok


async def test_what_does_not_verify_is_not_entered(store: Store, row: Rows, draft: Drafts) -> None:
    """A changed, missing or doubled event or segment is TL407, a taken name TL409; nothing of it stays."""
    other = open_store("memory://")
    head = await other.append(
        await other.create(row("s9")), [draft(), draft("MediaRecorded", data=digest(b"audio"))], [segment(1, 2)]
    )
    listed, events, media = await other.session("s9"), list(other.scan("s9")), [segment(1, 2)]
    changed = [events[0]._replace(at_ns=1), events[1]]
    wrong = [
        (head, changed, media), (head, events[:1], media), (head, events[1:], media), (head, [*events, events[1]], media),
        (head, events, []), (head, events, [media[0]._replace(data=b"other")]), (head, events, media * 2),
        (head._replace(hash=bytes(32)), events, media), (head._replace(session="s8"), events, media),
    ]  # fmt: skip
    for at_head, some_events, some_media in wrong:
        with pytest.raises(StoreError) as refused:
            await store.restore(listed, at_head, some_events, some_media)
        assert refused.value.code == "TL407"
    assert await store.sessions() == []
    await store.restore(listed, head, events, media)
    with pytest.raises(StoreError) as refused:
        await store.restore(listed, head, events, media)
    assert refused.value.code == "TL409"
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.restore(listed._replace(session="s7"), head, events, media)


async def test_an_erased_segment_is_seen_only_when_asked_for(store: Store, row: Rows, draft: Drafts) -> None:
    """A segment that is entered without data counts as erased: left out of reads, no problem to verification."""
    other = open_store("memory://")
    data = digest(b"audio")
    head = await other.append(await other.create(row("s9")), [draft("MediaRecorded", data=data)], [segment(1, 1)])
    erased = segment(1, 1)._replace(data=b"")
    await store.restore(await other.session("s9"), head, other.scan("s9"), [erased])
    assert list(store.scan_segments("s9", "p1.in")) == [part async for part in store.segments("s9", "p1.in")] == []
    assert list(store.scan_segments("s9", "p1.in", erased=True)) == [erased]
    report = await store.verify("s9")
    assert report.ok and report.segments == 1
