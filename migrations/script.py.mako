"""${message}."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
__all__ = ["down_revision", "revision", "upgrade"]

revision: str = ${repr(up_revision)}
down_revision: str | Sequence[str] | None = ${repr(down_revision)}


def upgrade() -> None:
    """Forward only: a log is never taken back to an older schema."""
    ${upgrades if upgrades else "pass"}
