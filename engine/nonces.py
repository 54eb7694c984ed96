"""Random nonces for the events of a log, asked of the operating system in bulk: a system call each would be its dearest part."""

import os

from ..core.chain import NONCE_SIZE

__all__ = ["Nonces"]

_BULK = 256


class Nonces:
    """Gives nonces out once each. A forked process starts with none of its parent's."""

    __slots__ = ("_at", "_bytes", "_process")

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0
        self._process = os.getpid()

    def next(self) -> bytes:
        """16 random bytes that were not given out before."""
        if self._at >= len(self._bytes) or self._process != os.getpid():
            self._bytes, self._at, self._process = os.urandom(_BULK * NONCE_SIZE), 0, os.getpid()
        self._at += NONCE_SIZE
        return self._bytes[self._at - NONCE_SIZE : self._at]
