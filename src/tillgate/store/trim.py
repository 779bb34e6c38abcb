"""`tillgate db trim`: what merchants were told long ago goes; payments, refunds and keys never do.

Removed are events and the log of their deliveries, once they are old and nothing of them waits to
be sent. A batch is a transaction, so it may be stopped and begun again at any moment, and runs
beside gateways.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from tillgate.store import Sql, Store, Transaction
from tillgate.store.rows import to_microseconds

BATCH = 500
"""Rows of one transaction: some tens of milliseconds."""
YOUNGEST = timedelta(days=7)
"""Nothing younger is removed: an event is tried for 3 days, and a stream is resumed."""

_DELIVERIES = (
    "SELECT event_id FROM webhook_delivery WHERE endpoint_id = ? AND created_at < ?"
    " AND state <> 'pending' ORDER BY created_at, event_id LIMIT ?"
)
_EVENTS = (
    "SELECT position, event_id, at FROM merchant_event WHERE position > ? ORDER BY position LIMIT ?"
)
_DELETE_EVENT = (
    "DELETE FROM merchant_event WHERE position = ? AND NOT EXISTS (SELECT 1 FROM webhook_delivery"
    " WHERE webhook_delivery.event_id = merchant_event.event_id"
    " AND webhook_delivery.state = 'pending') RETURNING position"
)

Progress = Callable[[str, int], None]
"""Is told of which table how many rows are gone."""


async def trim(store: Store, before: datetime, progress: Progress) -> dict[str, int]:
    """Remove what is older; rows by table.

    Args:
        store: of either engine.
        before: aware UTC; the caller sees to `YOUNGEST`.
        progress: told after each batch.

    Raises:
        StoreError: the database could not do it; what is gone is gone, the rest may be tried again.
    """
    bound = to_microseconds(before)
    gone = {"webhook_delivery": 0, "webhook_attempt": 0, "merchant_event": 0}
    for endpoint_id in await _endpoints(store):
        while await _trim_deliveries(store, endpoint_id, bound, gone):
            progress("webhook_delivery", gone["webhook_delivery"])
    position: int | None = -1
    while position is not None:
        position = await _trim_events(store, position, bound, gone)
        progress("merchant_event", gone["merchant_event"])
    return gone


async def _endpoints(store: Store) -> list[str]:
    rows = await store.read(Sql("SELECT endpoint_id FROM webhook_endpoint"))
    return [row["endpoint_id"] for row in rows]


async def _trim_deliveries(
    store: Store, endpoint_id: str, bound: int, gone: dict[str, int]
) -> bool:
    """One batch; whether there may be more."""

    def work() -> Transaction[tuple[int, int]]:
        rows = yield Sql(_DELIVERIES, (endpoint_id, bound, BATCH))
        attempts = 0
        for row in rows:
            key = (endpoint_id, row["event_id"])
            of_it = "WHERE endpoint_id = ? AND event_id = ?"
            removed = yield Sql(f"DELETE FROM webhook_attempt {of_it} RETURNING attempt", key)
            attempts += len(removed)
            yield Sql(f"DELETE FROM webhook_delivery {of_it}", key)
        return len(rows), attempts

    deliveries, attempts = await store.transact(work)
    gone["webhook_delivery"] += deliveries
    gone["webhook_attempt"] += attempts
    return deliveries == BATCH


async def _trim_events(store: Store, after: int, bound: int, gone: dict[str, int]) -> int | None:
    """One batch behind that position; the last position looked at, None where the rest is young."""

    def work() -> Transaction[tuple[int, int | None]]:
        rows = yield Sql(_EVENTS, (after, BATCH))
        removed = 0
        for row in rows:
            if row["at"] < bound:
                removed += len((yield Sql(_DELETE_EVENT, (row["position"],))))
        # Positions are in the order of commits: where a whole batch is young, all behind it is.
        is_over = not rows or all(row["at"] >= bound for row in rows)
        return removed, None if is_over else rows[-1]["position"]

    removed, last = await store.transact(work)
    gone["merchant_event"] += removed
    return last
