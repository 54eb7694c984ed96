"""Bringing events of older versions to today's form: pure functions, chained, checked when they are put together.

An upcaster turns the fields that one (type, version) was stored with into the fields of the next version, or of another
type. Stored bytes never change; codec.decode applies the chain each time it reads. A new field with a default needs none.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from .errors import DefinitionError, StoreError

__all__ = ["Fields", "Form", "Upcast", "Upcasters"]

Fields: TypeAlias = dict[str, Any]
Form: TypeAlias = tuple[str, int]
"""(type, version) as they stand in the log's columns."""


class Upcast(NamedTuple):
    """One step: fields stored as `source` become fields of `target`. Pure: no clock, no I/O, and its argument is its own copy."""

    source: Form
    target: Form
    function: Callable[[Fields], Fields]


class Upcasters:
    """The steps of a set of events. `current`: each known type and its version today.

    Raises DefinitionError TL207 if a step is doubled, starts from what is read as it stands, leads to what is not known,
    goes round in a circle, or leaves out a version between others or before the current one.
    """

    def __init__(self, steps: Iterable[Upcast], current: Mapping[str, int]) -> None:
        self._current = dict(current)
        self._steps: dict[Form, Upcast] = {}
        for step in steps:
            self._add(step)
        self._find_gaps()
        for source in self._steps:
            self._follow(source)

    def __contains__(self, form: Form) -> bool:
        """Whether events of this form are brought to another."""
        return form in self._steps

    def apply(self, form: Form, fields: Fields) -> tuple[str, Fields]:
        """Today's type of an event, and its fields in today's form. Raises StoreError TL415 if a step fails."""
        while step := self._steps.get(form):
            try:
                fields = step.function(fields)
            except Exception as error:
                raise _failed(step, f"raised {type(error).__name__}: {error}") from error
            if not isinstance(fields, dict):
                raise _failed(step, f"returned {type(fields).__name__}, no dict")
            form = step.target
        return form[0], fields

    def _add(self, step: Upcast) -> None:
        source, target = step.source, step.target
        if source in self._steps:
            raise _misfit(source, "is brought to another form twice", "keep one of the two upcasters")
        for name, version in (source, target):
            if version < 1:
                raise _misfit((name, version), "is no version", "versions begin at 1")
        if source[1] >= self._current.get(source[0], source[1] + 1):
            raise _misfit(source, "is today's form and is read as it stands", "an upcaster starts from an older version")
        self._steps[source] = step

    def _find_gaps(self) -> None:
        newest = {name: version - 1 for name, version in self._current.items()}
        for name, version in self._steps:
            newest[name] = max(newest.get(name, 0), version)
        for name, last in newest.items():
            for version in range(1, last + 1):
                if (name, version) not in self._steps:
                    raise _misfit((name, version), "has no upcaster", f"versions 1 to {last} of {name} each need one")

    def _follow(self, source: Form) -> None:
        seen, form = {source}, self._steps[source].target
        while form in self._steps:
            if form in seen:
                raise _misfit(source, f"comes back to {_name(form)}", "upcasters lead to newer forms only")
            seen.add(form)
            form = self._steps[form].target
        if self._current.get(form[0]) != form[1]:
            raise _misfit(source, f"leads to {_name(form)}, which is not known here", "the last target is a current version")


def _name(form: Form) -> str:
    return f"{form[0]} v{form[1]}"


def _misfit(form: Form, what: str, hint: str) -> DefinitionError:
    return DefinitionError("TL207", f"{_name(form)} {what}", hint, field=form[0])


def _failed(step: Upcast, what: str) -> StoreError:
    where = f"the upcaster from {_name(step.source)} to {_name(step.target)}"
    return StoreError("TL415", f"{where} {what}", "the log is as it was; correct the upcaster")
