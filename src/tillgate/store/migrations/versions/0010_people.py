"""People sign in: accounts and their sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
only_adds = True


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "account",
        *map(_text, ("account_id", "name", "password_hash", "roles")),
        *(_text(name, nullable=True) for name in ("merchant_id", "store_id", "terminal_id")),
        sa.Column("totp_secret", sa.LargeBinary(), nullable=True),
        _time("totp_used", nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        _time("waits_until", nullable=True),
        sa.Column("is_closed", sa.Boolean(), nullable=False),
        *map(_time, ("created_at", "changed_at")),
        _time("signed_in_at", nullable=True),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account")),
        sa.UniqueConstraint("name", name=op.f("uq_account_name")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "session",
        *map(_text, ("session_hash", "account_id")),
        *map(_time, ("opened_at", "seen_at", "ends_at")),
        sa.PrimaryKeyConstraint("session_hash", name=op.f("pk_session")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_session_account", "session", ["account_id"])
