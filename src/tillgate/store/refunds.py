"""Refunds in the store: opened and closed together with what their payment makes of it.

Written once for both engines, over `Store.transact` and `Store.read`. Where a refund and its
payment change in one transaction, the refund's row comes first everywhere, so that no two wait for
each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tillgate.core.errors import StaleRefund, StaleVersion
from tillgate.core.model import Call, Payment, PaymentId, PaymentRequestId
from tillgate.core.money import Money
from tillgate.core.refund_model import Refund, RefundRequestId, RefundStatus
from tillgate.store import History, MerchantEvent, Row, Sql, Store, Transaction
from tillgate.store.rows import (
    STATE_COLUMNS,
    Value,
    from_microseconds,
    history_values,
    merchant_event_values,
    state_values,
    to_microseconds,
)
from tillgate.store.statements import INSERT_EVENT, INSERT_MERCHANT_EVENT
from tillgate.store.webhooks import INSERT_DELIVERIES, delivery_values

ASKED_COLUMNS = (
    "refund_request_id",
    "payment_request_id",
    "merchant_id",
    "connector",
    "payment_id",
    "currency",
    "amount",
    "reason",
    "requested_by",
    "opened_at",
)
"""What never changes."""
REFUND_STATE_COLUMNS = (
    "status",
    "version",
    "sends",
    "sends_never_left",
    "sent_at",
    "may_resend",
    "inquiries",
    "refused_code",
    "calling",
    "next_action",
    "next_action_at",
    "result_code",
    "result_message",
    "refund_id",
    "refunded_at",
    "changed_at",
)
"""What `refund_step` changes."""
REQUEST_COLUMNS = ("idempotency_key", "asked_amount")

_INSERTED = ASKED_COLUMNS + REFUND_STATE_COLUMNS + REQUEST_COLUMNS
_SELECTED = ", ".join(ASKED_COLUMNS + REFUND_STATE_COLUMNS)


def _set(columns: Sequence[str]) -> str:
    return ", ".join(f"{column} = ?" for column in columns)


INSERT_REFUND = (
    f"INSERT INTO refund ({', '.join(_INSERTED)}) VALUES ({', '.join('?' * len(_INSERTED))})"
    " ON CONFLICT DO NOTHING RETURNING refund_request_id"
)
UPDATE_REFUND = (
    f"UPDATE refund SET {_set(REFUND_STATE_COLUMNS)}"
    " WHERE refund_request_id = ? AND version = ? RETURNING version"
)
INSERT_REFUND_EVENT = (
    "INSERT INTO refund_event (refund_request_id, version, at, kind, status, detail)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
UPDATE_OF_PAYMENT = (
    f"UPDATE payment SET {_set(STATE_COLUMNS)}"
    " WHERE payment_request_id = ? AND version = ? RETURNING version"
)
SELECT_REFUND = f"SELECT {_SELECTED} FROM refund WHERE refund_request_id = ?"
SELECT_REFUND_BY_KEY = (
    f"SELECT {_SELECTED}, asked_amount FROM refund WHERE merchant_id = ? AND idempotency_key = ?"
)
SELECT_WAITING_REFUNDS = (
    f"SELECT {_SELECTED} FROM refund"
    " WHERE next_action_at <= ? AND (next_action_at, refund_request_id) > (?, ?)"
    " ORDER BY next_action_at, refund_request_id LIMIT ?"
)
SELECT_REFUND_HISTORY = (
    "SELECT version, at, kind, status, detail FROM refund_event"
    " WHERE refund_request_id = ? ORDER BY version"
)

_FOR_EVER = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """A refund with what a repeated request is compared with.

    Attributes:
        asked_value: minor units as the request named them; None asked for all that was left.
    """

    refund: Refund
    asked_value: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOpening:
    """A new refund, and what its payment makes of it.

    Attributes:
        refund: its first send is counted.
        payment: the next version, which reserved the amount.
        payment_history: the row of that version.
        asked_value: as of `RefundRequest`.
    """

    refund: Refund
    history: History
    payment: Payment
    payment_history: History
    idempotency_key: str
    asked_value: int | None


async def save_new_refund(store: Store, opening: RefundOpening) -> RefundRequest | None:
    """Save a new refund and the payment that reserved for it, in one transaction.

    Returns:
        None when it is durable; the refund that holds this key already when nothing was saved.

    Raises:
        StaleVersion: somebody saved the payment first; nothing was saved.
        StoreError: the database could not do it.
    """
    refund = opening.refund
    values = (
        *_asked_values(refund),
        *_state_values(refund),
        opening.idempotency_key,
        opening.asked_value,
    )

    def work() -> Transaction[RefundRequest | None]:
        rows = yield Sql(INSERT_REFUND, values)
        if not rows:
            key = (refund.merchant_id, opening.idempotency_key)
            [held] = yield Sql(SELECT_REFUND_BY_KEY, key)
            return _to_request(held)
        yield Sql(INSERT_REFUND_EVENT, history_values(refund.refund_request_id, opening.history))
        yield from _save_payment(opening.payment, opening.payment_history)
        return None

    return await store.transact(work)


async def save_refund(store: Store, refund: Refund, history: History) -> None:
    """Replace version `refund.version - 1`. Durable when it returns.

    Raises:
        StaleRefund: somebody saved that version first.
        StoreError: the database could not do it.
    """

    def work() -> Transaction[None]:
        yield from _save_refund(refund, history)

    await store.transact(work)


async def save_told_refund(
    store: Store,
    refund: Refund,
    history: History,
    payment: Payment,
    payment_history: History,
    told: MerchantEvent,
) -> None:
    """Save how a refund ended, or that a person has to end it, with what its payment makes of it
    and what the merchant is told, in one transaction.

    Raises:
        StaleRefund: somebody saved the refund first; nothing was saved.
        StaleVersion: somebody saved the payment first; nothing was saved.
        StoreError: the database could not do it.
    """

    def work() -> Transaction[None]:
        yield from _save_refund(refund, history)
        yield from _save_payment(payment, payment_history)
        yield Sql(INSERT_MERCHANT_EVENT, merchant_event_values(told))
        yield Sql(INSERT_DELIVERIES, delivery_values(told))

    await store.transact(work)


def _save_refund(refund: Refund, history: History) -> Transaction[None]:
    key = refund.refund_request_id
    rows = yield Sql(UPDATE_REFUND, (*_state_values(refund), key, refund.version - 1))
    if not rows:
        raise StaleRefund(f"version {refund.version - 1} of {key} was replaced already")
    yield Sql(INSERT_REFUND_EVENT, history_values(key, history))


def _save_payment(payment: Payment, history: History) -> Transaction[None]:
    key = payment.payment_request_id
    rows = yield Sql(UPDATE_OF_PAYMENT, (*state_values(payment), key, payment.version - 1))
    if not rows:
        raise StaleVersion(f"version {payment.version - 1} of {key} was replaced already")
    yield Sql(INSERT_EVENT, history_values(key, history))


async def load_refund(store: Store, refund_request_id: RefundRequestId) -> Refund | None:
    """The refund as last saved."""
    rows = await store.read(Sql(SELECT_REFUND, (refund_request_id,)))
    return to_refund(rows[0]) if rows else None


async def load_refund_request(
    store: Store, merchant_id: str, idempotency_key: str
) -> RefundRequest | None:
    """The refund that this merchant opened with this key."""
    rows = await store.read(Sql(SELECT_REFUND_BY_KEY, (merchant_id, idempotency_key)))
    return _to_request(rows[0]) if rows else None


async def load_refunds(
    store: Store, payment_request_id: PaymentRequestId, *, before: str | None = None, limit: int
) -> list[Refund]:
    """Refunds of a payment, newest first, at most so many; `before` is the last one of a page."""
    wanted = select_refunds(limit, before=before, payment_request_id=payment_request_id)
    return [to_refund(row) for row in await store.read(wanted)]


async def list_refunds(
    store: Store,
    *,
    status: RefundStatus | None = None,
    merchant_id: str | None = None,
    payment_request_id: str | None = None,
    before: str | None = None,
    limit: int,
) -> list[Refund]:
    """Refunds of all merchants that fit, newest first, at most so many; None is any.

    Raises:
        StoreError: the database could not be read, or not in time.
    """
    wanted = select_refunds(
        limit,
        before=before,
        status=status.value if status else None,
        merchant_id=merchant_id,
        payment_request_id=payment_request_id,
    )
    return [to_refund(row) for row in await store.report(wanted)]


def select_refunds(limit: int, *, before: str | None, **equal: str | None) -> Sql:
    """The statement: columns that have to be so, where they are not None. Ids are time-ordered."""
    given = {f"{column} = ?": value for column, value in equal.items() if value is not None}
    # The first page has no bound: which text stands behind all others depends on the collation.
    given |= {"refund_request_id < ?": before} if before is not None else {}
    where = f" WHERE {' AND '.join(given)}" if given else ""
    text = f"SELECT {_SELECTED} FROM refund{where} ORDER BY refund_request_id DESC LIMIT ?"
    return Sql(text, (*given.values(), limit))


async def load_waiting_refunds(
    store: Store, before: datetime | None = None, *, after: Refund | None = None, limit: int
) -> list[Refund]:
    """Refunds whose `next_action_at` is (by then, if given) due, soonest first.

    Args:
        store: where.
        before: leaves out what is due later.
        after: the last refund of the batch before; None begins.
        limit: at most so many; fewer come only when these are the last.
    """
    due_by = _FOR_EVER if before is None else to_microseconds(before)
    last_at, last_key = -_FOR_EVER, ""
    if after is not None and after.next_action_at is not None:
        last_at, last_key = to_microseconds(after.next_action_at), after.refund_request_id
    values = (due_by, last_at, last_key, limit)
    return [to_refund(row) for row in await store.read(Sql(SELECT_WAITING_REFUNDS, values))]


async def load_refund_history(store: Store, refund_request_id: RefundRequestId) -> list[History]:
    """The timeline, oldest first; empty for an unknown refund."""
    return [
        History(
            version=row["version"],
            at=from_microseconds(row["at"]),
            kind=row["kind"],
            status=row["status"],
            detail=bytes(row["detail"]),
        )
        for row in await store.read(Sql(SELECT_REFUND_HISTORY, (refund_request_id,)))
    ]


def _to_request(row: Row) -> RefundRequest:
    return RefundRequest(refund=to_refund(row), asked_value=row["asked_amount"])


def _asked_values(refund: Refund) -> tuple[Value, ...]:
    return (
        refund.refund_request_id,
        refund.payment_request_id,
        refund.merchant_id,
        refund.connector,
        refund.payment_id,
        refund.amount.currency,
        refund.amount.value,
        refund.reason,
        refund.requested_by,
        to_microseconds(refund.opened_at),
    )


def _state_values(refund: Refund) -> tuple[Value, ...]:
    due, done = refund.next_action_at, refund.refunded_at
    return (
        refund.status.value,
        refund.version,
        refund.sends,
        refund.sends_never_left,
        to_microseconds(refund.sent_at),
        refund.may_resend,
        refund.inquiries,
        refund.refused_code,
        refund.calling.value if refund.calling else None,
        refund.next_action.value if refund.next_action else None,
        to_microseconds(due) if due else None,
        refund.result_code,
        refund.result_message,
        refund.refund_id,
        to_microseconds(done) if done else None,
        to_microseconds(refund.changed_at),
    )


def to_refund(row: Row) -> Refund:
    """Read a row of `refund`."""
    due, done = row["next_action_at"], row["refunded_at"]
    return Refund(
        refund_request_id=RefundRequestId(row["refund_request_id"]),
        payment_request_id=PaymentRequestId(row["payment_request_id"]),
        merchant_id=row["merchant_id"],
        connector=row["connector"],
        payment_id=PaymentId(row["payment_id"]) if row["payment_id"] else None,
        amount=Money(row["currency"], row["amount"]),
        reason=row["reason"],
        requested_by=row["requested_by"],
        opened_at=from_microseconds(row["opened_at"]),
        status=RefundStatus(row["status"]),
        version=row["version"],
        sends=row["sends"],
        sends_never_left=row["sends_never_left"],
        sent_at=from_microseconds(row["sent_at"]),
        may_resend=bool(row["may_resend"]),
        inquiries=row["inquiries"],
        refused_code=row["refused_code"],
        calling=Call(row["calling"]) if row["calling"] else None,
        next_action=Call(row["next_action"]) if row["next_action"] else None,
        next_action_at=from_microseconds(due) if due is not None else None,
        result_code=row["result_code"],
        result_message=row["result_message"],
        refund_id=row["refund_id"],
        refunded_at=from_microseconds(done) if done is not None else None,
        changed_at=from_microseconds(row["changed_at"]),
    )
