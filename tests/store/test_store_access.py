"""What every store promises of keys, secrets and the end of tokens; and of a file that another process holds."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from turnlog.core.errors import DefinitionError, StoreError
from turnlog.core.limits import Limits
from turnlog.core.ports import SessionRow
from turnlog.store import ApiKey, ClientSecret, Store, open_store
from turnlog.store.sqlite_access import KeyFile

__all__: list[str] = []

Rows = Callable[..., SessionRow]


def key(name: str = "key_1", *, created_ns: int = 10, expires_ns: int | None = None, tenant: str = "") -> ApiKey:
    """A key that may start sessions."""
    return ApiKey(name, "the front desk", ("start", "observe"), tenant, created_ns, expires_ns, None, Limits(requests_s=2.5))


async def test_a_key_is_found_by_its_hash_and_listed(store: Store) -> None:
    """All fields come back, the oldest key first; another hash finds nothing."""
    newer, older = key("key_2", created_ns=20, tenant="acme", expires_ns=99), key()
    await store.access.add_key(b"h2", newer)
    await store.access.add_key(b"h1", older)
    assert await store.access.keys() == [older, newer]
    assert await store.access.find_key(b"h2") == newer
    assert await store.access.find_key(b"h3") is None


async def test_a_key_is_there_once(store: Store) -> None:
    """A second key of the same id or hash is TL409, and changes nothing."""
    await store.access.add_key(b"h1", key())
    for again in (store.access.add_key(b"h2", key()), store.access.add_key(b"h1", key("key_2"))):
        with pytest.raises(StoreError) as refused:
            await again
        assert refused.value.code == "TL409"
    assert await store.access.keys() == [key()]


async def test_a_revoked_key_stays_listed_with_the_first_time(store: Store) -> None:
    """Revoking twice keeps the first time; an unknown id is TL419."""
    await store.access.add_key(b"h1", key())
    assert (await store.access.revoke_key("key_1", now_ns=50)).revoked_ns == 50
    assert (await store.access.revoke_key("key_1", now_ns=60)).revoked_ns == 50
    found = await store.access.find_key(b"h1")
    assert found is not None and found.revoked_ns == 50 and not found.stands(0)
    with pytest.raises(StoreError) as refused:
        await store.access.revoke_key("key_9", now_ns=1)
    assert refused.value.code == "TL419"


async def test_a_client_secret_opens_its_target_until_it_expires(store: Store) -> None:
    """The session object comes back byte for byte; from `expires_ns` on there is nothing."""
    secret = ClientSecret("hotel.desk", b'{"voice": "ash"}', 1_000, "acme", "key_1")
    await store.access.add_secret(b"s", secret)
    assert await store.access.find_secret(b"s", now_ns=999) == secret
    assert await store.access.find_secret(b"s", now_ns=1_000) is None
    assert await store.access.find_secret(b"other", now_ns=0) is None
    await store.access.add_secret(b"s", secret._replace(target="hotel.spa"))
    found = await store.access.find_secret(b"s", now_ns=0)
    assert found is not None and found.target == "hotel.spa"


async def test_a_sessions_tokens_are_revoked_together(store: Store, row: Rows) -> None:
    """Another session's token stays; an unknown session is TL408."""
    for session in ("s1", "s2"):
        await store.create(row(session))
    for hashed, session in ((b"a", "s1"), (b"b", "s1"), (b"c", "s2")):
        await store.add_caller(hashed, session, expires_ns=1_000)
    assert await store.access.revoke_callers("s1") == 2
    assert await store.find_caller(b"a", now_ns=0) is None
    assert await store.find_caller(b"c", now_ns=0) is not None
    with pytest.raises(StoreError, match="TL408"):
        await store.access.revoke_callers("s3")


async def test_a_tokens_end_is_moved_and_one_that_is_gone_does_not_come_back(store: Store, row: Rows) -> None:
    """extend_caller is False for what was revoked, and enters nothing."""
    await store.create(row())
    await store.add_caller(b"a", "s1", expires_ns=1_000)
    assert await store.access.extend_caller(b"a", expires_ns=2_000)
    assert await store.find_caller(b"a", now_ns=1_999) is not None
    await store.access.revoke_callers("s1")
    assert not await store.access.extend_caller(b"a", expires_ns=3_000)
    assert await store.find_caller(b"a", now_ns=0) is None


async def test_a_purge_forgets_what_has_expired_and_nothing_else(store: Store, row: Rows) -> None:
    """Tokens and secrets alike, at the nanosecond."""
    await store.create(row())
    await store.add_caller(b"a", "s1", expires_ns=1_000)
    await store.add_caller(b"b", "s1", expires_ns=1_001)
    await store.access.add_secret(b"s", ClientSecret("hotel.desk", b"{}", 500))
    assert await store.access.purge(now_ns=1_000) == 2
    assert await store.find_caller(b"a", now_ns=0) is None
    assert await store.access.find_secret(b"s", now_ns=0) is None
    assert await store.find_caller(b"b", now_ns=0) is not None


async def test_who_only_reads_writes_no_keys(sqlite: Store, path: Path) -> None:
    """TL410, and the keys can be read."""
    await sqlite.access.add_key(b"h1", key())
    reading = open_store(path, read_only=True)
    assert await reading.access.keys() == [key()]
    with pytest.raises(StoreError, match="TL410"):
        await reading.access.add_key(b"h2", key("key_2"))


async def test_a_key_made_beside_the_owner_is_known_to_it_at_once(sqlite: Store, path: Path) -> None:
    """And one that is revoked beside it, while it appends."""
    beside = KeyFile(path)
    await beside.add_key(b"h1", key())
    assert await sqlite.access.find_key(b"h1") == key()
    await beside.revoke_key("key_1", now_ns=7)
    found = await sqlite.access.find_key(b"h1")
    assert found is not None and found.revoked_ns == 7


async def test_a_file_that_is_not_there_is_made_with_its_first_key(path: Path) -> None:
    """And a store opens it as its own; many that make it at once are no trouble."""
    await asyncio.gather(*(KeyFile(path).add_key(bytes([n]), key(f"key_{n}", created_ns=n)) for n in range(4)))
    store = await asyncio.to_thread(open_store, path)
    assert [one.id for one in await store.access.keys()] == ["key_0", "key_1", "key_2", "key_3"]
    await store.close()


async def test_an_older_file_is_not_upgraded_beside_its_owner(sqlite: Store, path: Path) -> None:
    """TL404 with the command that does it; what is no store is TL404, too."""
    await sqlite.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '0002'")
        raw.commit()
    with pytest.raises(StoreError) as refused:
        await KeyFile(path).add_key(b"h1", key())
    assert refused.value.code == "TL404" and "turnlog db upgrade" in refused.value.hint
    path.with_name("text.db").write_text("no database at all, but long enough to look like one" * 20)
    with pytest.raises(StoreError, match="TL404"):
        await KeyFile(path.with_name("text.db")).add_key(b"h1", key())


def test_limits_are_positive_and_give_way_to_a_keys_own() -> None:
    """Zero, negative and infinite limits are TL201; a key's own limit stands over the general one."""
    for wrong in (0, -1, float("inf"), float("nan")):
        with pytest.raises(DefinitionError, match="TL201 requests_s="):
            Limits(requests_s=wrong)
    assert Limits(sessions=5).over(Limits(sessions=2, messages_s=9)) == Limits(sessions=5, messages_s=9)
