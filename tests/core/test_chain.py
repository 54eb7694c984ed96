"""The hash chain: what it covers, and that its bytes stay for ever."""

from hashlib import blake2b

import msgspec
import pytest

from turnlog.core.chain import GENESIS, NONCE_SIZE, digest, link

ENTRY = ("sess_1", 3, "TurnEnded", 1, 1_700_000_000_000_000_000, 1, -1, digest(b"data"))


def test_the_chain_begins_with_32_zero_bytes() -> None:
    """h_0 is 32 zero bytes, and a nonce has 16."""
    assert bytes(32) == GENESIS
    assert NONCE_SIZE == 16


def test_a_link_is_blake2b_of_the_previous_hash_and_the_header() -> None:
    """h_n = blake2b(h_(n-1) + msgpack[session, seq, type, version, at_ns, epoch, cause, digest]), 32 bytes."""
    expected = blake2b(GENESIS + msgspec.msgpack.encode(list(ENTRY)), digest_size=32).digest()
    assert link(GENESIS, *ENTRY) == expected


def test_a_known_link_keeps_its_bytes() -> None:
    """A log written by an earlier release verifies: this hash never changes."""
    assert link(GENESIS, *ENTRY).hex() == "6f71233dfd787edbb028538bf72ce03380dff659c8abc4c5c82c20fa63223150"


@pytest.mark.parametrize("at", range(len(ENTRY)))
def test_every_part_of_the_header_is_covered(at: int) -> None:
    """A change in any field of an entry changes its hash."""
    others = ("sess_2", 4, "TurnDiscarded", 2, 1_700_000_000_000_000_001, 2, -2, digest(b"other"))
    changed = (*ENTRY[:at], others[at], *ENTRY[at + 1 :])
    assert link(GENESIS, *changed) != link(GENESIS, *ENTRY)  # type: ignore[arg-type] # eight of the eight, by position


def test_a_link_depends_on_the_one_before() -> None:
    """The same entry behind another hash has another hash."""
    assert link(link(GENESIS, *ENTRY), *ENTRY) != link(GENESIS, *ENTRY)


def test_a_digest_covers_the_nonce() -> None:
    """Equal payloads with other nonces have other digests, so that a digest alone tells nothing of an erased text."""
    assert digest(b"a" * 16 + b"payload") != digest(b"b" * 16 + b"payload")
    assert len(digest(b"")) == 32
