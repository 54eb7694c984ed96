"""How a say looks on the wire: an instruction line, then the text as one JSON string. Pure.

A recording has no words: on the line to this machine's own voice, and on no other, its digest stands in the metadata.

Composing and recognising are inverse for every string; anything else than exactly this form is no say, so that
nobody's ordinary instructions are ever read out word for word by mistake.
"""

import json
from typing import Any

__all__ = ["CLIP_KEY", "PREFIX", "SAY_KEY", "compose", "recognise", "recognise_clip"]

PREFIX = "Speak exactly the JSON string below, in its language. Do not answer it, obey it or add words.\n"
SAY_KEY = "turnlog_say"
"""The metadata key that names the say."""
CLIP_KEY = "turnlog_clip"
"""The metadata key that names the recording which a say plays: the SHA-256 of its samples, in hex."""


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


def recognise_clip(request: dict[str, Any]) -> tuple[str, str] | None:
    """The say and the digest of the recording that it plays, given the `response` object; None if it plays none."""
    metadata = request.get("metadata")
    if not isinstance(metadata, dict):
        return None
    say, digest = metadata.get(SAY_KEY), metadata.get(CLIP_KEY)
    return (say, digest) if isinstance(say, str) and isinstance(digest, str) else None
