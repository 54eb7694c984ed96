"""The token bucket, with the time given to it."""

import pytest

from turnlog.core.bucket import Bucket

__all__: list[str] = []


def test_a_seconds_worth_at_once_and_then_the_rate() -> None:
    """Four a second: four at once, then one every 250 ms; what is refused takes nothing."""
    bucket = Bucket(4, 10.0)
    assert [bucket.take(10.0) for _ in range(5)] == [0, 0, 0, 0, 0.25]
    assert bucket.take(10.2) == pytest.approx(0.05)
    assert bucket.take(10.25) == 0
    assert [bucket.take(99.0) for _ in range(5)] == [0, 0, 0, 0, 0.25]


def test_less_than_one_a_second_and_a_clock_that_goes_back() -> None:
    """One in ten seconds lets the first through at once; time that goes back brings nothing."""
    bucket = Bucket(0.1, 5.0)
    assert bucket.take(5.0) == 0
    assert bucket.take(4.0) == pytest.approx(10.0)
    assert bucket.take(14.9) == pytest.approx(0.1)
    assert bucket.take(15.01) == 0
