"""Alembic's environment: the versions of the schema, in order. Run by turnlog.store.migrate, never by hand."""

__all__: list[str] = []
