"""Merchants, stores, terminals, keys and the audit move into the store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _time(name: str, *, nullable: bool = True) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "merchant",
        *map(_text, ("merchant_id", "name", "mcc", "region")),
        _text("city", nullable=True),
        _text("settlement_currency"),
        _flag("is_closed"),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_merchant")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "store",
        *map(_text, ("merchant_id", "store_id", "name", "mcc")),
        _flag("is_closed"),
        sa.PrimaryKeyConstraint("merchant_id", "store_id", name=op.f("pk_store")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "terminal",
        *map(_text, ("merchant_id", "store_id", "terminal_id")),
        _flag("is_closed"),
        sa.PrimaryKeyConstraint("merchant_id", "store_id", "terminal_id", name=op.f("pk_terminal")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "api_key",
        *map(_text, ("key_id", "key_hash", "roles")),
        *(
            _text(name, nullable=True)
            for name in ("merchant_id", "store_id", "terminal_id", "operator_id")
        ),
        _text("label"),
        _time("created_at", nullable=False),
        *map(_time, ("expires_at", "revoked_at", "last_used_at")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_key_key_hash")),
        sqlite_with_rowid=False,
    )
    versions = op.create_table(
        "registry_version",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        _time("version", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_version")),
        sqlite_with_rowid=False,
    )
    op.bulk_insert(versions, [{"id": 1, "version": 0}])
    op.create_table(
        "audit_log",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(always=True),
            nullable=False,
        ),
        _time("at", nullable=False),
        *map(_text, ("key_id", "operator_id", "address", "act", "subject")),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        sqlite_autoincrement=True,
    )
