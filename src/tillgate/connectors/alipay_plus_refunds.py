"""What Alipay+'s answers say of a refund. Functions of their arguments only."""

from __future__ import annotations

from datetime import datetime

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import BadMessage, InquiryResponse, RefundResponse, Transaction
from tillgate.connectors.received import MESSAGE_MAX, code_of, text_of
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

_STATUSES = {
    "SUCCESS": Outcome.SUCCESS,
    "FAIL": Outcome.FAILURE,
    "CANCELLED": Outcome.FAILURE,
    "PROCESSING": Outcome.UNKNOWN,
}
"""`transactionStatus`. Source: Alipay+'s SDK, `TransactionStatusType`."""


def refund_report(answer: RefundResponse) -> RefundReport:
    """What the answer to a refund says.

    Raises:
        BadMessage: the amount of a success cannot be read.
    """
    result, amount = answer.result, answer.refund_amount
    is_done = result.result_status is Outcome.SUCCESS
    return RefundReport(
        outcome=result.result_status,
        code=code_of(result.result_code),
        message=text_of(result.result_message, MESSAGE_MAX),
        amount=amount.to_money() if amount and is_done else None,
        refund_id=text_of(answer.refund_id, 64),
        refunded_at=_time(answer.refund_time),
    )


def look_event(refund: Refund, answer: InquiryResponse) -> RefundLookEvent:
    """What an inquiry's answer says of this refund.

    Raises:
        BadMessage: it is about another payment, or the refund's entry cannot be read.
    """
    match answer.result.result_status:
        case Outcome.UNKNOWN:
            return LookUnanswered(f"the inquiry is undecided: {answer.result.result_code[:64]}")
        case Outcome.FAILURE:
            return LookRefused(code_of(answer.result.result_code))
        case Outcome.SUCCESS:
            pass
    if answer.payment_request_id not in (None, refund.payment_request_id):
        raise BadMessage("the answer to the inquiry is about another payment")
    for transaction in answer.transactions or ():
        if transaction.transaction_request_id == refund.refund_request_id:
            return LookAnswered(_listed(transaction))
    return LookFoundNothing()


def _listed(transaction: Transaction) -> RefundReport:
    result = transaction.transaction_result
    outcome = _outcome_of(transaction)
    is_done, amount = outcome is Outcome.SUCCESS, transaction.transaction_amount
    return RefundReport(
        outcome=outcome,
        code=code_of(result.result_code) if result else _outcome_code(outcome),
        message=text_of(result.result_message, MESSAGE_MAX) if result else None,
        amount=amount.to_money() if amount and is_done else None,
        refund_id=text_of(transaction.transaction_id, 64),
        refunded_at=_time(transaction.transaction_time) if is_done else None,
    )


def _outcome_of(transaction: Transaction) -> Outcome:
    """Its result and its status, where both stand there and agree; else it is not known."""
    result = transaction.transaction_result
    told = {
        result.result_status if result else None,
        _STATUSES.get(transaction.transaction_status or ""),
    } - {None}
    if not told:
        raise BadMessage("the refund's entry has no result")
    return next(iter(told)) or Outcome.UNKNOWN if len(told) == 1 else Outcome.UNKNOWN


def _outcome_code(outcome: Outcome) -> str:
    """The result code of an entry that has a status only."""
    words = {
        Outcome.SUCCESS: "SUCCESS",
        Outcome.FAILURE: "PROCESS_FAIL",
        Outcome.UNKNOWN: "PAYMENT_IN_PROCESS",
    }
    return words[outcome]


def _time(text: str | None) -> datetime | None:
    # For the receipt only: a success must not be refused because its time is written oddly.
    try:
        return messages.parse_time(text) if text else None
    except BadMessage:
        return None
