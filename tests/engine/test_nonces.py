"""Nonces: each is given out once."""

import os

from turnlog.core.chain import NONCE_SIZE
from turnlog.engine.nonces import Nonces


def test_no_nonce_is_given_twice() -> None:
    """Over several bulks they are all different, and of the chain's size."""
    nonces = Nonces()
    given = [nonces.next() for _ in range(1000)]
    assert len(set(given)) == 1000
    assert {len(nonce) for nonce in given} == {NONCE_SIZE}


def test_what_is_forgotten_is_not_given() -> None:
    """After forget() the bytes are drawn anew: what was drawn before is never given."""
    drawn = []

    def entropy(size: int) -> bytes:
        drawn.append(size)
        return bytes([len(drawn)]) * size

    nonces = Nonces(4, entropy=entropy)
    first = nonces.next()
    nonces.forget()
    assert (first, nonces.next(), nonces.next()) == (b"\x01" * 4, b"\x02" * 4, b"\x02" * 4)


def test_a_forked_process_has_nonces_of_its_own() -> None:
    """What the parent would give out next the child does not."""
    nonces = Nonces()
    nonces.next()
    reads, writes = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writes, nonces.next())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reads, NONCE_SIZE) != nonces.next()
    os.close(reads)
    os.close(writes)
