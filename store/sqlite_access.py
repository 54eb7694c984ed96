"""Keys, secrets and the end of tokens, in a SQLite file: by the store that owns it, or by a process beside its owner.

Who writes is given: the owner's writer, or `KeyFile`, which says BEGIN IMMEDIATE and is gone. No lock on the file is taken for
that: SQLite's own keeps two writers apart, and the owner asks the file each time, so what is made here opens at once.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
import sqlalchemy as sa

from ..core.errors import StoreError
from ..core.limits import Limits
from . import schema
from .access import ApiKey, ClientSecret, key_taken, no_key, no_session
from .connect import compiled, driver, fetch, open_writer, store_error
from .migrate import prepare, revision_of
from .schema import REVISION

__all__ = ["KeyFile", "SqliteAccess"]

T = TypeVar("T")

_keys = schema.api_keys.c
_KEY_COLUMNS = (
    _keys.id, _keys.name, _keys.scopes, _keys.tenant, _keys.created, _keys.expires, _keys.revoked, _keys.limits,
)  # fmt: skip
_secrets = schema.client_secrets.c
_SECRET_COLUMNS = (_secrets.target, _secrets.session, _secrets.expires, _secrets.tenant, _secrets.key)


class _Run(Protocol):
    """Runs a job in a transaction of its own."""

    async def __call__(self, job: Callable[[sa.Connection], T], /) -> T: ...


class SqliteAccess:
    """See access.AccessStore."""

    def __init__(self, path: Path, run: _Run) -> None:
        self._path = path
        self._run = run

    async def add_key(self, key_hash: bytes, key: ApiKey) -> None:
        """Enter a key. Raises StoreError TL409."""
        row = {
            "key_hash": key_hash, "id": key.id, "name": key.name, "scopes": " ".join(key.scopes), "tenant": key.tenant,
            "created": key.created_ns, "expires": key.expires_ns, "revoked": key.revoked_ns,
            "limits": msgspec.json.encode(key.limits).decode(),
        }  # fmt: skip

        def enter(connection: sa.Connection) -> bool:
            same = sa.or_(_keys.id == key.id, _keys.key_hash == key_hash)
            if connection.scalar(sa.select(_keys.id).where(same)) is not None:
                return False
            connection.execute(sa.insert(schema.api_keys).values(row))
            return True

        if not await self._run(enter):
            raise key_taken(key.id)

    async def keys(self) -> list[ApiKey]:
        """All of them, the oldest first."""
        query = sa.select(*_KEY_COLUMNS).order_by(_keys.created, _keys.id)
        return [_key(row) for row in await fetch(self._path, *compiled(query))]

    async def find_key(self, key_hash: bytes) -> ApiKey | None:
        """The key of this hash."""
        rows = await fetch(self._path, *compiled(sa.select(*_KEY_COLUMNS).where(_keys.key_hash == key_hash)))
        return _key(rows[0]) if rows else None

    async def revoke_key(self, key_id: str, *, now_ns: int) -> ApiKey:
        """From now on it opens nothing. Raises StoreError TL419."""

        def revoke(connection: sa.Connection) -> Any:
            when = sa.func.coalesce(_keys.revoked, now_ns)
            changed = sa.update(schema.api_keys).where(_keys.id == key_id).values(revoked=when)
            return connection.execute(changed.returning(*_KEY_COLUMNS)).one_or_none()

        row = await self._run(revoke)
        if row is None:
            raise no_key(key_id)
        return _key(row)

    async def add_secret(self, secret_hash: bytes, secret: ClientSecret) -> None:
        """Enter a secret's hash, or replace what it opened before."""
        target, session, expires_ns, tenant, key = secret
        row = {"secret_hash": secret_hash, "target": target, "session": session, "tenant": tenant, "key": key}

        def enter(connection: sa.Connection) -> None:
            connection.execute(sa.delete(schema.client_secrets).where(_secrets.secret_hash == secret_hash))
            connection.execute(sa.insert(schema.client_secrets).values(**row, expires=expires_ns))

        await self._run(enter)

    async def find_secret(self, secret_hash: bytes, *, now_ns: int) -> ClientSecret | None:
        """What the secret opens; None if it is unknown or has expired."""
        query = sa.select(*_SECRET_COLUMNS).where(_secrets.secret_hash == secret_hash, _secrets.expires > now_ns)
        rows = await fetch(self._path, *compiled(query))
        return ClientSecret(*rows[0]) if rows else None

    async def extend_caller(self, token_hash: bytes, *, expires_ns: int) -> bool:
        """Move the end of a caller's token; False if there is none."""

        def extend(connection: sa.Connection) -> int:
            callers = schema.callers
            moved = sa.update(callers).where(callers.c.token_hash == token_hash).values(expires=expires_ns)
            return connection.execute(moved).rowcount

        return await self._run(extend) == 1

    async def revoke_callers(self, session: str) -> int:
        """Forget all caller tokens of a session. Raises StoreError TL408."""

        def revoke(connection: sa.Connection) -> int:
            sessions, callers = schema.sessions, schema.callers
            sid = connection.scalar(sa.select(sessions.c.id).where(sessions.c.key == session))
            if sid is None:
                return -1
            return connection.execute(sa.delete(callers).where(callers.c.sid == sid)).rowcount

        gone = await self._run(revoke)
        if gone < 0:
            raise no_session(session)
        return gone

    async def purge(self, *, now_ns: int) -> int:
        """Forget caller tokens and client secrets that have expired; how many there were."""

        def purge(connection: sa.Connection) -> int:
            tables = (schema.callers, schema.client_secrets)
            return sum(connection.execute(sa.delete(one).where(one.c.expires <= now_ns)).rowcount for one in tables)

        return await self._run(purge)


class KeyFile(SqliteAccess):
    """The keys of a file that another process may hold. A file that is not there is made.

    Raises StoreError TL404 (no store), TL405 (newer), TL406 (locked, read-only), and TL404 for one of an older turnlog.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, self._alone)

    async def open(self) -> None:
        """See that the file is a store of this turnlog; one that is not there, or empty, is made."""
        await self._alone(lambda _: None)

    async def _alone(self, job: Callable[[sa.Connection], T], /) -> T:
        return await asyncio.to_thread(self._once, job)

    def _once(self, job: Callable[[sa.Connection], T]) -> T:
        try:
            with closing(open_writer(self._path, durability="full")) as connection:
                self._must_fit(connection)
                with connection.begin():
                    return job(connection)
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            raise store_error(error, self._path) from error

    def _must_fit(self, connection: sa.Connection) -> None:
        revision = revision_of(driver(connection), self._path)
        # Strategy: an older file is not upgraded here, since that needs the owner's lock: an older turnlog may hold it.
        if revision is not None and revision < REVISION:
            hint = "`turnlog db upgrade` brings it there"
            raise StoreError("TL404", f"{self._path} is at revision {revision}, keys need {REVISION}", hint)
        prepare(connection, self._path)


def _key(row: Any) -> ApiKey:
    key_id, name, scopes, tenant, created, expires, revoked, limits = row
    return ApiKey(
        key_id, name, tuple(scopes.split()), tenant, created, expires, revoked, msgspec.json.decode(limits, type=Limits)
    )
