"""Refunds that merchants asked for, and their timelines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refund",
        sa.Column("refund_request_id", sa.Text(), nullable=False),
        sa.Column("payment_request_id", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("asked_amount", sa.BigInteger()),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text()),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("sends_never_left", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("may_resend", sa.Boolean(), nullable=False),
        sa.Column("inquiries", sa.Integer(), nullable=False),
        sa.Column("refused_code", sa.Text()),
        sa.Column("calling", sa.Text()),
        sa.Column("next_action", sa.Text()),
        sa.Column("next_action_at", sa.BigInteger()),
        sa.Column("result_code", sa.Text()),
        sa.Column("result_message", sa.Text()),
        sa.Column("refund_id", sa.Text()),
        sa.Column("refunded_at", sa.BigInteger()),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("refund_request_id", name=op.f("pk_refund")),
        sa.UniqueConstraint(
            "merchant_id", "idempotency_key", name=op.f("uq_refund_merchant_id_idempotency_key")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_refund_payment", "refund", ["payment_request_id", "refund_request_id"])
    op.create_index(
        "ix_refund_next_action_at",
        "refund",
        ["next_action_at"],
        sqlite_where=sa.text("next_action_at IS NOT NULL"),
        postgresql_where=sa.text("next_action_at IS NOT NULL"),
    )
    op.create_table(
        "refund_event",
        sa.Column("refund_request_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("refund_request_id", "version", name=op.f("pk_refund_event")),
        sqlite_with_rowid=False,
    )
