"""Alembic's entry: runs on the connection that `store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from tillgate.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,  # the caller began a transaction by hand; see store/migrate.py
)
with context.begin_transaction():
    context.run_migrations()
