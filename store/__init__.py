"""The log: SQLite and memory behind one port."""

from .media import MAX_SEGMENT_BYTES, MAX_SEGMENT_MS, Message, PackedSegment, SegmentBuilder, rebuild
from .open import open_store
from .port import Caller, Problem, Store, VerifyReport

__all__ = [
    "MAX_SEGMENT_BYTES",
    "MAX_SEGMENT_MS",
    "Caller",
    "Message",
    "PackedSegment",
    "Problem",
    "SegmentBuilder",
    "Store",
    "VerifyReport",
    "open_store",
    "rebuild",
]
