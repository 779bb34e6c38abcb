"""Tickets that open one stream of events, once, on any node."""

from __future__ import annotations

from datetime import datetime

from tillgate.store import Sql, Store, Transaction
from tillgate.store.rows import to_microseconds


async def keep_ticket(
    store: Store, ticket_hash: str, key_id: str, now: datetime, expires_at: datetime
) -> None:
    """Remember a ticket of this key until it is used or too old, and forget those that are."""

    def work() -> Transaction[None]:
        yield Sql("DELETE FROM event_ticket WHERE expires_at < ?", (to_microseconds(now),))
        yield Sql(
            "INSERT INTO event_ticket (ticket_hash, key_id, expires_at) VALUES (?, ?, ?)",
            (ticket_hash, key_id, to_microseconds(expires_at)),
        )

    await store.transact(work)


async def take_ticket(store: Store, ticket_hash: str, now: datetime) -> str | None:
    """Use a ticket up; the id of its key, or None where it does not count (any more)."""
    # Anybody may send anything: only what is there is worth a transaction.
    if not await store.read(
        Sql("SELECT 1 FROM event_ticket WHERE ticket_hash = ?", (ticket_hash,))
    ):
        return None

    def work() -> Transaction[str | None]:
        rows = yield Sql(
            "DELETE FROM event_ticket WHERE ticket_hash = ? RETURNING key_id, expires_at",
            (ticket_hash,),
        )
        is_good = bool(rows) and rows[0]["expires_at"] > to_microseconds(now)
        return str(rows[0]["key_id"]) if is_good else None

    return await store.transact(work)
