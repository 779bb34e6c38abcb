"""Refunds are found by their status: those that wait for a person, before all."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
only_adds = True


def upgrade() -> None:
    op.create_index("ix_refund_status", "refund", ["status", "refund_request_id"])
