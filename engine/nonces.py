"""Random bytes for nonces and ids, asked of the operating system in bulk: a system call each would be their dearest part."""

import os
from collections.abc import Callable

from ..core.chain import NONCE_SIZE

__all__ = ["Nonces"]

_BULK = 256


class Nonces:
    """Gives nonces of `size` bytes out once each. A forked process starts with none of its parent's."""

    __slots__ = ("_at", "_bytes", "_entropy", "_process", "_size")

    def __init__(self, size: int = NONCE_SIZE, *, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._size = size
        self._entropy = entropy
        self._bytes = b""
        self._at = 0
        self._process = os.getpid()

    def next(self) -> bytes:
        """Random bytes that were not given out before."""
        if self._at >= len(self._bytes) or self._process != os.getpid():
            self._bytes, self._at, self._process = self._entropy(_BULK * self._size), 0, os.getpid()
        self._at += self._size
        return self._bytes[self._at - self._size : self._at]
