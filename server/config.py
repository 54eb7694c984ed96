"""The effective configuration: turnlog.toml under the environment under the command line, each value checked, its origin kept.

Bad input is TurnlogError TL210 and names the place; a value that is secret is in no message.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from ..core.errors import TurnlogError
from .config_fields import OPTIONS, SECTIONS, Option, build
from .redact import MASK

__all__ = ["FILE", "Config", "load_config"]

FILE = "turnlog.toml"
"""What is read where no file is named, if it is there."""
_LARGEST = 1 << 20
_OTHERS = {"TURNLOG_CONFIG", "TURNLOG_DEBUG", "TURNLOG_PROVIDER_KEY"}  # of other commands, and of all
_WITH_PASSWORD = re.compile(r"(://)[^/@\s\"]+@")
_SPLIT = re.compile(r"[,\s]+")

Given = Mapping[tuple[str, ...], Any]
S = TypeVar("S", bound=msgspec.Struct)


class _Value(NamedTuple):
    value: Any
    origin: str
    text: bool = False  # of the environment: text, to be read as the option's type


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every option's value, and where it is from: "default", a file, "$VARIABLE" or the command line."""

    values: dict[tuple[str, ...], Any]
    origins: dict[tuple[str, ...], str]
    file: str = ""
    unknown: list[str] = []  # variables that look like options and are none

    def section(self, struct: type[S]) -> S:
        """A section as its struct, e.g. `config.section(ServerSettings)`."""
        name = next(name for name, one in SECTIONS.items() if one is struct)
        built: S = build(struct, (name,), self.values)
        return built

    def shown(self, option: Option) -> str:
        """An option's value as turnlog.toml would have it; a secret only says how many there are."""
        value = self.values[option.path]
        if not option.secret or not value:
            return _WITH_PASSWORD.sub(rf"\1{MASK}@", _toml(value))
        return _toml([MASK] * len(value)) if option.many else f'"{MASK}"'

    def export(self, environment: MutableMapping[str, str]) -> None:
        """Enter what is set of [providers] where providers look for it when a link is opened."""
        for option in OPTIONS.values():
            if option.path[0] == "providers" and (value := self.values[option.path]):
                environment[option.variable] = str(value)

    def secrets(self) -> list[str]:
        """Every secret that it holds: what no log may show."""
        found: list[str] = []
        for option in OPTIONS.values():
            if option.secret and (value := self.values[option.path]):
                found += map(str, value) if option.many else [str(value)]
        return found

    def __repr__(self) -> str:
        return f"Config({self.file or 'no file'})"  # never a value

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("file", self.file)]


_Written = dict[tuple[str, ...], _Value]


def load_config(path: str | None = None, *, environment: Mapping[str, str] = os.environ, given: Given | None = None) -> Config:
    """The configuration of this process. path: of the file, else ./turnlog.toml if there is one. given: by the command line.

    Raises TurnlogError TL210.
    """
    file = path or (FILE if Path(FILE).is_file() else "")
    values: dict[tuple[str, ...], Any] = {}
    origins: dict[tuple[str, ...], str] = {}
    written = _read_file(file) if file else {}
    for option in OPTIONS.values():
        found = _find(option, written, environment, given or {})
        values[option.path] = option.default if found is None else _converted(option, found)
        origins[option.path] = "default" if found is None else found.origin
    return Config(values=values, origins=origins, file=file, unknown=_unheeded(environment))


def _find(option: Option, written: _Written, environment: Mapping[str, str], given: Given) -> _Value | None:
    """The value that counts: the command line's, else the environment's, else the file's."""
    if option.path in given:
        return _Value(given[option.path], "command line")
    by_file = f"{option.variable}_FILE" if option.secret else ""
    text, named = environment.get(option.variable, ""), environment.get(by_file, "")
    if text and named:
        raise TurnlogError("TL210", f"${option.variable} and ${by_file} are both set", "unset one of them")
    if text:
        return _Value(text, f"${option.variable}", text=True)
    if named:
        return _Value(_read_secret(named, f"${by_file}"), f"${by_file}", text=True)
    return written.get(option.path)


def _converted(option: Option, found: _Value) -> Any:
    value = found.value
    if found.text and option.many:
        value = [part for part in _SPLIT.split(value.strip()) if part]
    try:
        return msgspec.convert(value, option.type, strict=not found.text)
    except msgspec.ValidationError as error:
        detail = "it is not valid" if option.secret else str(error).replace("`", "").replace("str", "text")
        hint = "docs/howto/operate.md has the options; `turnlog config` shows what is in force"
        raise TurnlogError("TL210", f"{option.name} ({found.origin}): {detail}", hint) from None


# --- the file ---


def _read_file(path: str) -> _Written:
    try:
        text = Path(path).read_bytes()[:_LARGEST].decode()
        tables = tomllib.loads(text)
    except OSError as error:
        raise TurnlogError("TL210", f"{path} cannot be read: {error.strerror}", "name another file with --config") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise TurnlogError("TL210", f"{path} is no TOML: {error}", "see https://toml.io") from None
    written: _Written = {}
    for section, table in tables.items():
        if section not in SECTIONS or not isinstance(table, dict):
            raise _unknown(path, f"[{section}]", section, list(SECTIONS))
        _read_table(path, (section,), table, written)
    return written


def _read_table(path: str, at: tuple[str, ...], table: dict[str, Any], written: _Written) -> None:
    names = {option[len(at)] for option in OPTIONS if option[: len(at)] == at}
    for name, value in table.items():
        here = (*at, name)
        secret = OPTIONS.get((*at, name.removesuffix("_file")))
        if option := OPTIONS.get(here):
            written[option.path] = _Value(value, path)
        elif secret and secret.secret and name.endswith("_file"):
            if secret.path[-1] in table:
                raise TurnlogError("TL210", f"{path}: {secret.name} and {'.'.join(here)} are both set", "remove one of them")
            place = str(Path(path).parent / str(value))
            written[secret.path] = _Value(_read_secret(place, f"{'.'.join(here)} in {path}"), f"{path} ({name})", text=True)
        elif name in names and isinstance(value, dict):
            _read_table(path, here, value, written)
        else:
            raise _unknown(path, f"[{'.'.join(at)}] {name}", name, sorted(names))


def _read_secret(path: str, origin: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            secret = file.read(_LARGEST).strip()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        detail = error.strerror if isinstance(error, OSError) else "it is no text"
        problem = f"{origin} names {path}, which cannot be read: {detail}"
        raise TurnlogError("TL210", problem, "name a file with the secret in it") from None
    if not secret:  # a server that was to have keys must not start without
        raise TurnlogError("TL210", f"{origin} names {path}, which is empty", "name a file with the secret in it")
    return secret


def _unknown(path: str, what: str, name: str, known: list[str]) -> TurnlogError:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
    return TurnlogError("TL210", f"{path}: {what} is unknown", hint)


def _unheeded(environment: Mapping[str, str]) -> list[str]:
    """Strategy: told, and no error: what starts this process may set variables of that name for reasons of its own."""
    known = {option.variable for option in OPTIONS.values()} | _OTHERS
    known |= {f"{option.variable}_FILE" for option in OPTIONS.values() if option.secret}
    return sorted(name for name in environment if name.startswith("TURNLOG_") and name not in known)


def _toml(value: Any) -> str:
    """Good enough for what options are: texts, numbers, lists of them."""
    return msgspec.json.encode(list(value) if isinstance(value, (tuple, set, frozenset)) else value).decode()
