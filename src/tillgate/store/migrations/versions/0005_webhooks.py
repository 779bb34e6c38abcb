"""Where merchants want to be told, and how each telling goes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook_endpoint",
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("event_types", sa.Text()),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("paused_reason", sa.Text()),
        sa.Column("failing_since", sa.BigInteger()),
        sa.Column("not_before", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("active_since", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_webhook_endpoint")),
        sa.UniqueConstraint("merchant_id", "url", name=op.f("uq_webhook_endpoint_merchant_id_url")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("payment_request_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("tried_since", sa.BigInteger()),
        sa.Column("next_attempt_at", sa.BigInteger()),
        sa.Column("is_leased", sa.Boolean(), nullable=False),
        sa.Column("last_status", sa.Integer()),
        sa.Column("last_error", sa.Text()),
        sa.Column("delivered_at", sa.BigInteger()),
        sa.Column("payload", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("endpoint_id", "event_id", name=op.f("pk_webhook_delivery")),
        sqlite_with_rowid=False,
    )
    is_pending = sa.text("state = 'pending'")
    for name, columns in (
        ("due", ["endpoint_id", "next_attempt_at", "created_at", "sequence"]),
        ("order", ["endpoint_id", "payment_request_id", "sequence"]),
    ):
        op.create_index(
            f"ix_webhook_delivery_{name}",
            "webhook_delivery",
            columns,
            sqlite_where=is_pending,
            postgresql_where=is_pending,
        )
    op.create_index(
        "ix_webhook_delivery_list", "webhook_delivery", ["endpoint_id", "created_at", "event_id"]
    )
    op.create_table(
        "webhook_attempt",
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint(
            "endpoint_id", "event_id", "attempt", name=op.f("pk_webhook_attempt")
        ),
        sqlite_with_rowid=False,
    )
