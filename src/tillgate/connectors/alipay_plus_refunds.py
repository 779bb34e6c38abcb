"""What Alipay+ says of a merchant's refund, as facts. Functions of their arguments only.

There is no inquiry about a refund: it stands among the `transactions` of its payment, as a REFUND
whose `transactionRequestId` is the refund's `refundRequestId`, and its status is SUCCESS, FAIL,
PROCESSING or CANCELLED. Sources: the official SDK's `Transaction`; Antom "inquiryPayment" for the
id. A status that nobody knows, and two that contradict each other, decide nothing.
"""

from __future__ import annotations

from datetime import datetime

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import BadMessage, InquiryResponse, RefundResponse, Transaction
from tillgate.connectors.received import MESSAGE_MAX, code_of, text_of
from tillgate.core.money import Money
from tillgate.core.refund_model import (
    LookAnswered,
    LookFoundNothing,
    LookRefused,
    LookUnanswered,
    Refund,
    RefundLookEvent,
    RefundReport,
)
from tillgate.core.results import Outcome

REASON_MAX = 256
"""Longest `refundReason`. Source: Antom "refund"; Alipay+ names none."""

_REFUND = "REFUND"
_STATUSES = {"SUCCESS": Outcome.SUCCESS, "FAIL": Outcome.FAILURE}


def refund_request(refund: Refund) -> bytes:
    """The refund, the same bytes each time.

    By the payment's own id only: which of the two ids names it must agree on a repeat (Alipay+
    "Idempotency").
    """
    return messages.encode(
        messages.RefundRequest(
            refund_request_id=refund.refund_request_id,
            payment_request_id=refund.payment_request_id,
            refund_amount=messages.amount_of(refund.amount),
            refund_reason=refund.reason[:REASON_MAX] if refund.reason else None,
        )
    )


def refund_report(answer: RefundResponse) -> RefundReport:
    """What the answer to a refund says of it.

    Raises:
        BadMessage: the amount of a success cannot be read.
    """
    outcome = answer.result.result_status
    return RefundReport(
        outcome=outcome,
        code=code_of(answer.result.result_code),
        message=text_of(answer.result.result_message, MESSAGE_MAX),
        amount=_amount(outcome, answer.refund_amount),
        refund_id=text_of(answer.refund_id, 64),
        refunded_at=_time(answer.refund_time),
    )


def look_event(refund: Refund, answer: InquiryResponse, *, is_fresh: bool) -> RefundLookEvent:
    """What the inquiry about its payment says of a refund.

    Args:
        refund: the one that is asked about.
        answer: as it was signed.
        is_fresh: whether it is no older than the question. An older one may be from before the
            refund was sent, so only a success is believed.

    Raises:
        BadMessage: it is about another payment, or the amount of a success cannot be read.
    """
    match answer.result.result_status:
        case Outcome.UNKNOWN:
            code = code_of(answer.result.result_code)
            return LookUnanswered(f"the inquiry is undecided: {code}")
        case Outcome.FAILURE:
            return LookRefused(code_of(answer.result.result_code))
        case Outcome.SUCCESS:
            pass
    if answer.payment_request_id not in (None, refund.payment_request_id):
        raise BadMessage("the answer to the inquiry is about another payment")
    refunds = [t for t in answer.transactions or () if t.transaction_type == _REFUND]
    ours = [t for t in refunds if t.transaction_request_id == refund.refund_request_id]
    report = _report(ours) if ours else None
    if not is_fresh and (report is None or report.outcome is not Outcome.SUCCESS):
        return LookUnanswered("the answer is older than the question")
    if report is not None:
        return LookAnswered(report)
    if any(t.transaction_request_id is None for t in refunds):
        return LookUnanswered("a refund is listed without its id: it may be this one")
    return LookFoundNothing()


def _report(entries: list[Transaction]) -> RefundReport:
    """All that is listed under one id. Done is done, whatever a second entry says; failed only
    where all of them say so.
    """
    outcomes = [_outcome(entry) for entry in entries]
    for wanted in (Outcome.SUCCESS, Outcome.UNKNOWN, Outcome.FAILURE):
        if wanted in outcomes:
            break
    told = entries[outcomes.index(wanted)]
    result = told.transaction_result
    return RefundReport(
        outcome=wanted,
        code=code_of(result.result_code) if result else text_of(told.transaction_status, 64) or "",
        message=text_of(result.result_message, MESSAGE_MAX) if result else None,
        amount=_amount(wanted, told.transaction_amount),
        refund_id=text_of(told.transaction_id, 64),
        refunded_at=_time(told.transaction_time),
    )


def _outcome(entry: Transaction) -> Outcome:
    """Either field may be missing; where both speak, they have to agree."""
    told = set()
    if entry.transaction_result is not None:
        told.add(entry.transaction_result.result_status)
    if entry.transaction_status is not None:
        told.add(_STATUSES.get(entry.transaction_status, Outcome.UNKNOWN))
    return told.pop() if len(told) == 1 else Outcome.UNKNOWN


def _amount(outcome: Outcome, amount: messages.Amount | None) -> Money | None:
    # The amount of anything but a success decides nothing, so it may be written in any way.
    return amount.to_money() if amount and outcome is Outcome.SUCCESS else None


def _time(text: str | None) -> datetime | None:
    # For people only: a success must not be refused because its time is written oddly.
    try:
        return messages.parse_time(text) if text else None
    except BadMessage:
        return None
