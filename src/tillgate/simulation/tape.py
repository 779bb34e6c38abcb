"""The words of a tape."""

from __future__ import annotations

from tillgate.core.model import Event, Payment, Step, TimerDue
from tillgate.core.refund_model import RefundEvent, RefundStep


def said(event: Event, before: Payment, taken: Step) -> str:
    """A fact about a payment and what it changed."""
    report = getattr(event, "report", None)
    words = type(event).__name__
    if report is not None:
        words += f"({report.outcome.value}/{report.code}, {report.amount})"
    elif not isinstance(event, TimerDue):
        inner = [str(getattr(event, name)) for name in event.__slots__]
        words += f"({', '.join(inner)})"
    after = taken.payment
    if after is before:
        return f"{words}: nothing new ({before.status})"
    told = ", ".join(
        type(effect).__name__ + (f"({effect.reason})" if hasattr(effect, "reason") else "")
        for effect in taken.effects
    )
    return f"{words}: {before.status} -> {after.status} v{after.version} [{told}]"


def refund_said(event: RefundEvent, taken: RefundStep) -> str:
    """The same of a refund."""
    words = type(event).__name__
    report = getattr(event, "report", None)
    if report is not None:
        words += f"({report.outcome.value}/{report.code}, {report.amount})"
    after = taken.refund
    told = ", ".join(type(effect).__name__ for effect in taken.effects)
    return f"{words}: {after.status} v{after.version} [{told}]"
