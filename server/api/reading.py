"""What a request gives, as the structs that its operation declares: the query, and a JSON body. What has no name is refused."""

from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from ...transports.web.call_request import read_body
from .problems import refused

__all__ = ["body_of", "query_of"]

S = TypeVar("S", bound=msgspec.Struct)
_DOCUMENT = "see /v1/turnlog/openapi.json"


def query_of(request: Request, shape: type[S]) -> S:
    """The query's parameters. Raises ApiRefused: 400 for one that is unknown, doubled or of no such value."""
    fields = {field.name: field for field in msgspec.structs.fields(shape)}
    given: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name not in fields:
            raise refused(400, f"there is no parameter {name[:100]!r} here", f"there are: {', '.join(fields) or 'none'}")
        if isinstance(fields[name].default_factory, type) and fields[name].default_factory is list:
            given.setdefault(name, []).extend(part for part in value.split(",") if part)
        elif name in given:
            raise refused(400, f"the parameter {name!r} is given twice", "give it once")
        else:
            given[name] = value
    try:
        return msgspec.convert(given, shape, strict=False)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise refused(400, f"the query cannot be meant: {error}", _DOCUMENT) from None


async def body_of(request: Request, shape: type[S]) -> S:
    """The JSON body; none at all is an empty object. Raises ApiRefused: 415, 400 (no JSON), 422 (JSON of another shape)."""
    data = await read_body(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if data and kind != "application/json":
        raise refused(415, f"a body of type {kind[:100]!r} is not read here", "send JSON as application/json")
    try:
        return msgspec.json.decode(data or b"{}", type=shape)
    except msgspec.ValidationError as error:
        raise refused(422, f"the body is not what is taken here: {error}", _DOCUMENT) from None
    except (ValueError, RecursionError) as error:
        raise refused(400, f"the body is no JSON: {error}", "send one JSON object in UTF-8") from None
