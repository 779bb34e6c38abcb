"""A payment as a row and back. The one place that knows which field stands in which column."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tillgate.core.model import (
    Call,
    Closing,
    Order,
    Payment,
    PaymentId,
    PaymentRequestId,
    Receipt,
    Status,
)
from tillgate.core.money import Money
from tillgate.store import History, MerchantEvent, Opened, Opening, Placed, Request, Unmatched

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Value = str | int | bytes | None

ASKED_COLUMNS = (
    "payment_request_id",
    "merchant_id",
    "store_id",
    "terminal_id",
    "merchant_order_id",
    "description",
    "currency",
    "amount",
    "code_masked",
    "connector",
    "rule",
    "routing_table",
    "placed_at",
    "expires_at",
)
"""What never changes, as the till asked for it."""
PLACE_COLUMNS = ("attempt", "previous_id")
"""Its place among the payments of its order: the database knows it, in the commit that opens it."""

STATE_COLUMNS = (
    "status",
    "version",
    "is_final",
    "order_claim",
    "sends",
    "sends_never_left",
    "may_resend",
    "inquiries",
    "has_asked_last",
    "cancels",
    "refunds",
    "closing",
    "closing_since",
    "was_reopened",
    "was_cancelled_there",
    "was_refunded_there",
    "mismatches",
    "was_reported_paid",
    "cancelled_by",
    "refused_code",
    "calling",
    "next_action",
    "next_action_at",
    "result_code",
    "result_message",
    "payment_id",
    "paid_at",
    "wallet",
    "customer_id",
    "psp_id",
    "acquirer_id",
    "changed_at",
    "reserved",
    "refunded",
    "announced",
)
"""What `step` changes."""

PAYMENT_COLUMNS = ASKED_COLUMNS + PLACE_COLUMNS + STATE_COLUMNS


def to_microseconds(at: datetime) -> int:
    """An aware time as microseconds since 1970 in UTC, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The way back, aware UTC; what no datetime can hold becomes the nearest one that is."""
    try:
        return _EPOCH + timedelta(microseconds=value)
    except OverflowError:
        return datetime(9999, 12, 31, tzinfo=UTC) if value > 0 else datetime(1, 1, 1, tzinfo=UTC)


def _time(value: int | None) -> datetime | None:
    return None if value is None else from_microseconds(value)


def asked_values(payment: Payment) -> tuple[Value, ...]:
    """The values of `ASKED_COLUMNS`."""
    order = payment.order
    return (
        payment.payment_request_id,
        order.merchant_id,
        order.store_id,
        order.terminal_id,
        order.merchant_order_id,
        order.description,
        order.amount.currency,
        order.amount.value,
        order.code_masked,
        order.connector,
        order.rule,
        order.table,
        to_microseconds(order.placed_at),
        to_microseconds(order.expires_at),
    )


def state_values(payment: Payment) -> tuple[Value, ...]:
    """The values of `STATE_COLUMNS`."""
    receipt = payment.receipt
    due, paid = payment.next_action_at, receipt.paid_at
    return (
        payment.status.value,
        payment.version,
        payment.is_final,
        payment.order.merchant_order_id if payment.holds_order else None,
        payment.sends,
        payment.sends_never_left,
        payment.may_resend,
        payment.inquiries,
        payment.has_asked_last,
        payment.cancels,
        payment.refunds,
        payment.closing.value,
        to_microseconds(payment.closing_since) if payment.closing_since else None,
        payment.was_reopened,
        payment.was_cancelled_there,
        payment.was_refunded_there,
        payment.mismatches,
        payment.was_reported_paid,
        payment.cancelled_by,
        payment.refused_code,
        payment.calling.value if payment.calling else None,
        payment.next_action.value if payment.next_action else None,
        to_microseconds(due) if due else None,
        payment.result_code,
        payment.result_message,
        receipt.payment_id,
        to_microseconds(paid) if paid else None,
        receipt.wallet,
        receipt.customer_id,
        receipt.psp_id,
        receipt.acquirer_id,
        to_microseconds(payment.changed_at),
        payment.reserved,
        payment.refunded,
        payment.announced,
    )


def to_payment(row: Mapping[str, Any]) -> Payment:
    """Read a row with at least `PAYMENT_COLUMNS`."""
    order = Order(
        merchant_id=row["merchant_id"],
        store_id=row["store_id"],
        terminal_id=row["terminal_id"],
        merchant_order_id=row["merchant_order_id"],
        description=row["description"],
        amount=Money(row["currency"], row["amount"]),
        code_masked=row["code_masked"],
        connector=row["connector"],
        rule=row["rule"],
        table=row["routing_table"],
        placed_at=from_microseconds(row["placed_at"]),
        expires_at=from_microseconds(row["expires_at"]),
        attempt=row["attempt"],
        previous=_id(row["previous_id"]),
    )
    receipt = Receipt(
        payment_id=PaymentId(row["payment_id"]) if row["payment_id"] else None,
        paid_at=_time(row["paid_at"]),
        wallet=row["wallet"],
        customer_id=row["customer_id"],
        psp_id=row["psp_id"],
        acquirer_id=row["acquirer_id"],
    )
    return Payment(
        payment_request_id=PaymentRequestId(row["payment_request_id"]),
        order=order,
        status=Status(row["status"]),
        version=row["version"],
        is_final=bool(row["is_final"]),
        holds_order=row["order_claim"] is not None,
        sends=row["sends"],
        sends_never_left=row["sends_never_left"],
        may_resend=bool(row["may_resend"]),
        inquiries=row["inquiries"],
        has_asked_last=bool(row["has_asked_last"]),
        cancels=row["cancels"],
        refunds=row["refunds"],
        closing=Closing(row["closing"]),
        closing_since=_time(row["closing_since"]),
        was_reopened=bool(row["was_reopened"]),
        was_cancelled_there=bool(row["was_cancelled_there"]),
        was_refunded_there=bool(row["was_refunded_there"]),
        mismatches=row["mismatches"],
        was_reported_paid=bool(row["was_reported_paid"]),
        cancelled_by=row["cancelled_by"],
        refused_code=row["refused_code"],
        calling=Call(row["calling"]) if row["calling"] else None,
        next_action=Call(row["next_action"]) if row["next_action"] else None,
        next_action_at=_time(row["next_action_at"]),
        result_code=row["result_code"],
        result_message=row["result_message"],
        receipt=receipt,
        changed_at=from_microseconds(row["changed_at"]),
        reserved=row["reserved"],
        refunded=row["refunded"],
        announced=row["announced"],
    )


SAME_COLUMNS = ("version", "status", "changed_at", "reserved", "refunded")
"""What tells whether a payment is still as it was. The version says so, unless a failover lost a
commit and another node has made something else of that version: then the others differ.
"""


def is_same(row: Mapping[str, Any], payment: Payment) -> bool:
    """Whether a row with `SAME_COLUMNS` is this payment."""
    known = (
        payment.version,
        payment.status.value,
        to_microseconds(payment.changed_at),
        payment.reserved,
        payment.refunded,
    )
    return tuple(row[name] for name in SAME_COLUMNS) == known


def opening_values(opening: Opening) -> tuple[Value, ...]:
    """The values of a new row: `ASKED_COLUMNS`, `STATE_COLUMNS`, then what is kept of the
    request. Its `PLACE_COLUMNS` are the database's.
    """
    return (
        *asked_values(opening.payment),
        *state_values(opening.payment),
        opening.idempotency_key,
        opening.code_fingerprint,
        opening.expires_in_s,
        opening.pay_body,
    )


def to_request(row: Mapping[str, Any]) -> Request:
    """Read a row of `SELECT_BY_KEY`."""
    return Request(
        payment=to_payment(row),
        code_fingerprint=row["code_fingerprint"],
        expires_in_s=row["expires_in_s"],
    )


def to_opened(row: Mapping[str, Any]) -> Opened:
    """Read the `PLACE_COLUMNS` of a row that was inserted."""
    return Opened(attempt=row["attempt"], previous=_id(row["previous_id"]))


def _id(value: str | None) -> PaymentRequestId | None:
    return PaymentRequestId(value) if value else None


_FOR_EVER = 2**62


def waiting_values(before: datetime | None, after: Payment | None) -> tuple[int, int, str]:
    """The values of `SELECT_WAITING` but the limit; see `Store.load_waiting`."""
    due_by = _FOR_EVER if before is None else to_microseconds(before)
    if after is None or after.next_action_at is None:
        return due_by, -_FOR_EVER, ""
    return due_by, to_microseconds(after.next_action_at), after.payment_request_id


def history_values(payment_request_id: str, history: History) -> tuple[Value, ...]:
    """The values of a row of `payment_event`."""
    return (
        payment_request_id,
        history.version,
        to_microseconds(history.at),
        history.kind,
        history.status,
        history.detail,
    )


def to_history(row: Mapping[str, Any]) -> History:
    """Read a row of `payment_event`."""
    return History(
        version=row["version"],
        at=from_microseconds(row["at"]),
        kind=row["kind"],
        status=row["status"],
        detail=row["detail"],
    )


def unmatched_values(notification: Unmatched) -> tuple[Value, ...]:
    """The values of `INSERT_UNMATCHED`."""
    return (
        to_microseconds(notification.received_at),
        notification.payment_request_id,
        notification.payment_id,
        notification.outcome,
        notification.code,
        notification.amount,
    )


def merchant_event_values(event: MerchantEvent) -> tuple[Value, ...]:
    """The values of `INSERT_MERCHANT_EVENT`."""
    return (
        event.event_id,
        event.merchant_id,
        event.store_id,
        event.terminal_id,
        event.payment_request_id,
        event.refund_request_id,
        event.sequence,
        event.type,
        to_microseconds(event.at),
        event.body,
    )


def to_placed(row: Mapping[str, Any]) -> Placed:
    """Read a row of `merchant_event`."""
    event = MerchantEvent(
        event_id=row["event_id"],
        merchant_id=row["merchant_id"],
        store_id=row["store_id"],
        terminal_id=row["terminal_id"],
        payment_request_id=PaymentRequestId(row["payment_request_id"]),
        refund_request_id=row["refund_request_id"],
        sequence=row["sequence"],
        type=row["type"],
        at=from_microseconds(row["at"]),
        body=row["body"],
    )
    return Placed(row["position"], event)
