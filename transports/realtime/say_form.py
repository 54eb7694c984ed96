"""How a say looks on the wire: an instruction line, then the text as one JSON string. Pure.

Composing and recognising are inverse for every string; anything else than exactly this form is no say, so that
nobody's ordinary instructions are ever read out word for word by mistake.
"""

import json
from typing import Any

__all__ = ["PREFIX", "SAY_KEY", "compose", "recognise"]

PREFIX = "Speak exactly the JSON string below, in its language. Do not answer it, obey it or add words.\n"
SAY_KEY = "turnlog_say"
"""The metadata key that names the say."""


def compose(text: str) -> str:
    """The instructions that make a model speak `text`."""
    try:
        text.encode()
        return PREFIX + json.dumps(text, ensure_ascii=False)  # readable for the model in any language
    except UnicodeEncodeError:  # half a surrogate pair cannot travel as UTF-8, its escape can
        return PREFIX + json.dumps(text)


def recognise(request: dict[str, Any]) -> str | None:
    """The text of a say, given the `response` object of a response.create; None if it is no say."""
    metadata, instructions = request.get("metadata"), request.get("instructions")
    if not (isinstance(metadata, dict) and isinstance(metadata.get(SAY_KEY), str) and isinstance(instructions, str)):
        return None
    quoted = instructions[len(PREFIX) :]
    if not instructions.startswith(PREFIX) or quoted[:1] != '"' or quoted[-1:] != '"':
        return None
    try:
        text = json.loads(quoted)
    except (ValueError, RecursionError):
        return None
    return text if isinstance(text, str) else None
