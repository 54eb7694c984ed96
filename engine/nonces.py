"""Random bytes for nonces and ids, asked of the operating system in bulk: a system call each would be their dearest part."""

import os
from collections.abc import Callable
from weakref import WeakSet

from ..core.chain import NONCE_SIZE

__all__ = ["Nonces"]

_BULK = 256


class Nonces:
    """Gives nonces of `size` bytes out once each. A forked process starts with none of its parent's."""

    __slots__ = ("__weakref__", "_at", "_bytes", "_entropy", "_size")

    def __init__(self, size: int = NONCE_SIZE, *, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._size = size
        self._entropy = entropy
        self._bytes = b""
        self._at = 0
        _ALL.add(self)

    def forget(self) -> None:
        """Give out nothing of what was drawn before."""
        self._bytes = b""

    def next(self) -> bytes:
        """Random bytes that were not given out before."""
        start = self._at
        if start >= len(self._bytes):
            self._bytes, start = self._entropy(_BULK * self._size), 0
        self._at = start + self._size
        return self._bytes[start : self._at]


_ALL: WeakSet[Nonces] = WeakSet()


def _forget_all() -> None:
    for nonces in list(_ALL):
        nonces.forget()


if hasattr(os, "register_at_fork"):  # not where processes do not fork
    os.register_at_fork(after_in_child=_forget_all)
