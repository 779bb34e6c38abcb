"""What may follow a paid payment: the rules of a refund, and the transactions that an inquiry
lists. Functions of their arguments only.
"""

from __future__ import annotations

from datetime import datetime

from tillgate.alipayplus.messages import SUCCESS, Amount, Result, Transaction, amount_of
from tillgate.sandbox.choices import CancelledInquiry, Choices, RefundListing
from tillgate.sandbox.payment import REFUND_WINDOW, RESULTS, Payment, State, wire_time

_DONE = "SUCCESS"
"""`transactionStatus`."""


def refund_refusal(
    payment: Payment, amount: tuple[str, int], left: int, now: datetime
) -> Result | None:
    """Why so much cannot be refunded, or None. `left` is what was paid and not given back yet.

    ORDER_STATUS_INVALID and CURRENCY_NOT_SUPPORT are Antom's for the same call; Alipay+'s table is
    not published.
    """
    currency, value = amount
    if payment.state is not State.SUCCEEDED:
        return RESULTS["ORDER_STATUS_INVALID"]
    assert payment.paid_at is not None
    if currency != payment.amount.currency:
        return RESULTS["CURRENCY_NOT_SUPPORT"]
    if now >= payment.paid_at + REFUND_WINDOW:
        return RESULTS["REFUND_WINDOW_EXCEED"]
    if value > left:
        return RESULTS["REFUND_AMOUNT_EXCEED"]
    return None


def share(payment: Payment, total: int, left: int, left_after: int) -> int:
    """Which part of `total`, minor units of another currency, goes back when `left` of the amount
    becomes `left_after`.

    Proportional to all that was given back so far, rounded half up, so that shares never drift and
    the last one is exactly the rest.
    """
    return _given_back(payment, total, left_after) - _given_back(payment, total, left)


def _given_back(payment: Payment, total: int, left: int) -> int:
    whole = payment.amount.value
    return (2 * total * (whole - left) + whole) // (2 * whole)


def result_on_inquiry(payment: Payment, choice: CancelledInquiry) -> Result:
    """`paymentResult`: what a repeated pay says, but for the choice about cancelled ones."""
    if _lists_cancel(payment, choice) and payment.paid_at is not None:
        return SUCCESS
    return payment.result


def transactions(payment: Payment, choices: Choices) -> list[Transaction] | None:
    """The refunds in order, then the acquirer's cancel, where the choices list them; None:
    nothing.
    """
    lists_refunds = choices.refund_listing is RefundListing.LISTED
    listed = [
        Transaction(
            transaction_type="REFUND",
            transaction_result=SUCCESS,
            transaction_status=_DONE,
            transaction_id=refund.refund_id,
            transaction_request_id=refund.refund_request_id,
            transaction_amount=amount_of(refund.amount),
            transaction_time=wire_time(refund.refunded_at),
        )
        for refund in (payment.refunds if lists_refunds else ())
    ]
    if _lists_cancel(payment, choices.cancelled_inquiry):
        assert payment.finished_at is not None
        listed.append(cancel_transaction(payment.finished_at, amount_of(payment.amount)))
    return listed or None


def cancel_transaction(at: datetime, amount: Amount | None = None) -> Transaction:
    """A cancel that was done. It has no id of its own (Alipay+ cancelPayment)."""
    return Transaction(
        transaction_type="CANCEL",
        transaction_result=SUCCESS,
        transaction_status=_DONE,
        transaction_amount=amount,
        transaction_time=wire_time(at),
    )


def _lists_cancel(payment: Payment, choice: CancelledInquiry) -> bool:
    is_listing = choice is CancelledInquiry.S_WITH_CANCEL_TRANSACTION
    return is_listing and payment.state is State.CLOSED and payment.is_cancelled
