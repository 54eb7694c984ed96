"""Keys, secrets and the end of tokens, of a store in memory. Every operation is whole before it first awaits."""

from collections.abc import Callable, MutableMapping
from typing import TypeVar

from .access import ApiKey, ClientSecret, key_taken, no_key
from .port import Caller

__all__ = ["MemoryAccess"]

T = TypeVar("T")


class MemoryAccess:
    """See access.AccessStore. callers: the store's own tokens. writes: raises where the store takes none. known: raises TL408."""

    def __init__(
        self, callers: MutableMapping[bytes, Caller], writes: Callable[[], object], known: Callable[[str], object]
    ) -> None:
        self._callers = callers
        self._writes = writes
        self._known = known
        self._keys: dict[bytes, ApiKey] = {}
        self._secrets: dict[bytes, ClientSecret] = {}

    async def add_key(self, key_hash: bytes, key: ApiKey) -> None:
        """Enter a key. Raises StoreError TL409."""
        self._writes()
        if key_hash in self._keys or any(one.id == key.id for one in self._keys.values()):
            raise key_taken(key.id)
        self._keys[key_hash] = key

    async def keys(self) -> list[ApiKey]:
        """All of them, the oldest first."""
        return sorted(self._keys.values(), key=lambda one: (one.created_ns, one.id))

    async def find_key(self, key_hash: bytes) -> ApiKey | None:
        """The key of this hash."""
        return self._keys.get(key_hash)

    async def revoke_key(self, key_id: str, *, now_ns: int) -> ApiKey:
        """From now on it opens nothing. Raises StoreError TL419."""
        self._writes()
        for hashed, key in self._keys.items():
            if key.id == key_id:
                revoked = key if key.revoked_ns is not None else key._replace(revoked_ns=now_ns)
                self._keys[hashed] = revoked
                return revoked
        raise no_key(key_id)

    async def add_secret(self, secret_hash: bytes, secret: ClientSecret) -> None:
        """Enter a secret's hash."""
        self._writes()
        self._secrets[secret_hash] = secret

    async def find_secret(self, secret_hash: bytes, *, now_ns: int) -> ClientSecret | None:
        """What the secret opens."""
        secret = self._secrets.get(secret_hash)
        return secret if secret is not None and secret.expires_ns > now_ns else None

    async def extend_caller(self, token_hash: bytes, *, expires_ns: int) -> bool:
        """Move the end of a caller's token; False if there is none."""
        self._writes()
        if token_hash not in self._callers:
            return False
        self._callers[token_hash] = self._callers[token_hash]._replace(expires_ns=expires_ns)
        return True

    async def revoke_callers(self, session: str) -> int:
        """Forget all caller tokens of a session. Raises StoreError TL408."""
        self._writes()
        self._known(session)
        return _drop(self._callers, lambda caller: caller.session == session)

    async def purge(self, *, now_ns: int) -> int:
        """Forget what has expired."""
        self._writes()
        callers = _drop(self._callers, lambda caller: caller.expires_ns <= now_ns)
        return callers + _drop(self._secrets, lambda secret: secret.expires_ns <= now_ns)


def _drop(held: MutableMapping[bytes, T], is_over: Callable[[T], bool]) -> int:
    over = [hashed for hashed, one in held.items() if is_over(one)]
    for hashed in over:
        del held[hashed]
    return len(over)
