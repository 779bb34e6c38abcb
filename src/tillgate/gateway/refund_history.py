"""Facts about a refund as rows of its timeline."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

import msgspec

from tillgate.core.model import Alert, TimerDue
from tillgate.core.refund_model import (
    GiveBack,
    LookAnswered,
    LookFoundNothing,
    LookRefused,
    LookUnanswered,
    LookUp,
    RefundEvent,
    RefundReport,
    RefundResolved,
    RefundStep,
    SendAnswered,
    SendNeverLeft,
    SendRefusedUnsigned,
    SendUnanswered,
)
from tillgate.store import History

_encoder = msgspec.json.Encoder()
_EFFECTS = {GiveBack: "send refund", LookUp: "send inquiryPayment"}


def refund_opened_row(taken: RefundStep) -> History:
    """The first row of a refund."""
    refund = taken.refund
    detail = {"amount": str(refund.amount), "by": refund.requested_by}
    return _row(taken, refund.opened_at, "opened", detail)


def refund_row_of(taken: RefundStep, event: RefundEvent, now: datetime) -> History:
    """The row of one fact and what it led to."""
    kind, detail = _described(event)
    return _row(taken, now, kind, detail)


def _row(taken: RefundStep, at: datetime, kind: str, detail: dict[str, str]) -> History:
    does = [name for effect in taken.effects if (name := _EFFECTS.get(type(effect)))]
    alerts = [effect.reason for effect in taken.effects if isinstance(effect, Alert)]
    return History(
        version=taken.refund.version,
        at=at,
        kind=kind,
        status=taken.refund.status.value,
        detail=_encoder.encode(
            detail | ({"then": does} if does else {}) | ({"alerts": alerts} if alerts else {})
        ),
    )


def _described(event: RefundEvent) -> tuple[str, dict[str, str]]:
    match event:
        case SendAnswered(report):
            return "refund_answered", _of_report(report)
        case SendUnanswered(reason):
            return "refund_unanswered", {"reason": reason}
        case SendNeverLeft(reason):
            return "refund_never_left", {"reason": reason}
        case SendRefusedUnsigned(code):
            return "refund_refused_unsigned", {"code": code}
        case LookAnswered(report):
            return "inquiry_answered", _of_report(report)
        case LookFoundNothing():
            return "inquiry_found_nothing", {}
        case LookRefused(code):
            return "inquiry_refused", {"code": code}
        case LookUnanswered(reason):
            return "inquiry_unanswered", {"reason": reason}
        case RefundResolved(status, by, why):
            return "resolved", {"status": status.value, "by": by, "why": why}
        case TimerDue():
            return "timer_due", {}
        case _:
            assert_never(event)


def _of_report(report: RefundReport) -> dict[str, str]:
    detail = {"outcome": report.outcome.value, "code": report.code}
    if report.message:
        detail["message"] = report.message
    if report.amount:
        detail["amount"] = str(report.amount)
    if report.refund_id:
        detail["refund_id"] = report.refund_id
    return detail
