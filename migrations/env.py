"""What Alembic runs: the migrations, on the connection that turnlog.store.migrate hands over.

The connection is inside a transaction already, so an upgrade happens whole or not at all.
"""

from alembic import context

from turnlog.store.schema import metadata

__all__: list[str] = []

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot ALTER most things: the table is copied
)
with context.begin_transaction():
    context.run_migrations()
