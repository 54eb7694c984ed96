"""The options that a configuration can hold, read off the structs: a field that is added to one of them is an option.

A field's type says what may stand there, `Meta(extra={"variable": …, "secret": …})` which variable of the environment has it and
whether it is shown. Without that the variable is TURNLOG_<NAME>, and what is called a key, token, secret or password is secret. A
field that is a struct itself is a table, its fields are options below it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_type_hints

import msgspec
from msgspec import inspect

from .options import EngineOptions, LogOptions, ProviderOptions, ServeOptions
from .settings import ServerSettings

__all__ = ["OPTIONS", "SECTIONS", "Option", "build"]

SECTIONS: Final[dict[str, type[msgspec.Struct]]] = {
    "serve": ServeOptions,
    "server": ServerSettings,
    "engine": EngineOptions,
    "log": LogOptions,
    "providers": ProviderOptions,
}
_SECRET = re.compile(r"(^|_)(key|token|secret|password|credential)s?$")
_SEQUENCES = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option. path: section first. many: a list. variable: of the environment; a secret's file is in <variable>_FILE.

    meaning: for people, `Meta(description=…)` of its field.
    """

    path: tuple[str, ...]
    type: Any
    default: Any
    variable: str
    secret: bool = False
    many: bool = False
    meaning: str = ""

    @property
    def name(self) -> str:
        """As people write it, e.g. server.drain_s."""
        return ".".join(self.path)


def _options(path: tuple[str, ...], struct: type[msgspec.Struct]) -> Iterator[Option]:
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        here = (*path, field.name)
        found, extra = _plain(hints[field.name])
        if isinstance(found, inspect.StructType):
            yield from _options(here, found.cls)
            continue
        yield Option(
            path=here,
            type=hints[field.name],
            default=field.default_factory() if field.default is msgspec.NODEFAULT else field.default,
            variable=extra.get("variable") or "_".join(("TURNLOG", *here[1:])).upper(),
            secret=extra.get("secret", bool(_SECRET.search(field.name))),
            many=isinstance(found, _SEQUENCES),
            meaning=extra.get("description", ""),
        )


def _plain(hint: Any) -> tuple[inspect.Type, dict[str, Any]]:
    """What a type is without its annotation and without None, and what the annotation says beside it."""
    found, extra = inspect.type_info(hint), {}
    while isinstance(found, inspect.Metadata | inspect.UnionType):
        if isinstance(found, inspect.Metadata):
            extra.update({**(found.extra_json_schema or {}), **(found.extra or {})})
            found = found.type
        else:
            others = [one for one in found.types if not isinstance(one, inspect.NoneType)]
            found = others[0]
    return found, extra


OPTIONS: Final[dict[tuple[str, ...], Option]] = {
    option.path: option for section, struct in SECTIONS.items() for option in _options((section,), struct)
}


def build(struct: type[msgspec.Struct], at: tuple[str, ...], values: Mapping[tuple[str, ...], Any]) -> Any:
    """A struct of the values of the options below a path."""
    made = {}
    for name, hint in get_type_hints(struct, include_extras=True).items():
        here = (*at, name)
        if here in values:
            made[name] = values[here]
        elif isinstance(below := _plain(hint)[0], inspect.StructType):
            made[name] = build(below.cls, here, values)
    return struct(**made)
