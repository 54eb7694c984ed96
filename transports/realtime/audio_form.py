"""Audio messages that differ from one that was parsed only in their event_id and their payload. Pure: bytes in, span out.

Strategy: nine of ten messages of a call are such, and the parser finds nothing in them that it did not find in the one
before. What stands around the two values is compared instead, and they are looked at: a message that matches would be parsed
to the same view. Nothing is guessed from a message that does not; it is parsed.
"""

from typing import Generic, NamedTuple, TypeVar

from ...core.payload import decoded
from .messages import View

__all__ = ["AudioForm", "AudioReader", "form_of"]

_V = TypeVar("_V", bound=View)

_MAX_ID = 128
_ID = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:"  # nothing that JSON would read otherwise


class AudioForm(NamedTuple):
    """The bytes before the event_id, between it and the payload, and behind it, quotes included; no `middle`: no event_id.

    Also where the head ends, up to where the middle may reach (0 without one), and how long the tail is.
    """

    head: bytes
    middle: bytes
    tail: bytes
    start: int
    reach: int
    behind: int


def form_of(raw: bytes, event_id: str | None, payload: bytes) -> AudioForm | None:
    """The form of a message that was parsed: `payload` as it stands in it, with its quotes. None if it is not certain."""
    start = _only(raw, payload)
    if start is None or b"\\" in raw:  # with an escape somewhere, a text may stand elsewhere than where it is read
        return None
    end = start + len(payload)
    head, tail = raw[: start + 1], raw[end - 1 :]
    if event_id is None:
        return AudioForm(head, b"", tail, len(head), 0, len(tail))
    quoted = b'"%b"' % event_id.encode()
    at = _only(raw, quoted)
    if at is None or at > start:
        return None
    middle, from_ = raw[at + len(quoted) - 1 : start + 1], at + 1
    return AudioForm(raw[:from_], middle, tail, from_, from_ + _MAX_ID + len(middle), len(tail))


def _only(raw: bytes, token: bytes) -> int | None:
    """Where a quoted string stands, if it stands in one place only: then that is where the parser found it."""
    at = raw.find(token)
    return at if at >= 0 and raw.find(token, at + 1) < 0 else None


class AudioReader(Generic[_V]):
    """Reads audio messages that are like the last one that was parsed."""

    __slots__ = ("_form", "view")

    def __init__(self) -> None:
        self._form: AudioForm | None = None
        self.view: _V | None = None  # of the last one

    def learn(self, raw: bytes, view: _V, payload: bytes) -> None:
        """Take a message that was parsed and found good; `payload` as it stands in it, with its quotes."""
        self._form, self.view = form_of(raw, view.event_id, payload), view

    def read(self, raw: bytes) -> tuple[_V, bytes, bytes] | None:
        """The view that a message has but for event_id and payload, its base64 text, and that decoded.

        None for a message that is to be parsed: of another form, or with a text that decoding does not keep.
        """
        found = self.split(raw)
        if found is None or self.view is None:
            return None
        start, end, payload = found
        return self.view, raw[start:end], payload

    def split(self, raw: bytes) -> tuple[int, int, bytes] | None:
        """Where the base64 text of such a message stands (start, end), and that decoded."""
        if self._form is None:
            return None
        head, middle, tail, start, reach, behind = self._form
        if not raw.startswith(head) or not raw.endswith(tail):
            return None
        end = len(raw) - behind
        if reach:
            at = raw.find(middle, start, reach)
            if at < 0 or raw[start:at].translate(None, _ID):
                return None
            start = at + len(middle)
        payload = decoded(raw, start, end) if start < end else None
        return None if payload is None else (start, end, payload)
