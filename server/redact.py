"""What must not be in a log: the secrets that this process knows of, and what looks like one."""

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["MASK", "Redactor"]

MASK: Final = "••••"
_SHORTEST = 6  # what is shorter would be found in words, too
_LOOKS_SECRET: Final = re.compile(
    r"""(?ix)
    (?P<before> \b(?:bearer|basic)\s+ | api[-_]?key["']?\s*[:=]\s*["']? | openai-insecure-api-key\. | turns?:[^\s:@/]+: )
    (?P<after> [^\s"'&,;@]{4,} )
    | \b (?: sk | ek | tl | rk ) [-_] [A-Za-z0-9][A-Za-z0-9_-]{14,}
    """
)


class Redactor:
    """Takes secrets out of texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def redact(self, text: str) -> str:
        """The text without them."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _LOOKS_SECRET.sub(lambda found: f"{found['before'] or ''}{MASK}", text)

    def __repr__(self) -> str:
        return "Redactor()"  # never what it looks for
