"""The log: SQLite and memory behind one port."""

from .access import AccessStore, ApiKey, ClientSecret
from .archive import Archive, open_archive
from .archive_survey import Counts
from .archive_write import export_archive, import_archive
from .feed import FeedEntry, feed
from .media import MAX_SEGMENT_BYTES, MAX_SEGMENT_MS, PackedSegment, SegmentBuilder
from .open import open_store
from .port import Caller, Problem, Store, VerifyReport
from .rebuild import Message, rebuild

__all__ = [
    "MAX_SEGMENT_BYTES",
    "MAX_SEGMENT_MS",
    "AccessStore",
    "ApiKey",
    "Archive",
    "Caller",
    "ClientSecret",
    "Counts",
    "FeedEntry",
    "Message",
    "PackedSegment",
    "Problem",
    "SegmentBuilder",
    "Store",
    "VerifyReport",
    "export_archive",
    "feed",
    "import_archive",
    "open_archive",
    "open_store",
    "rebuild",
]
