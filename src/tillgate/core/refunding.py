"""What refunds do to their payment: which of cancel and refund applies, and how much is left.

A payment's `reserved` is the sum of its refunds that are open or done, `refunded` that of those
done. Opening a refund and ending one each change the payment in the same commit, so no race can
give back more than was paid. Rules of `core/payment.py`, which calls them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, assert_never

from tillgate.core.model import (
    Payment,
    RefundReleased,
    RefundSucceeded,
    RefundUnresolved,
    Status,
    Step,
    changed,
)
from tillgate.core.money import Money
from tillgate.core.pacing import Policy
from tillgate.core.refund_model import Refund, RefundStatus


def why_not_cancel(payment: Payment, now: datetime, policy: Policy) -> str | None:
    """Why a paid payment can only be refunded, in words; None when it may still be cancelled, or is
    not paid.

    A paid one is cancelled or refunded, never both: "once refunded, no cancel" (Antom "Cancel").
    """
    if payment.status is not Status.SUCCEEDED:
        return None
    if payment.reserved:
        return f"A refund of it is open or done, so it cannot be cancelled: {_instead(payment)}."
    window_closed_at = policy.cancel_until(payment.order.placed_at)
    if now >= window_closed_at:
        until = utc_text(payment.order.placed_at + policy.refund_window)
        return (
            f"It is paid and its cancel window closed at {utc_text(window_closed_at)}: refund it"
            f" instead, until {until}."
        )
    return None


def _instead(payment: Payment) -> str:
    left = refundable(payment)
    return f"refund the {left} that is left instead" if left else "all of it goes back that way"


def refundable(payment: Payment) -> Money | None:
    """What is neither refunded nor about to be; None when nothing is."""
    left = payment.order.amount.value - payment.reserved
    return Money(payment.order.amount.currency, left) if left else None


def may_refund(payment: Payment, amount: Money | None, now: datetime, policy: Policy) -> str | None:
    """Why so much (None: all that is left) of this payment may not be refunded, in words that say
    what to do instead; None when it may.
    """
    match payment.status:
        case Status.SUCCEEDED:
            return _why_not_refund(payment, amount, now, policy)
        case Status.PENDING:
            return "It is not paid yet: cancel it if nobody wants it any more."
        case Status.CANCELLING:
            return "It is being cancelled: whatever was paid goes back in full."
        case Status.CANCELLED:
            return "It is cancelled: the customer is not charged, so nothing is left to refund."
        case Status.FAILED:
            return "It failed: the customer is not charged, so there is nothing to refund."
        case Status.UNRESOLVED:
            return "Nobody could say whether it is paid; the acquirer's operator decides."
        case _:
            assert_never(payment.status)


def _why_not_refund(
    payment: Payment, amount: Money | None, now: datetime, policy: Policy
) -> str | None:
    paid, left = payment.order.amount, refundable(payment)
    closed_at = payment.order.placed_at + policy.refund_window
    if now >= closed_at:
        return (
            f"Its refund window closed at {utc_text(closed_at)}: pay the customer back another way."
        )
    if left is None:
        return f"All of it, {paid}, is refunded or being refunded: nothing is left."
    if amount is not None and amount.currency != paid.currency:
        return f"It was paid in {paid.currency}: refund it in {paid.currency}."
    if amount is not None and amount.value > left.value:
        return f"Of {paid} only {left} is left to refund, which is less than {amount}."
    return None


def refund_reserved(payment: Payment, value: int, now: datetime, policy: Policy) -> Step:
    """So much is set aside for a refund that opens in the same commit; unchanged where it may
    not.
    """
    left = refundable(payment)
    is_some = left is not None and 1 <= value <= left.value
    if not is_some or may_refund(payment, None, now, policy) is not None:
        return Step(payment)
    return Step(changed(payment, reserved=payment.reserved + value))


def refund_done(payment: Payment, value: int) -> Step:
    """A reserved refund of so much was done."""
    refunded = payment.refunded + value
    if refunded > payment.reserved:
        return Step(payment)
    is_all = refunded == payment.order.amount.value
    # What is given back whole may be paid anew: the order is free for another attempt.
    holds_order = payment.holds_order and not is_all
    return Step(_told(payment, refunded=refunded, holds_order=holds_order))


def refund_released(payment: Payment, value: int) -> Step:
    """A reserved refund of so much failed: it is free again."""
    if payment.reserved - value < payment.refunded:
        return Step(payment)
    return Step(_told(payment, reserved=payment.reserved - value))


def refund_stuck(payment: Payment, value: int) -> Step:
    """A reserved refund of so much has to wait for a person: it stays reserved."""
    if payment.reserved - value < payment.refunded:
        return Step(payment)
    return Step(_told(payment))


def _told(payment: Payment, **changes: Any) -> Payment:
    """The merchant is told of each change of a refund in the order of its payment's events."""
    return changed(payment, announced=payment.announced + 1, **changes)


RefundFact = RefundSucceeded | RefundReleased | RefundUnresolved


def fact_of(refund: Refund) -> RefundFact:
    """What a refund that ended, or that a person has to end, is to its payment."""
    match refund.status:
        case RefundStatus.SUCCEEDED:
            return RefundSucceeded(refund.amount.value)
        case RefundStatus.FAILED:
            return RefundReleased(refund.amount.value)
        case RefundStatus.UNRESOLVED:
            return RefundUnresolved(refund.amount.value)
        case RefundStatus.PENDING:
            raise AssertionError("nobody is told of a pending refund")
        case _:
            assert_never(refund.status)


def utc_text(at: datetime) -> str:
    """An aware UTC time for people, to the second: `2026-01-31T09:00:00Z`."""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
