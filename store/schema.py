"""The tables of the log, as SQLAlchemy sees them. Nothing here touches a database.

Invariant: the migrations, applied in order, give exactly these tables (tests/store/test_migrations.py).
A row of `events` is never updated, except that an erasure sets its `data` to NULL.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint, text

__all__ = [
    "CAUSED",
    "EVENT_COLUMNS",
    "MEDIA_COLUMNS",
    "NOT_SEMANTIC",
    "REVISION",
    "SEMANTIC",
    "api_keys",
    "callers",
    "checkpoints",
    "client_secrets",
    "dead_letters",
    "events",
    "feed",
    "inbox",
    "media",
    "metadata",
    "sessions",
]

REVISION = "0004"
"""The newest migration. A file stamped with anything else is older (upgraded on open) or newer (refused)."""

NOT_SEMANTIC = ("TransportReceived", "TransportSent", "MediaRecorded")
"""The types that carry the wire; all others say what the session meant, and stand in the partial index."""

SEMANTIC = f"type NOT IN ({', '.join(repr(name) for name in NOT_SEMANTIC)})"
"""Strategy: SQLite uses a partial index only for a query that repeats its condition in the same words."""

CAUSED = "cause > 0"
"""Whatever another event has caused. Most rows carry the wire, whose cause is a root that nobody asks the index for."""

metadata = MetaData()

# Strategy: only the type INTEGER makes a rowid alias in SQLite; everywhere else the 64-bit type is meant.
_RowId = BigInteger().with_variant(Integer, "sqlite")

sessions = Table(
    "sessions",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("transport", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("python", Text, nullable=False),
    Column("code_version", Text, nullable=False),
    Column("engine_flags", BigInteger, nullable=False),
    Column("head_seq", BigInteger, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("owner", Text),
    Column("epoch", BigInteger, nullable=False),
    Column("lease_until", BigInteger),
    Column("created", BigInteger, nullable=False),
    Column("ended", BigInteger),
    sqlite_autoincrement=True,
)

# Strategy: AUTOINCREMENT, because without it SQLite gives the highest position out again after a delete.
events = Table(
    "events",
    metadata,
    Column("pos", _RowId, primary_key=True),
    Column("sid", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("cause", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("data", LargeBinary),
    UniqueConstraint("sid", "seq", name="events_sid_seq"),
    Index("events_cause", "sid", "cause", sqlite_where=text(CAUSED), postgresql_where=text(CAUSED)),
    Index("events_semantic", "sid", "seq", sqlite_where=text(SEMANTIC), postgresql_where=text(SEMANTIC)),
    sqlite_autoincrement=True,
)

media = Table(
    "media",
    metadata,
    Column("sid", BigInteger, primary_key=True, autoincrement=False),
    Column("track", Text, primary_key=True),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("t0_ns", BigInteger, nullable=False),
    Column("dur_ns", BigInteger, nullable=False),
    Column("codec", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("data", LargeBinary),
    Column("uri", Text),
)

inbox = Table(
    "inbox",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("sid", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("consumed_seq", BigInteger),
    UniqueConstraint("sid", "key", name="inbox_sid_key"),
    sqlite_autoincrement=True,
)

# One row: which feed this is. Whoever deletes events or puts others in their place writes a new epoch, and every cursor that
# was given out before is refused.
feed = Table(
    "feed",
    metadata,
    Column("epoch", Text, primary_key=True),
)

# For stores whose projections live beside the log in one database. A SQLite file keeps them apart: see projection_file.py.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("feed_epoch", Text, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("error", Text),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("pos", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("name", "version", "pos", name="dead_letters_name_version_pos"),
    sqlite_autoincrement=True,
)

callers = Table(
    "callers",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("sid", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("scope", Text, nullable=False),
    Index("callers_sid", "sid"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_hash", LargeBinary, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("limits", Text, nullable=False),
)

client_secrets = Table(
    "client_secrets",
    metadata,
    Column("secret_hash", LargeBinary, primary_key=True),
    Column("target", Text, nullable=False),
    Column("session", LargeBinary, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("key", Text, nullable=False),
)

# The order in which the writer's tuples and core.ports' Recorded and Segment hold their columns.
EVENT_COLUMNS = ("seq", "type", "version", "at_ns", "epoch", "cause", "digest", "hash", "data")
MEDIA_COLUMNS = ("track", "n", "first_seq", "t0_ns", "dur_ns", "codec", "digest", "data")
