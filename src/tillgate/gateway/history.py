"""Facts as rows of the timeline: what a person reads about a payment afterwards. No code, key or
signature.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

import msgspec

from tillgate.core.model import (
    Alert,
    CancelAnswered,
    CancelRequested,
    CancelUnanswered,
    Effect,
    Event,
    InquiryAnswered,
    InquiryRefused,
    InquiryUnanswered,
    Notified,
    PayAnswered,
    Payment,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    RefundAnswered,
    RefundReleased,
    RefundReserved,
    RefundSucceeded,
    RefundUnanswered,
    RefundUnresolved,
    Report,
    Resolved,
    SendCancel,
    SendInquiry,
    SendPay,
    SendRefund,
    Step,
    TimerDue,
)
from tillgate.store import History

_encoder = msgspec.json.Encoder()


def opened_row(taken: Step) -> History:
    """The first row of a payment."""
    order = taken.payment.order
    detail = {"route": order.connector, "rule": order.rule, "table": order.table}
    return _row(taken.payment, order.placed_at, "accepted", detail, taken.effects)


def row_of(taken: Step, event: Event, now: datetime) -> History:
    """The row of one fact and what it led to."""
    kind, detail = _described(event)
    return _row(taken.payment, now, kind, detail, taken.effects)


def _row(
    payment: Payment,
    at: datetime,
    kind: str,
    detail: dict[str, str],
    effects: tuple[Effect, ...],
) -> History:
    does = [name for effect in effects if (name := _EFFECTS.get(type(effect)))]
    alerts = [effect.reason for effect in effects if isinstance(effect, Alert)]
    return History(
        version=payment.version,
        at=at,
        kind=kind,
        status=payment.status.value,
        detail=_encoder.encode(
            detail | ({"then": does} if does else {}) | ({"alerts": alerts} if alerts else {})
        ),
    )


_EFFECTS: dict[type[Effect], str] = {
    SendPay: "send pay",
    SendInquiry: "send inquiryPayment",
    SendCancel: "send cancelPayment",
    SendRefund: "send refund",
}


def _described(event: Event) -> tuple[str, dict[str, str]]:
    match event:
        case PayAnswered(report):
            return "pay_answered", _of_report(report)
        case PayUnanswered(reason):
            return "pay_unanswered", {"reason": reason}
        case PayNeverLeft(reason):
            return "pay_never_left", {"reason": reason}
        case PayRefusedUnsigned(code):
            return "pay_refused_unsigned", {"code": code}
        case InquiryAnswered(report):
            return "inquiry_answered", _of_report(report)
        case InquiryRefused(code):
            return "inquiry_refused", {"code": code}
        case InquiryUnanswered(reason):
            return "inquiry_unanswered", {"reason": reason}
        case Notified(report):
            return "notified", _of_report(report)
        case CancelRequested(by):
            return "cancel_requested", {"by": by}
        case CancelAnswered(outcome, code):
            return "cancel_answered", {"outcome": outcome.value, "code": code}
        case CancelUnanswered(reason):
            return "cancel_unanswered", {"reason": reason}
        case RefundAnswered(outcome, code):
            return "refund_answered", {"outcome": outcome.value, "code": code}
        case RefundUnanswered(reason):
            return "refund_unanswered", {"reason": reason}
        case RefundReserved(value):
            return "refund_reserved", {"value": str(value)}
        case RefundSucceeded(value):
            return "refund_succeeded", {"value": str(value)}
        case RefundReleased(value):
            return "refund_released", {"value": str(value)}
        case RefundUnresolved(value):
            return "refund_unresolved", {"value": str(value)}
        case Resolved(status, by, why):
            return "resolved", {"status": status.value, "by": by, "why": why}
        case TimerDue():
            return "timer_due", {}
        case _:
            assert_never(event)


def _of_report(report: Report) -> dict[str, str]:
    detail = {"outcome": report.outcome.value, "code": report.code}
    if report.message:
        detail["message"] = report.message
    if report.amount:
        detail["amount"] = str(report.amount)
    if report.receipt.payment_id:
        detail["payment_id"] = report.receipt.payment_id
    return detail
