"""The feed's epoch: one row that says which feed this is, so that a cursor of another one can be refused."""

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"

# Strategy: the database draws the number, so that the statement is the same in every run.
RANDOM = {"sqlite": "lower(hex(randomblob(8)))", "postgresql": "substr(replace(gen_random_uuid()::text, '-', ''), 1, 16)"}


def upgrade() -> None:
    """Add the table and give this store its epoch."""
    op.create_table("feed", sa.Column("epoch", sa.Text(), nullable=False), sa.PrimaryKeyConstraint("epoch"))
    op.execute(f"INSERT INTO feed (epoch) VALUES ({RANDOM[op.get_bind().dialect.name]})")
