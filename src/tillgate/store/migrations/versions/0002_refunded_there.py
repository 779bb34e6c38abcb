"""Remember that our refund in full was confirmed: a success reported after that is no news."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "payment",
        sa.Column("was_refunded_there", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
