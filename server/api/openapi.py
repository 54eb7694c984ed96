"""The API's OpenAPI 3.1 document, made of the declared operations and of the structs' schemas."""

import re
from collections.abc import Sequence
from importlib import metadata
from typing import Any, Final

import msgspec

from .operations import Answer, Operation
from .problems import MEDIA_TYPE, Problem

__all__ = ["openapi"]

_REF: Final = "#/components/schemas/{name}"
_PROBLEM: Final = {"description": "What was wrong.", "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}}}
_HEADERS: Final = {
    "Last-Event-ID": {"type": "string", "pattern": "^[0-9]{0,15}$"},
}
_BINARY: Final = {"type": "string", "format": "binary"}


def openapi(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document. Every operation answers problems with 4XX, and where the server cannot, with 5XX."""
    types = [Problem, *(one.body for one in operations if one.body), *(one.query for one in operations if one.query)]
    types += [answer.shape for one in operations for answer in one.answers if answer.shape]
    _, components = msgspec.json.schema_components(dict.fromkeys(types), ref_template=_REF)
    queries = {one.query.__name__ for one in operations if one.query}
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "turnlog",
            "version": metadata.version("turnlog"),
            "description": "Sessions, their logs, words and audio, and what can be asked of them.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"key": []}, {}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _operation(one: Operation, components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "description": f"Needs a key with the scope `{one.scope}`, where the server has keys.",
        "parameters": _parameters(one, components),
        "responses": {str(answer.status): _answer(answer) for answer in one.answers} | {"4XX": _PROBLEM, "5XX": _PROBLEM},
    }
    if one.body is not None:
        required = bool(components[one.body.__name__].get("required"))
        content = {"application/json": {"schema": {"$ref": _REF.format(name=one.body.__name__)}}}
        described["requestBody"] = {"required": required, "content": content}
    return described


def _parameters(one: Operation, components: dict[str, Any]) -> list[dict[str, Any]]:
    named = re.findall(r"{(\w+)}", one.path)
    found = [{"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in named]
    of_query = components[one.query.__name__]["properties"] if one.query else {}
    for name, schema in of_query.items():
        found.append({"name": name, "in": "query", "required": False, "schema": _without_null(schema)})
    known = [name for name in one.headers if name in _HEADERS]  # Accept and Range are HTTP's own
    return found + [{"name": name, "in": "header", "required": False, "schema": _HEADERS[name]} for name in known]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not given has no value: null cannot be written into a query."""
    schema = {key: value for key, value in schema.items() if key != "default" or value is not None}
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    rest: list[dict[str, Any]] = [one for one in schema.get("anyOf", []) if one.get("type") != "null"]
    if len(rest) == 1:
        return {key: value for key, value in schema.items() if key != "anyOf"} | rest[0]
    return schema


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.what}
    if answer.shape is not None or answer.media:
        ref = {"$ref": _REF.format(name=answer.shape.__name__)} if answer.shape is not None else _BINARY
        kinds = answer.media or ("application/json",)
        described["content"] = {kind: {"schema": _form(kind, ref)} for kind in kinds}
    return described


def _form(kind: str, shape: dict[str, Any]) -> dict[str, Any]:
    """A body of this media type; of server-sent events each one."""
    if kind == "text/event-stream":
        data = {"type": "string", "contentMediaType": "application/json", "contentSchema": shape}
        return {"type": "object", "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": data}}
    return {"type": "string"} if kind.startswith("text/") else shape
