"""Lists of payments: read off the payment path, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from tillgate.core.model import Payment, Status
from tillgate.ids import first_id
from tillgate.store import Sql, Store
from tillgate.store.rows import PAYMENT_COLUMNS, from_microseconds, to_microseconds, to_payment

NOT_WELL = (Status.FAILED, Status.CANCELLING, Status.CANCELLED, Status.UNRESOLVED)
IS_NOT_WELL = f"status IN ({', '.join(repr(each.value) for each in NOT_WELL)})"
"""The words of the index `ix_payment_not_well`: a statement that repeats them can use it."""

HAS_ALERT = "(detail || '') LIKE '%\"alerts\":%'"
"""The words of `ix_payment_event_alert` and `ix_refund_event_alert`."""

LOOKED_AT = 100_000
"""Payments that one page looks through where no index leads to those that fit: some 30 ms on
either engine, and no further index that every payment would have to pay for. Measured by
`bench.console`.
"""

_MILLISECOND = timedelta(milliseconds=1)
_SELECT = f"SELECT {', '.join(PAYMENT_COLUMNS)} FROM payment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which payments; None is any. Times are aware UTC.

    Attributes:
        merchants: one of these.
        payment_ids: the network's id, with each connector that may have given it.
        before: the payment that the page before ended with.
        floor: that payment and later ones.
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
    floor: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether only payments are asked for that have not ended: few, and an index holds them."""
        return set(self.statuses) == {Status.PENDING}

    @property
    def is_narrow(self) -> bool:
        """Whether payments have to be read to see if they fit: no index is led by what is asked,
        and neither is it a look-up of one payment or order, or of the few that are open, which are
        answered as a whole.
        """
        has_name = self.merchant_order_id or self.idempotency_key or self.payment_request_id
        by_reading = self.store_id or self.terminal_id or self.wallet or self.route
        return bool(by_reading) and not (has_name or self.payment_id or self.is_open)


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """Some payments, newest first.

    Attributes:
        looks_on: the `before` of the page behind it; None where there is nothing more to look at.
            There may be one behind a page that is not full, or empty: a search for something rare
            looks through so many payments at once and no more.
    """

    payments: list[Payment]
    looks_on: str | None


async def find_page(
    store: Store, wanted: Wanted, limit: int, looked_at: int = LOOKED_AT
) -> PaymentPage:
    """The newest payments that fit, at most so many, in a time that doesn't grow with the history:
    where each has to be read to see whether it fits, only so many are `looked_at`.

    Raises:
        StoreError: the database could not be read, or not in time.
    """
    floor = None
    if wanted.is_narrow:
        rows = await store.report(_select_floor(wanted, looked_at))
        floor = str(rows[0]["payment_request_id"]) if rows else None
    found = await list_payments(store, replace(wanted, floor=floor), limit + 1)
    if len(found) > limit:
        return PaymentPage(found[:limit], found[limit - 1].payment_request_id)
    return PaymentPage(found, floor)


async def list_payments(store: Store, wanted: Wanted, limit: int) -> list[Payment]:
    """The newest payments that fit, at most so many.

    Raises:
        StoreError: the database could not be read, or not in time.
    """
    rows = await store.report(select_payments(wanted, limit))
    return [to_payment(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Alerted:
    """A step of a payment, or of its refund, that a person should know of. `at` is aware UTC."""

    at: datetime
    payment_request_id: str
    reasons: tuple[str, ...]


async def list_alerts(store: Store, since: datetime, limit: int) -> list[Alerted]:
    """Those of payments and refunds since then, newest first, at most so many. Left out is what
    says that somebody is waited for: such a payment or refund is UNRESOLVED and found as that.

    Raises:
        StoreError: the database could not be read, or not in time.
    """
    values = (to_microseconds(since), limit)
    where = f"{HAS_ALERT} AND at > ? AND {{}}status <> 'UNRESOLVED'"
    rows = [
        *await store.report(
            Sql(
                "SELECT at, payment_request_id, detail FROM payment_event"
                f" WHERE {where.format('')} ORDER BY at DESC LIMIT ?",
                values,
            )
        ),
        *await store.report(
            Sql(
                "SELECT refund_event.at AS at, payment_request_id, detail FROM refund_event"
                " JOIN refund USING (refund_request_id)"
                f" WHERE {where.format('refund_event.')} ORDER BY at DESC LIMIT ?",
                values,
            )
        ),
    ]
    found = [
        Alerted(
            from_microseconds(row["at"]),
            row["payment_request_id"],
            tuple(msgspec.json.decode(bytes(row["detail"]))["alerts"]),
        )
        for row in rows
    ]
    return sorted(found, key=lambda each: each.at, reverse=True)[:limit]


def _select_floor(wanted: Wanted, looked_at: int) -> Sql:
    """How far one page looks, among the payments that indexes lead to."""
    indexed = replace(wanted, store_id=None, terminal_id=None, wallet=None, route=None)
    where, values = _where(indexed)
    text = f"SELECT payment_request_id FROM payment{where} ORDER BY payment_request_id DESC"
    return Sql(f"{text} LIMIT 1 OFFSET ?", (*values, looked_at - 1))


def select_payments(wanted: Wanted, limit: int) -> Sql:
    """The statement. Ids are time-ordered, so the primary key gives the order and bounds the
    time.
    """
    where, values = _where(wanted)
    # The few that are open are all read by their index, and sorted; SQLite would go by the key.
    order = "payment_request_id || ''" if wanted.is_open else "payment_request_id"
    text = f"{_SELECT}{where} ORDER BY {order} DESC LIMIT ?"
    return Sql(text, (*values, limit))


def _where(wanted: Wanted) -> tuple[str, list[str | int | bytes | None]]:
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
    ):
        if value is not None:
            also(f"{column} = ?", value)
    if wanted.route is not None:
        # As an expression, or the index that begins with it is read, which has nearly all.
        also("connector || '' = ?", wanted.route)
    if wanted.merchants:
        also(f"merchant_id IN ({_marks(wanted.merchants)})", *wanted.merchants)
    if wanted.payment_id is not None:
        # Unique for each connector: with their names the index leads straight to it.
        also(f"connector IN ({_marks(wanted.connectors)})", *wanted.connectors)
        also("payment_id = ?", wanted.payment_id)
    if wanted.is_open:
        also("next_action_at IS NOT NULL")  # the words of that index
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
    if wanted.floor is not None:
        also("payment_request_id >= ?", wanted.floor)
    return f" WHERE {' AND '.join(conditions)}" if conditions else "", values


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values)) or "NULL"
