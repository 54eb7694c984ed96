"""The index of causes holds what events have caused, and not what came of the wire, the clock or the host."""

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the index anew."""
    caused = sa.text("cause > 0")
    op.drop_index("events_cause", table_name="events")
    op.create_index("events_cause", "events", ["sid", "cause"], sqlite_where=caused, postgresql_where=caused)
