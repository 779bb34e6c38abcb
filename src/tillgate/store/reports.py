"""Lists of payments: read off the payment path, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tillgate.core.model import Payment, Status
from tillgate.ids import first_id
from tillgate.store import Sql, Store
from tillgate.store.rows import PAYMENT_COLUMNS, to_microseconds, to_payment

NOT_WELL = (Status.FAILED, Status.CANCELLING, Status.CANCELLED, Status.UNRESOLVED)
IS_NOT_WELL = f"status IN ({', '.join(repr(each.value) for each in NOT_WELL)})"
"""The words of the index `ix_payment_not_well`: a statement that repeats them can use it."""

_MILLISECOND = timedelta(milliseconds=1)
_SELECT = f"SELECT {', '.join(PAYMENT_COLUMNS)} FROM payment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which payments; None is any. Times are aware UTC.

    Attributes:
        merchants: one of these.
        payment_ids: the network's id, with each connector that may have given it.
        before: the payment that the page before ended with.
        placed_from: not earlier.
        placed_before: earlier.
    """

    merchant_id: str | None = None
    merchants: Sequence[str] = ()
    store_id: str | None = None
    terminal_id: str | None = None
    merchant_order_id: str | None = None
    idempotency_key: str | None = None
    payment_request_id: str | None = None
    payment_id: str | None = None
    connectors: Sequence[str] = ()
    statuses: Sequence[Status] = ()
    wallet: str | None = None
    route: str | None = None
    placed_from: datetime | None = None
    placed_before: datetime | None = None
    before: str | None = None


async def list_payments(store: Store, wanted: Wanted, limit: int) -> list[Payment]:
    """The newest payments that fit, at most so many.

    Raises:
        StoreError: the database could not be read, or not in time.
    """
    rows = await store.report(select_payments(wanted, limit))
    return [to_payment(row) for row in rows]


def select_payments(wanted: Wanted, limit: int) -> Sql:
    """The statement. Ids are time-ordered, so the primary key gives the order and bounds the
    time.
    """
    conditions: list[str] = []
    values: list[str | int | bytes | None] = []

    def also(condition: str, *given: str | int) -> None:
        conditions.append(condition)
        values.extend(given)

    for column, value in (
        ("merchant_id", wanted.merchant_id),
        ("merchant_order_id", wanted.merchant_order_id),
        ("idempotency_key", wanted.idempotency_key),
        ("payment_request_id", wanted.payment_request_id),
        ("store_id", wanted.store_id),
        ("terminal_id", wanted.terminal_id),
        ("wallet", wanted.wallet),
        ("connector", wanted.route),
    ):
        if value is not None:
            also(f"{column} = ?", value)
    if wanted.merchants:
        also(f"merchant_id IN ({_marks(wanted.merchants)})", *wanted.merchants)
    if wanted.payment_id is not None:
        # Unique for each connector: with their names the index leads straight to it.
        also(f"connector IN ({_marks(wanted.connectors)})", *wanted.connectors)
        also("payment_id = ?", wanted.payment_id)
    if set(wanted.statuses) == {Status.PENDING}:
        also("next_action_at IS NOT NULL")  # few have one, and an index holds them
    if wanted.statuses and set(wanted.statuses) <= set(NOT_WELL):
        also(IS_NOT_WELL)
    if wanted.statuses:
        also(f"status IN ({_marks(wanted.statuses)})", *wanted.statuses)
    if wanted.placed_from is not None:
        also("placed_at >= ?", to_microseconds(wanted.placed_from))
        also("payment_request_id >= ?", first_id("pay", wanted.placed_from))
    if wanted.placed_before is not None:
        also("placed_at < ?", to_microseconds(wanted.placed_before))
        also("payment_request_id < ?", first_id("pay", wanted.placed_before + _MILLISECOND))
    if wanted.before is not None:
        also("payment_request_id < ?", wanted.before)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    text = f"{_SELECT}{where} ORDER BY payment_request_id DESC LIMIT ?"
    return Sql(text, (*values, limit))


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values)) or "NULL"
