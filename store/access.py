"""What is kept of those who may call: API keys, client secrets, and an end to caller tokens. Digests only, never a secret.

Protocols and plain values; memory_access.py and sqlite_access.py implement them and pass one contract suite. Times are ns
since the Unix epoch.
"""

from typing import NamedTuple, Protocol

from ..core.errors import StoreError
from ..core.limits import Limits

__all__ = ["AccessStore", "ApiKey", "ApiKeys", "ClientSecret", "ClientSecrets", "Purges", "key_taken", "no_key", "no_session"]


class ApiKey(NamedTuple):
    """An API key as the store knows it. One that has expired or was revoked stays listed."""

    id: str  # names the key in lists and logs; not a secret
    name: str  # what it is for, in its maker's words
    scopes: tuple[str, ...]  # of "admin", "start", "observe"
    tenant: str  # "": all tenants
    created_ns: int
    expires_ns: int | None = None
    revoked_ns: int | None = None
    limits: Limits = Limits()

    def stands(self, now_ns: int) -> bool:
        """Whether it opens anything now."""
        return self.revoked_ns is None and (self.expires_ns is None or now_ns < self.expires_ns)


class ClientSecret(NamedTuple):
    """What an ephemeral secret opens: new sessions of one target, configured in one way, until it expires."""

    target: str  # node.session
    session: bytes  # the session object that it was made with, JSON
    expires_ns: int
    tenant: str = ""
    key: str = ""  # the id of the API key that it was made with; "" for one of the settings, or none


class ApiKeys(Protocol):
    """Hashed API keys. They can be made and revoked while another process holds the file; it knows them at once."""

    async def add_key(self, key_hash: bytes, key: ApiKey) -> None:
        """Enter a key. Raises StoreError TL409 if its id or hash is there already."""

    async def keys(self) -> list[ApiKey]:
        """All of them, the oldest first."""

    async def find_key(self, key_hash: bytes) -> ApiKey | None:
        """The key of this hash, though it may have expired or been revoked; None if there is none."""

    async def revoke_key(self, key_id: str, *, now_ns: int) -> ApiKey:
        """From now on it opens nothing; revoking twice keeps the first time. Raises StoreError TL419 for an unknown id."""


class ClientSecrets(Protocol):
    """Hashed client secrets."""

    async def add_secret(self, secret_hash: bytes, secret: ClientSecret) -> None:
        """Enter a secret's hash, or replace what it opened before."""

    async def find_secret(self, secret_hash: bytes, *, now_ns: int) -> ClientSecret | None:
        """What the secret opens; None if it is unknown or has expired."""


class Purges(Protocol):
    """The end of what was given out: brought later, or now."""

    async def extend_caller(self, token_hash: bytes, *, expires_ns: int) -> bool:
        """Move the end of a caller's token; False if there is none any more, which this does not bring back."""

    async def revoke_callers(self, session: str) -> int:
        """Forget all caller tokens of a session; how many there were. Raises StoreError TL408."""

    async def purge(self, *, now_ns: int) -> int:
        """Forget caller tokens and client secrets that have expired; how many there were."""


class AccessStore(ApiKeys, ClientSecrets, Purges, Protocol):
    """All of it: `Store.access`."""


def no_key(key_id: str) -> StoreError:
    """The answer to an id that no key has."""
    return StoreError("TL419", f"no key {key_id!r} in this store", "`turnlog keys list` shows their ids")


def no_session(session: str) -> StoreError:
    """The answer to a session that is not in the store."""
    return StoreError("TL408", f"no session {session!r} in this store", "list the sessions to see what there is")


def key_taken(key_id: str) -> StoreError:
    """The answer to a key that is there already."""
    return StoreError("TL409", f"key {key_id!r} exists already", "make another one")
