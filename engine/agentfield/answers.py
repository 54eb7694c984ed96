"""What an agent's model answers, as the log keeps it and as a handler gets it back, live as in a replay: of the SDK's classes.

Invariant: what a handler is given is made of what the log holds, never the object that the SDK returned.
"""

import dataclasses
import sys
from collections.abc import AsyncIterator
from enum import Enum
from typing import Any

from ..handlers.handles import ItemStream

__all__ = ["Chunk", "Chunks", "given_back", "kept", "plain_answer"]

_MARK = "agentfield"  # the key of a kept answer that names its class
_RESPONSE, _HARNESS = "MultimodalResponse", "HarnessResult"
_LISTS = {"images": "ImageOutput", "files": "FileOutput", "videos": "VideoOutput"}
_FIGURES = ("cost_usd", "usage", "cost_source")


def plain_answer(result: Any) -> Any:
    """An answer as values that the log can hold: models of pydantic as dicts, an answer with a text as that text."""
    if hasattr(result, "model_dump"):
        return result.model_dump(mode="json", by_alias=True)
    if isinstance(result, list | tuple):
        return [plain_answer(item) for item in result]
    if isinstance(result, dict):
        return {key: plain_answer(value) for key, value in result.items()}
    if not isinstance(result, str | bytes | int | float | bool | type(None)) and isinstance(getattr(result, "text", None), str):
        return result.text  # the SDK's multimodal response
    return result


def kept(result: Any) -> Any:
    """An answer for the log. Of a response of the SDK all but `raw_response`, which is the model library's own object."""
    match type(result).__name__:
        case "MultimodalResponse":
            parts = ("text", "audio", *_LISTS, *_FIGURES)
            return {_MARK: _RESPONSE} | {part: plain_answer(getattr(result, part, None)) for part in parts}
        case "HarnessResult" if dataclasses.is_dataclass(result):
            fields = dataclasses.fields(result)
            return {_MARK: _HARNESS} | {field.name: plain_answer(getattr(result, field.name)) for field in fields}
    return plain_answer(result)


def given_back(answer: Any, schema: Any = None) -> Any:
    """What the log has kept, for the handler. schema: a pydantic model that the answer, or what was parsed of it, is one of."""
    kind = answer.get(_MARK) if isinstance(answer, dict) else None
    if kind == _RESPONSE:
        return _response(answer)
    if kind == _HARNESS:
        return _harness({name: value for name, value in answer.items() if name != _MARK}, schema)
    return _validated(answer, schema)


def _validated(answer: Any, schema: Any) -> Any:
    return schema.model_validate(answer) if answer is not None and hasattr(schema, "model_validate") else answer


def _response(parts: dict[str, Any]) -> Any:
    sdk = sys.modules.get("agentfield.multimodal_response")
    if sdk is None:  # an agent that only looks like one
        return parts.get("text", "")
    audio = None if parts["audio"] is None else sdk.AudioOutput.model_validate(parts["audio"])
    made = {part: [getattr(sdk, kind).model_validate(one) for one in parts[part] or ()] for part, kind in _LISTS.items()}
    return sdk.MultimodalResponse(text=parts["text"], audio=audio, **made, **{name: parts[name] for name in _FIGURES})


def _harness(fields: dict[str, Any], schema: Any) -> Any:
    made = dict(fields, parsed=_validated(fields.get("parsed"), schema))
    kind = getattr(sys.modules.get("agentfield"), _HARNESS, None)
    if kind is None:
        return made
    for field in dataclasses.fields(kind):
        if isinstance(field.default, Enum) and field.name in made:
            made[field.name] = type(field.default)(made[field.name])
    return kind(**made)


class Chunk(dict[str, Any]):
    """One piece of a streamed answer as the log gives it back, read by key or by attribute, as those of a model library are."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the chunk has no {name!r}; it has: {', '.join(self)}") from None


def _chunk(value: Any) -> Any:
    if isinstance(value, dict):
        return Chunk({key: _chunk(item) for key, item in value.items()})
    return [_chunk(item) for item in value] if isinstance(value, list) else value


class Chunks(AsyncIterator[Any]):
    """A streamed answer: its chunks as they come from the log. Leaving it by `aclose` or `async with` stops the model."""

    def __init__(self, items: ItemStream) -> None:
        self._items = items

    async def __anext__(self) -> Any:
        return _chunk(await self._items.__anext__())

    async def aclose(self) -> None:
        """Leave it. Twice does nothing more."""
        await self._items.aclose()

    async def __aenter__(self) -> "Chunks":
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()
