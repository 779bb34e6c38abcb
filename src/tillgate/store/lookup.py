"""Payments by any name that anybody may have for them, off the payment path."""

from __future__ import annotations

from collections.abc import Sequence

from tillgate.core.model import Payment
from tillgate.store import Sql, Store
from tillgate.store.reports import Wanted, list_payments

LIMIT = 50
"""Payments of one name: attempts of an order, orders of several merchants."""
AT_ONCE = 500
"""Merchants named in one statement: their unique keys begin with them."""


async def find_payments(
    store: Store, text: str, merchants: Sequence[str], connectors: Sequence[str]
) -> list[Payment]:
    """Payments whose id, network's id, order, idempotency key, or refund's id (ours or the
    network's) is this text, newest first. Each is looked up by an index.

    Raises:
        StoreError: the database could not be read, or not in time.
    """
    found: dict[str, Payment] = {}

    async def also(wanted: Wanted) -> None:
        for payment in await list_payments(store, wanted, LIMIT):
            found[payment.payment_request_id] = payment

    await also(Wanted(payment_request_id=text))
    await also(Wanted(payment_id=text, connectors=connectors))
    for start in range(0, len(merchants), AT_ONCE):
        some = merchants[start : start + AT_ONCE]
        await also(Wanted(merchants=some, merchant_order_id=text))
        await also(Wanted(merchants=some, idempotency_key=text))
    for payment_request_id in await _refunded(store, text):
        await also(Wanted(payment_request_id=payment_request_id))
    return sorted(found.values(), key=lambda each: each.payment_request_id, reverse=True)


async def _refunded(store: Store, text: str) -> list[str]:
    rows = await store.report(
        Sql(
            "SELECT payment_request_id FROM refund WHERE refund_request_id = ?"
            " UNION SELECT payment_request_id FROM refund WHERE refund_id = ?",
            (text, text),
        )
    )
    return [row["payment_request_id"] for row in rows]
