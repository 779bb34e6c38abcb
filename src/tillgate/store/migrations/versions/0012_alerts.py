"""The console finds what a person should know of: steps of payments and refunds with an alert."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
only_adds = True

_HAS_ALERT = sa.text("(detail || '') LIKE '%\"alerts\":%'")


def upgrade() -> None:
    # Hardly any step enters it.
    for table in ("payment_event", "refund_event"):
        op.create_index(
            f"ix_{table}_alert",
            table,
            ["at"],
            sqlite_where=_HAS_ALERT,
            postgresql_where=_HAS_ALERT,
        )
