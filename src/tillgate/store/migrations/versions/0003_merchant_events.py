"""What merchants are told, refunds reserved on a payment, and the attempts of an order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


# One batch holds far fewer events: the number only tells those of one transaction apart.
_NUMBERS = "CREATE SEQUENCE merchant_event_number MINVALUE 0 MAXVALUE 1048575 CYCLE"
_POSITION = "(pg_current_xact_id()::text::bigint << 20) + nextval('merchant_event_number')"


def _position() -> sa.TextClause | None:
    """On PostgreSQL a position begins with its transaction's number: what is below the oldest
    transaction that runs is complete, whoever commits late. SQLite has one writer and counts.
    """
    is_postgresql = op.get_context().dialect.name == "postgresql"
    return sa.text(_POSITION) if is_postgresql else None


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute(_NUMBERS)
    for column in (
        sa.Column("attempt", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("previous_id", sa.Text()),
        sa.Column("reserved", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("refunded", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("announced", sa.Integer(), nullable=False, server_default="0"),
    ):
        op.add_column("payment", column)
    op.create_index(
        "ix_payment_order", "payment", ["merchant_id", "merchant_order_id", "payment_request_id"]
    )
    op.create_index("ix_payment_merchant", "payment", ["merchant_id", "payment_request_id"])
    op.create_table(
        "merchant_event",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            server_default=_position(),
            nullable=False,
        ),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("store_id", sa.Text(), nullable=False),
        sa.Column("terminal_id", sa.Text(), nullable=False),
        sa.Column("payment_request_id", sa.Text(), nullable=False),
        sa.Column("refund_request_id", sa.Text()),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_merchant_event")),
        sa.UniqueConstraint("event_id", name=op.f("uq_merchant_event_event_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_merchant_event_merchant", "merchant_event", ["merchant_id", "position"])
    op.create_table(
        "event_ticket",
        sa.Column("ticket_hash", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ticket_hash", name=op.f("pk_event_ticket")),
        sqlite_with_rowid=False,
    )
