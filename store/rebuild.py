"""A segment's data back to the messages that it was made of, byte for byte. media.py says how it is laid out."""

from binascii import b2a_base64
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from ..core.chain import digest
from ..core.errors import StoreError
from .media import CODEC, CODEC_BY_REFERENCE

__all__ = ["Message", "Sources", "rebuild", "sources_of"]

Sources = Callable[[str, int], bytes]
"""(track, n) -> the data of that segment of the same session. Raises StoreError where it is not there."""

_decode = msgspec.msgpack.Decoder().decode
_decode_sources = msgspec.msgpack.Decoder(tuple[int, int, int, msgspec.Raw, list[tuple[str, int, bytes]]]).decode
_BY_REFERENCE = b"\x95\x02"  # an array of five that begins with the layout 2


class Message(NamedTuple):
    """One message as it was on the wire."""

    ordinal: int
    at_ns: int
    raw: bytes


def rebuild(data: bytes, sources: Sources | None = None) -> list[Message]:
    """The messages of a segment's data, exactly as they were. `sources` gives the segments that a "tlm2" refers to.

    Raises StoreError TL407 if it is neither codec, or if a source is not there or not the one that was referred to.
    """
    try:
        layout, ordinal, t0_ns, entries, *more = _decode(data)
        if (layout, len(more)) not in ((1, 0), (2, 1)):
            raise ValueError(f"layout {layout}")
        referred = [_referred(track, n, of_data, sources) for track, n, of_data in more[0]] if more else []
        return [Message(ordinal + entry[0], t0_ns + entry[1], _raw(entry, referred)) for entry in entries]
    except (msgspec.MsgspecError, ValueError, TypeError, IndexError) as error:
        raise StoreError(
            "TL407",
            f"a media segment is no {CODEC} or {CODEC_BY_REFERENCE}: {error}",
            "verify the session to see which; restore it",
        ) from error


def sources_of(data: bytes) -> list[tuple[str, int, bytes]]:
    """What a segment refers to: (track, n, digest) of each source; none for "tlm1". Raises StoreError TL407."""
    if not data.startswith(_BY_REFERENCE):
        return []
    try:
        return _decode_sources(data)[4]
    except msgspec.MsgspecError as error:
        raise StoreError("TL407", f"a media segment is no {CODEC_BY_REFERENCE}: {error}", "restore it") from error


def _referred(track: str, n: int, of_data: bytes, sources: Sources | None) -> list[list[Any]]:
    """The messages of a source, as they are stored."""
    if sources is None:
        raise ValueError(f"it refers to segment {n} of track {track}, and only it was given")
    data = sources(track, n)
    if digest(data) != of_data:
        raise ValueError(f"segment {n} of track {track} is not the one that it refers to")
    entries: list[list[Any]] = _decode(data)[3]
    return entries


def _raw(entry: list[Any], referred: list[list[Any]]) -> bytes:
    match entry:
        case [_, _, bytes(raw)]:
            return raw
        case [_, _, bytes(before), bytes(payload), bytes(after)]:
            return before + b2a_base64(payload, newline=False) + after
        case [_, _, bytes(before), int(source), int(message), bytes(after)]:
            return before + b2a_base64(_payload(referred[source][message]), newline=False) + after
    raise ValueError(f"a message of {len(entry)} parts")


def _payload(entry: list[Any]) -> bytes:
    if len(entry) != 5:
        raise ValueError("it refers to a message that holds no payload")
    payload: bytes = entry[3]
    return payload
