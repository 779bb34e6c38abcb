"""The console finds what did not go well by its status, and refunds by the network's name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
only_adds = True

_NOT_WELL = sa.text("status IN ('FAILED', 'CANCELLING', 'CANCELLED', 'UNRESOLVED')")
_NAMED = sa.text("refund_id IS NOT NULL")


def upgrade() -> None:
    # A payment that goes well never enters it.
    op.create_index(
        "ix_payment_not_well",
        "payment",
        ["status", "payment_request_id"],
        sqlite_where=_NOT_WELL,
        postgresql_where=_NOT_WELL,
    )
    op.create_index(
        "ix_refund_refund_id",
        "refund",
        ["refund_id"],
        sqlite_where=_NAMED,
        postgresql_where=_NAMED,
    )
