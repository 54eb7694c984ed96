"""Stretches laid end to end: they tile, and rounding to milliseconds loses nothing."""

from hypothesis import given
from hypothesis import strategies as st

from turnlog.core.explain.tiling import Tiling


@given(st.integers(0, 10**19), st.lists(st.integers(-(10**7), 10**10), max_size=30))
def test_milliseconds_add_up_to_the_whole(start_ns: int, ways: list[int]) -> None:
    """At any nanosecond; what goes back or takes no time leaves no stretch."""
    tiling, at_ns = Tiling(start_ns), start_ns
    for way in ways:
        tiling.add("handler", at_ns + way, 0)
        at_ns = max(at_ns, at_ns + way)
    assert tiling.now_ns == at_ns
    assert sum(one.ms for one in tiling.stretches) == (at_ns - start_ns) // 1_000_000
    edges = [start_ns, *(one.to_ns for one in tiling.stretches)]
    assert [one.from_ns for one in tiling.stretches] == edges[:-1]
    assert edges == sorted(set(edges))
