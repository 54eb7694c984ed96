"""Bytes of an archive: a prelude, then blocks of records, each block checked against all bytes before it.

Knows nothing of events. docs/reference/archive.md is the specification; what is written here must agree with it.
Invariant: every byte of the file is covered by the prelude's comparison, by a head's CRC or by a block's check.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from ..core.errors import StoreError

__all__ = [
    "BLOCK_SIZE", "END", "EVENTS", "FORMAT", "HEADER", "MEDIA", "PRELUDE", "Block", "BlockWriter", "Damage", "altered",
    "read_block", "records", "start",
]  # fmt: skip

FORMAT: Final = 1
_MAGIC: Final = b"\x89TURNLOG\r\n\x1a"  # the line end and the Ctrl-Z show a transfer that took the file for text
PRELUDE: Final = _MAGIC + bytes([FORMAT])

HEADER: Final = b"H"
EVENTS: Final = b"E"
MEDIA: Final = b"M"
END: Final = b"Z"
_KINDS = (HEADER, EVENTS, MEDIA, END)

_STORED, _DEFLATED = 0, 1
_HEAD = struct.Struct(">cBIII")  # kind, packing, records, bytes unpacked, bytes as they stand
_CRC = struct.Struct(">I")
_LENGTH = struct.Struct(">I")
_HEAD_SIZE = _HEAD.size + _CRC.size
_CHECK_SIZE = 32

# Measured on a spoken call: blocks of 64 KiB deflate to 48 % (events) and 43 % (media) at 60 MB/s and inflate at 400 MB/s;
# larger blocks gain 1 %, lzma another 2 to 4 % at a tenth of the speed.
BLOCK_SIZE: Final = 64 * 1024
_LEVEL = 6


class Block(NamedTuple):
    """A block whose check is right. `payload` as it stands in the file; `check` is what the next one builds on."""

    kind: bytes
    packing: int
    records: int
    size: int
    payload: bytes
    check: bytes
    end: int  # the offset behind it


class Damage(NamedTuple):
    """Why there is no block here, and what can be seen of it, unchecked."""

    error: StoreError
    kind: bytes = b""
    packing: int = _STORED
    payload: bytes = b""


def start(file: BinaryIO, path: Path) -> bytes:
    """Read the prelude; returns the check that the first block builds on. Raises StoreError TL405, TL412, TL413."""
    found = file.read(len(PRELUDE))
    magic, version = found[: len(_MAGIC)], found[len(_MAGIC) :]
    if not _MAGIC.startswith(magic):
        raise StoreError("TL412", f"{path} is no turnlog archive", "archives are made by `turnlog export`")
    if not version:
        raise _cut(path, len(found))
    if version[0] == 0:
        raise altered(path, len(_MAGIC), "there is no format 0")
    if version[0] > FORMAT:
        raise StoreError(
            "TL405", f"{path} is an archive of format {version[0]}, this turnlog reads {FORMAT}", "open it with a newer turnlog"
        )
    return blake2b(found, digest_size=_CHECK_SIZE).digest()


def read_block(file: BinaryIO, previous: bytes, path: Path) -> Block | Damage:
    """The block at the file's position. `previous`: the check of the block before it, or what start() gave."""
    at = file.tell()
    head = file.read(_HEAD_SIZE)
    if len(head) < _HEAD_SIZE:
        return Damage(_cut(path, at + len(head)))
    if _CRC.unpack(head[_HEAD.size :])[0] != zlib.crc32(head[: _HEAD.size]):
        return Damage(altered(path, at, "a block's head is damaged"))
    kind, packing, count, size, stored = _HEAD.unpack_from(head)
    payload = file.read(min(stored, os.fstat(file.fileno()).st_size))  # what a head claims is no reason to take memory
    check = file.read(_CHECK_SIZE)
    if len(check) < _CHECK_SIZE:
        return Damage(_cut(path, at + len(head) + len(payload) + len(check)), kind, packing, payload)
    if check != _check(previous, head, payload):
        return Damage(altered(path, at, f"the {_name(kind)} there do not match their check"), kind, packing, payload)
    if kind not in _KINDS or packing not in (_STORED, _DEFLATED):
        what = f"{path} holds a block of kind {kind!r}, packed as {packing}, which this turnlog does not know"
        return Damage(StoreError("TL405", what, "open it with a newer turnlog"))
    return Block(kind, packing, count, size, payload, check, file.tell())


def records(block: Block | Damage) -> Iterator[bytes]:
    """The records of a block in order. Of a damaged one: those that can still be read whole, none of them trusted."""
    match block:
        case Block():
            data = _unpacked(block.packing, block.payload, block.size)
        case Damage():
            data = _unpacked(block.packing, block.payload, len(block.payload) * 64)
    at = 0
    while at + _LENGTH.size <= len(data):
        end = at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
        if end > len(data):
            return
        yield data[at + _LENGTH.size : end]
        at = end


def altered(path: Path, at: int, what: str) -> StoreError:
    """The answer to bytes that nobody wrote."""
    return StoreError("TL414", f"{path} is altered at byte {at}: {what}", "copy it anew; --partial reads what stands before")


class BlockWriter:
    """Gathers records into blocks of one kind. `digest` is the check of the last block written: it covers the file so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = blake2b(PRELUDE, digest_size=_CHECK_SIZE).digest()
        self._kind = HEADER
        self._records: list[bytes] = []
        self._size = 0
        file.write(PRELUDE)

    def add(self, kind: bytes, record: bytes) -> None:
        """Write a record, some time; another kind than before starts a block."""
        if kind != self._kind or self._size >= BLOCK_SIZE:
            self.flush()
            self._kind = kind
        self._records += (_LENGTH.pack(len(record)), record)
        self._size += _LENGTH.size + len(record)

    def flush(self) -> None:
        """Write what was gathered as a block."""
        if not self._records:
            return
        data = b"".join(self._records)
        deflated = zlib.compress(data, _LEVEL)
        packing, payload = (_DEFLATED, deflated) if len(deflated) < len(data) else (_STORED, data)
        head = _HEAD.pack(self._kind, packing, len(self._records) // 2, len(data), len(payload))
        head += _CRC.pack(zlib.crc32(head))
        self.digest = _check(self.digest, head, payload)
        self._file.write(head + payload + self.digest)
        self._records, self._size = [], 0


def _check(previous: bytes, head: bytes, payload: bytes) -> bytes:
    state = blake2b(previous, digest_size=_CHECK_SIZE)
    state.update(head)
    state.update(payload)
    return state.digest()


def _unpacked(packing: int, payload: bytes, limit: int) -> bytes:
    """At most `limit` bytes, so that a small file cannot fill the memory; of a cut stream what can be had."""
    if packing != _DEFLATED:
        return payload
    try:
        return zlib.decompressobj().decompress(payload, limit)
    except zlib.error:
        return b""


def _cut(path: Path, length: int) -> StoreError:
    what = f"{path} is cut after {length} bytes: its end is missing"
    return StoreError("TL413", what, "copy it anew; --partial reads what is there")


def _name(kind: bytes) -> str:
    return {HEADER: "facts of the session", EVENTS: "events", MEDIA: "media", END: "counts"}.get(kind, "records")
