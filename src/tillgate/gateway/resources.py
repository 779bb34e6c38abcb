"""What the merchant's side sees: payments as JSON, the same in answers, webhooks and streams.

Amounts are integer minor units; times are ISO 8601 in UTC with milliseconds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from tillgate.core.model import Payment, Status
from tillgate.core.money import EXPONENTS, VALUE_MAX
from tillgate.core.payment import next_step
from tillgate.core.refund_model import Refund, RefundStatus
from tillgate.core.results import NextStep


class Amount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Integer minor units of an ISO 4217 currency: `{"currency": "JPY", "value": 100}` is 100
    yen.
    """

    currency: Annotated[str, msgspec.Meta(extra_json_schema={"enum": sorted(EXPONENTS)})]
    value: Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 1, "maximum": VALUE_MAX})]


class ResultResource(msgspec.Struct, frozen=True):
    """The network's last word, for people and for support."""

    code: str
    message: str | None


class PaymentResource(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as a till sees it. What to do now is `next_step`; whether that can still change is
    `final`.
    """

    id: str
    status: Status
    final: bool
    next_step: NextStep
    merchant_order_id: str
    attempt: int
    previous_payment_id: str | None
    description: str | None
    amount: Amount
    amount_refunded: int
    amount_reserved: int
    store_id: str
    terminal_id: str
    code: str
    route: str
    rule: str
    table: str
    wallet: str | None
    payment_id: str | None
    result: ResultResource | None
    created_at: str
    expires_at: str
    paid_at: str | None
    changed_at: str


def payment_resource(payment: Payment) -> PaymentResource:
    """The payment as tills see it: only what its row holds, so that one version has one form."""
    order, receipt = payment.order, payment.receipt
    code = payment.result_code
    return PaymentResource(
        id=payment.payment_request_id,
        status=payment.status,
        final=payment.is_final,
        next_step=next_step(payment),
        merchant_order_id=order.merchant_order_id,
        attempt=order.attempt,
        previous_payment_id=order.previous,
        description=order.description,
        amount=Amount(order.amount.currency, order.amount.value),
        amount_refunded=payment.refunded,
        amount_reserved=payment.reserved,
        store_id=order.store_id,
        terminal_id=order.terminal_id,
        code=order.code_masked,
        route=order.connector,
        rule=order.rule,
        table=order.table,
        wallet=receipt.wallet,
        payment_id=receipt.payment_id,
        result=ResultResource(code, payment.result_message) if code else None,
        created_at=iso(order.placed_at),
        expires_at=iso(order.expires_at),
        paid_at=iso(receipt.paid_at) if receipt.paid_at else None,
        changed_at=iso(payment.changed_at),
    )


class RefundResource(msgspec.Struct, frozen=True, kw_only=True):
    """A refund of a payment, in full or in part. `final` says whether it can still change; an
    UNRESOLVED one is asked about on, and the acquirer's operator looks at it.
    """

    id: str
    payment_id: str
    status: RefundStatus
    final: bool
    amount: Amount
    reason: str | None
    result: ResultResource | None
    refund_id: str | None
    created_at: str
    refunded_at: str | None
    changed_at: str


def refund_resource(refund: Refund) -> RefundResource:
    """The refund as merchants see it: only what its row holds."""
    code = refund.result_code
    return RefundResource(
        id=refund.refund_request_id,
        payment_id=refund.payment_request_id,
        status=refund.status,
        final=refund.is_final,
        amount=Amount(refund.amount.currency, refund.amount.value),
        reason=refund.reason,
        result=ResultResource(code, refund.result_message) if code else None,
        refund_id=refund.refund_id,
        created_at=iso(refund.opened_at),
        refunded_at=iso(refund.refunded_at) if refund.refunded_at else None,
        changed_at=iso(refund.changed_at),
    )


def iso(at: datetime) -> str:
    """An aware UTC time as `2026-01-31T09:00:00.000Z`."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
