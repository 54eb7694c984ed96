"""The hash chain over a session's events. Pure; the store calls it, `turnlog verify` checks it.

h_n = blake2b(h_{n-1} + msgpack[session, seq, type, version, at_ns, epoch, cause, digest]), 32 bytes, h_0 = 32 zero bytes.
The digest covers the stored data, whose first 16 bytes are a random nonce: after an erasure (data NULL) the digest stays,
the chain still verifies, and the digest alone cannot be used to guess what was said.
"""

from hashlib import blake2b

import msgspec

__all__ = ["GENESIS", "NONCE_SIZE", "digest", "link"]

GENESIS = bytes(32)
NONCE_SIZE = 16

_encode = msgspec.msgpack.Encoder().encode


def digest(data: bytes) -> bytes:
    """32-byte digest of an event's stored data (nonce included) or of a media segment's data."""
    return blake2b(data, digest_size=32).digest()


def link(
    previous: bytes, session: str, seq: int, type_: str, version: int, at_ns: int, epoch: int, cause: int, digest_: bytes
) -> bytes:
    """The chain's next hash: 32 bytes."""
    header = _encode((session, seq, type_, version, at_ns, epoch, cause, digest_))
    return blake2b(previous + header, digest_size=32).digest()
