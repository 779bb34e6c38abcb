"""Tickets that were never used are found by their age."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_event_ticket_expires_at", "event_ticket", ["expires_at"])
