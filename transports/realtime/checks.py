"""Checking JSON values that a client sent, key by key, against what the protocol allows. Pure.

A check returns None or a Refusal, which becomes an `error` event: the code and the path of the offending parameter are
the protocol's, so that clients which react to codes do so here too.
"""

import math
from collections.abc import Callable, Mapping

import msgspec

__all__ = [
    "Check",
    "Refusal",
    "anything",
    "boolean",
    "each",
    "integer",
    "nullable",
    "number",
    "obj",
    "one_of",
    "string",
    "string_map",
    "too_deep",
]

MAX_DEPTH = 64


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a client's event changes nothing: the inside of the `error` event that answers it."""

    code: str
    message: str
    param: str | None = None


Check = Callable[[object, str], Refusal | None]
"""(value, path) → why not."""


def too_deep(value: object, path: str) -> Refusal | None:
    """Refuse what is nested deeper than any honest event: encoders and decoders give up at different depths."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return None
    return Refusal(code="invalid_value", param=path, message=f"Invalid value: '{path}' is nested deeper than {MAX_DEPTH} levels.")


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _wrong(path: str, expected: str, value: object) -> Refusal:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "an integer", float: "a number"}
    got = names.get(type(value), "null")
    return Refusal(
        code="invalid_type", param=path, message=f"Invalid type for '{path}': expected {expected}, but got {got} instead."
    )


def anything(value: object, path: str) -> Refusal | None:
    """Any value: kept, not used."""
    return None


def string(value: object, path: str) -> Refusal | None:
    """Text."""
    return None if isinstance(value, str) else _wrong(path, "a string", value)


def boolean(value: object, path: str) -> Refusal | None:
    """true or false."""
    return None if isinstance(value, bool) else _wrong(path, "a boolean", value)


def integer(low: int, high: int) -> Check:
    """A whole number from low to high."""

    def check(value: object, path: str) -> Refusal | None:
        if type(value) is not int:
            return _wrong(path, "an integer", value)
        return None if low <= value <= high else _out_of_range(path, low, high)

    return check


def number(low: float, high: float) -> Check:
    """A finite number from low to high."""

    def check(value: object, path: str) -> Refusal | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return _wrong(path, "a number", value)
        return None if low <= value <= high else _out_of_range(path, low, high)

    return check


def _out_of_range(path: str, low: float, high: float) -> Refusal:
    return Refusal(code="invalid_value", param=path, message=f"Invalid value for '{path}': expected {low} to {high}.")


def one_of(*allowed: object) -> Check:
    """One of these values."""

    def check(value: object, path: str) -> Refusal | None:
        if any(value == one and type(value) is type(one) for one in allowed):
            return None
        listed = ", ".join(repr(one) for one in allowed)
        return Refusal(code="invalid_value", param=path, message=f"Invalid value for '{path}'. Supported values are: {listed}.")

    return check


def nullable(inner: Check) -> Check:
    """null, or what `inner` allows."""
    return lambda value, path: None if value is None else inner(value, path)


def each(inner: Check, *, at_most: int = 1024) -> Check:
    """An array of what `inner` allows."""

    def check(value: object, path: str) -> Refusal | None:
        if not isinstance(value, list):
            return _wrong(path, "an array", value)
        if len(value) > at_most:
            return Refusal(code="invalid_value", param=path, message=f"Invalid value: '{path}' has more than {at_most} elements.")
        found = (inner(element, f"{path}[{index}]") for index, element in enumerate(value))
        return next((refusal for refusal in found if refusal), None)

    return check


def obj(fields: Mapping[str, Check], *, required: tuple[str, ...] = (), open_: bool = False) -> Check:
    """An object with these keys and, unless open, no others."""

    def check(value: object, path: str) -> Refusal | None:
        if not isinstance(value, dict):
            return _wrong(path, "an object", value)
        for key in required:
            if key not in value:
                at = f"{path}.{key}"
                return Refusal(code="missing_required_parameter", param=at, message=f"Missing required parameter: '{at}'.")
        for key, inner in value.items():
            at = f"{path}.{key}"
            if (known := fields.get(key)) is None:
                if open_:
                    continue
                return Refusal(code="unknown_parameter", param=at, message=f"Unknown parameter: '{at}'.")
            if refusal := known(inner, at):
                return refusal
        return None

    return check


def string_map(value: object, path: str) -> Refusal | None:
    """Metadata: at most 16 keys with text."""
    if not isinstance(value, dict):
        return _wrong(path, "an object", value)
    if len(value) > 16:
        return Refusal(code="invalid_value", param=path, message=f"Invalid value: '{path}' has more than 16 keys.")
    return next((refusal for key, text in value.items() if (refusal := string(text, f"{path}.{key}"))), None)
