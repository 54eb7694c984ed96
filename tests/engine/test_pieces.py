"""Cutting audio: at sample boundaries, nothing lost, nothing longer than asked."""

import base64
import os

import pytest

from tests.engine.mouths import audio
from turnlog.engine.sound.pieces import LONGEST_MS, pieces


@pytest.mark.parametrize(("rate", "sample"), [(48, 2), (8, 1)])
@pytest.mark.parametrize("ms", [20, 100, 100.5, 250, 1000, 10_000])
def test_pieces_are_the_whole(rate: int, sample: int, ms: float) -> None:
    """Decoded one by one the pieces are the bytes of the whole; all but the last hold whole samples, none lasts too long."""
    data = os.urandom(round(ms * rate) // sample * sample)
    whole = audio(data=data, rate=rate)
    found = pieces(whole)
    decoded = [base64.b64decode(one.audio, validate=True) for one in found]
    assert b"".join(decoded) == data
    assert all(len(one) % sample == 0 for one in decoded)
    assert all(one.ms <= LONGEST_MS + 1e-6 for one in found)
    assert [round(one.ms, 6) for one in found] == [round(len(one) / rate, 6) for one in decoded]
    assert len(found) <= ms / LONGEST_MS * 1.01 + 1


def test_a_pcm_piece_is_100_ms() -> None:
    """24 kHz PCM is cut after 100 ms exactly."""
    assert [one.ms for one in pieces(audio(250))] == [100, 100, 50]


def test_half_a_sample_is_kept() -> None:
    """A delta of an odd number of bytes loses none of them."""
    data = os.urandom(9601)
    assert b"".join(base64.b64decode(one.audio) for one in pieces(audio(data=data))) == data


def test_what_is_short_enough_stays_itself() -> None:
    """It is handed on as the very object."""
    whole = audio(100)
    assert pieces(whole)[0] is whole


def test_the_smallest_piece_is_eight_characters() -> None:
    """At a rate so low that a piece would hold no whole group of samples, it holds one."""
    found = pieces(audio(data=bytes(12), rate=48), longest_ms=0)
    assert [len(one.audio) for one in found] == [8, 8]
