"""Alembic's entry: runs on the connection that `store.migrate` hands over, or writes the SQL that
`store.migrate_postgres` runs.
"""

from __future__ import annotations

from alembic import context

from tillgate.store.schema import metadata

if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql",
        target_metadata=metadata,
        transactional_ddl=False,  # one transaction for all of it, the caller's
    )
else:
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,  # the caller began a transaction by hand; see store/migrate.py
    )
with context.begin_transaction():
    context.run_migrations()
