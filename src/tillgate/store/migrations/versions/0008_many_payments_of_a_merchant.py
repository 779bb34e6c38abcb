"""A merchant has many payments, also where PostgreSQL looked while the table was almost empty.

With one row in it every column passes for unique, so that all indexes that begin with the merchant
cost the same, and a look-up by key or order may go through everything that the merchant ever sold.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
only_adds = True


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE payment ALTER COLUMN merchant_id SET (n_distinct = 100)")
