"""Ports: the plain values that cross them, whose order of fields stores and archives rely on."""

import inspect

import pytest

from turnlog.core import ports


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        (ports.Draft, "type version at_ns cause data"),
        (ports.Recorded, "seq type version at_ns epoch cause digest hash data"),
        (ports.Segment, "track n first_seq t0_ns dur_ns codec digest data"),
        (ports.Head, "session sid epoch seq hash"),
        (
            ports.SessionRow,
            "session tenant target provider transport status python code_version engine_flags head_seq created_ns ended_ns",
        ),
    ],
)
def test_values_are_tuples_in_a_fixed_order(value: type, fields: str) -> None:
    """They are unpacked by position on the append path."""
    assert value._fields == tuple(fields.split())  # type: ignore[attr-defined] # a NamedTuple


@pytest.mark.parametrize("port", [ports.Log, ports.Link, ports.Provider])
def test_a_port_has_at_most_four_methods_and_each_is_described(port: type) -> None:
    """Domain words, few of them."""
    methods = [method for name, method in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")]
    assert 1 <= len(methods) <= 4
    assert all(method.__doc__ for method in methods)
