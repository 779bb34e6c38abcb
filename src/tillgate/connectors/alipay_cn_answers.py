"""What the answers of Alipay's open platform say, in the words of a payment's life. Functions of
their arguments only.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum, auto

from tillgate.alipaycn import messages
from tillgate.alipaycn.client import code_of as reason_of
from tillgate.alipaycn.messages import Answer, PayAnswer, QueryAnswer
from tillgate.alipayplus.messages import BadMessage
from tillgate.connectors.received import MESSAGE_MAX, code_of, text_of
from tillgate.core.model import Payment, PaymentId, Receipt, Report
from tillgate.core.results import (
    MEANINGS,
    ORDER_IS_CLOSED,
    PAYMENT_IN_PROCESS,
    REPEAT_REQ_INCONSISTENT,
    SUCCESS,
    Outcome,
)

WALLET = "ALIPAY_CN"

_SAID_AS = {
    # Something of ours stands there with other content, or another customer's: never again.
    "ACQ.CONTEXT_INCONSISTENT": REPEAT_REQ_INCONSISTENT,
    "ACQ.TRADE_BUYER_NOT_MATCH": REPEAT_REQ_INCONSISTENT,
    # Unpaid in its time, or refunded in full: nobody is charged for it.
    "ACQ.TRADE_HAS_CLOSE": ORDER_IS_CLOSED,
}
"""What a pay's refusal means where the core has a word for it."""

HAS_SUCCESS = "ACQ.TRADE_HAS_SUCCESS"
NOT_EXIST = ("ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST")


class Trade(Enum):
    """A trade's state, by the query."""

    WAITING = auto()
    """WAIT_BUYER_PAY."""
    PAID = auto()
    """TRADE_SUCCESS, or TRADE_FINISHED: paid, and too old to be refunded."""
    CLOSED = auto()
    """TRADE_CLOSED: unpaid in its time, cancelled, or refunded in full."""
    MISSING = auto()
    """ACQ.TRADE_NOT_EXIST: it may still be on its way."""


_STATES = {
    "WAIT_BUYER_PAY": Trade.WAITING,
    "TRADE_SUCCESS": Trade.PAID,
    "TRADE_FINISHED": Trade.PAID,
    "TRADE_CLOSED": Trade.CLOSED,
}


def pay_report(answer: PayAnswer, *, is_believed: bool) -> Report:
    """What a pay's answer says of the payment.

    Args:
        answer: as it was signed.
        is_believed: whether 10000 alone makes it paid. Otherwise the success has no amount, and
            such a one the core asks about at once.

    Source: alipay.trade.pay (open/02ekfp); "Quick start of payment codes" (open/00f7ns): 10000
        says that the call was taken, a debit may be rolled back, and the query or the notice has to
        be asked.

    Raises:
        BadMessage: its amount cannot be read.
    """
    receipt = receipt_of(answer.trade_no, answer.gmt_payment, answer.buyer_user_id)
    reason, words = reason_of(answer), words_of(answer)
    if answer.code == messages.SUCCESS:
        is_enough = is_believed and answer.total_amount is not None
        amount = messages.read_amount(answer.total_amount or "") if is_enough else None
        return Report(outcome=Outcome.SUCCESS, code=SUCCESS, amount=amount, receipt=receipt)
    if answer.code == messages.WAITING or is_undecided(answer):
        # Query before anything else: the same pay does not go out again.
        return Report(
            outcome=Outcome.UNKNOWN, code=PAYMENT_IN_PROCESS, message=words, receipt=receipt
        )
    if answer.code == messages.LIMITED:
        return Report(outcome=Outcome.UNKNOWN, code=messages.LIMITED, message=words)
    if reason == HAS_SUCCESS:
        # "If it is this buyer's, it is paid": the query says so, with the amount.
        return Report(outcome=Outcome.SUCCESS, code=SUCCESS, message=words)
    if answer.code == messages.BUSINESS_FAILED:
        code = _SAID_AS.get(reason) or code_of(reason)
    else:
        code = reason if reason in MEANINGS else answer.code
    return Report(outcome=Outcome.FAILURE, code=code, message=words)


def is_about(answer: Answer, out_trade_no: str) -> bool:
    """Whether an answer is about this trade. It has no time, so only its name tells; a refusal may
    leave the name out.
    """
    if answer.out_trade_no is None:
        return answer.code != messages.SUCCESS
    return answer.out_trade_no == out_trade_no


def state_of(answer: QueryAnswer) -> Trade | None:
    """What a query says; None when it does not speak of the trade.

    Raises:
        BadMessage: it speaks of a state that nobody knows.
    """
    if answer.code != messages.SUCCESS:
        return Trade.MISSING if reason_of(answer) in NOT_EXIST else None
    state = _STATES.get(answer.trade_status or "")
    if state is None:
        raise BadMessage("the trade's status is none that is known")
    return state


def query_report(answer: QueryAnswer, outcome: Outcome, code: str) -> Report:
    """What a query says of the payment, in the core's words for its trade's state.

    Raises:
        BadMessage: the amount of a success cannot be read.
    """
    # Only a success's amount decides anything; without one the core asks again.
    is_told = outcome is Outcome.SUCCESS and answer.total_amount is not None
    return Report(
        outcome=outcome,
        code=code,
        message=text_of(answer.trade_status, MESSAGE_MAX),
        amount=messages.read_amount(answer.total_amount or "") if is_told else None,
        receipt=receipt_of(answer.trade_no, answer.send_pay_date, answer.buyer_user_id),
    )


def receipt_of(trade_no: str | None, paid_at: str | None, buyer: str | None) -> Receipt:
    """What is kept beside the outcome: their `trade_no`, when it was paid, by whom."""
    payment_id = text_of(trade_no, 64)
    return Receipt(
        payment_id=PaymentId(payment_id) if payment_id else None,
        paid_at=_time(paid_at),
        wallet=WALLET if payment_id else None,
        customer_id=text_of(buyer, 64),
    )


def _time(text: str | None) -> datetime | None:
    # For the receipt only: a success must not be refused because its time is written oddly.
    try:
        return messages.parse_time(text) if text else None
    except BadMessage:
        return None


def is_undecided(answer: Answer) -> bool:
    """Whether the platform itself does not know what became of the call.

    The name is misspelt on some pages (`AQC.SYSTEM_ERROR`, `aop.ACQ.SYSTEM_ERROR`), and a code
    that nobody knows decides nothing either.
    """
    reason = answer.sub_code or ""
    if "SYSTEM_ERROR" in reason or "unknow-error" in reason:
        return True
    known = {messages.SUCCESS, messages.WAITING, messages.BUSINESS_FAILED, messages.LIMITED}
    return answer.code not in known | messages.REFUSED


def words_of(answer: Answer) -> str | None:
    """The answer's reason and sentence, for people."""
    parts = (answer.sub_code or answer.code, answer.sub_msg or answer.msg)
    return text_of(": ".join(filter(None, parts)), MESSAGE_MAX)


def is_all(refund_fee: str | None, payment: Payment) -> bool:
    """Whether what was refunded so far is all of it. A missing sum is not held against it."""
    if refund_fee is None:
        return True
    try:
        return messages.read_amount(refund_fee) == payment.order.amount
    except BadMessage:
        return False


def gateway_refusal(claimed: str | None) -> str | None:
    """What an unsigned answer says where it is a refusal of the gateway, which cannot sign it."""
    code, _, reason = (claimed or "").partition(" ")
    if code not in messages.REFUSED:
        return None
    return reason if reason in MEANINGS else code
