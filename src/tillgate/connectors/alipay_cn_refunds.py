"""What Alipay's open platform says of a merchant's refund, as facts. Functions of their arguments
only.

A refund's 10000 says that the call was taken; only `fund_change` Y says that this very call moved
the money. Anything else may be the repeat of one that did, and the question about it tells:
REFUND_SUCCESS is done; no status is "not done, or not received", and then the same refund, under
the same `out_request_no` and with the same amount, may go out again. The platform wants 10 s
between a refund and the question, so a repeat is undecided at first, and the core asks later.
Sources: alipay.trade.refund; alipay.trade.fastpay.refund.query.
"""

from __future__ import annotations

from datetime import datetime

from tillgate.alipaycn import messages
from tillgate.alipaycn.client import code_of as reason_of
from tillgate.alipaycn.messages import RefundAnswer, RefundQueryAnswer
from tillgate.alipayplus.messages import BadMessage
from tillgate.connectors.alipay_cn_answers import NOT_EXIST, is_undecided, words_of
from tillgate.connectors.received import code_of, text_of
from tillgate.core.refund_model import (
    LookAnswered,
    LookFoundNothing,
    LookRefused,
    LookUnanswered,
    Refund,
    RefundLookEvent,
    RefundReport,
)
from tillgate.core.results import MEANINGS, REPEAT_REQ_INCONSISTENT, SUCCESS, Outcome

REASON_MAX = 256
"""Longest `refund_reason`. Source: alipay.trade.refund."""

_DONE = "REFUND_SUCCESS"
_MISMATCH = "ACQ.DISCORDANT_REPEAT_REQUEST"
"""The same `out_request_no` with another amount or trade."""


def refund_content(refund: Refund) -> bytes:
    """The `biz_content` of the refund, the same bytes each time."""
    return messages.encode(
        messages.TradeRefund(
            out_trade_no=refund.payment_request_id,
            out_request_no=refund.refund_request_id,
            refund_amount=messages.amount_text(refund.amount),
            refund_reason=refund.reason[:REASON_MAX] if refund.reason else None,
        )
    )


def query_content(refund: Refund) -> bytes:
    """The `biz_content` of the question about it."""
    return messages.encode(
        messages.RefundNamed(
            out_trade_no=refund.payment_request_id,
            out_request_no=refund.refund_request_id,
            query_options=["gmt_refund_pay"],
        )
    )


def refund_report(answer: RefundAnswer) -> RefundReport:
    """What the answer to a refund says of it. `refund_fee` is all that was refunded of the trade
    so far, so the amount of this one is not told.
    """
    words = words_of(answer)
    if answer.code == messages.SUCCESS:
        refunded_at = _time(answer.gmt_refund_pay)
        if answer.fund_change == "Y":
            return RefundReport(outcome=Outcome.SUCCESS, code=SUCCESS, refunded_at=refunded_at)
        return RefundReport(outcome=Outcome.UNKNOWN, code=SUCCESS, message="fund_change is not Y")
    reason = reason_of(answer)
    if is_undecided(answer) or answer.code == messages.LIMITED:
        return RefundReport(outcome=Outcome.UNKNOWN, code=code_of(reason), message=words)
    if reason == _MISMATCH:
        code = REPEAT_REQ_INCONSISTENT
    elif answer.code in messages.REFUSED and reason not in MEANINGS:
        code = answer.code
    else:
        code = code_of(reason)
    return RefundReport(outcome=Outcome.FAILURE, code=code, message=words)


def look_event(refund: Refund, answer: RefundQueryAnswer) -> RefundLookEvent:
    """What the question about a refund was answered.

    Raises:
        BadMessage: it is about another refund, or the amount of a success cannot be read.
    """
    if answer.code == messages.SUCCESS:
        return _listed(refund, answer)
    if is_undecided(answer) or answer.code == messages.LIMITED:
        return LookUnanswered(f"the query is undecided: {words_of(answer)}")
    if reason_of(answer) in NOT_EXIST:
        return LookFoundNothing()
    return LookRefused(code_of(reason_of(answer)))


def _listed(refund: Refund, answer: RefundQueryAnswer) -> RefundLookEvent:
    if answer.refund_status is None and answer.refund_amount is None:
        return LookFoundNothing()
    if answer.out_request_no != refund.refund_request_id:
        raise BadMessage("the answer to the query is about another refund")
    if answer.refund_status != _DONE:
        # A refund that is there and not done yet, or a status that nobody knows.
        code = text_of(answer.refund_status, 64) or answer.code
        return LookAnswered(RefundReport(outcome=Outcome.UNKNOWN, code=code))
    amount = answer.refund_amount
    return LookAnswered(
        RefundReport(
            outcome=Outcome.SUCCESS,
            code=SUCCESS,
            amount=messages.read_amount(amount) if amount is not None else None,
            refunded_at=_time(answer.gmt_refund_pay),
        )
    )


def _time(text: str | None) -> datetime | None:
    # For people only: a success must not be refused because its time is written oddly.
    try:
        return messages.parse_time(text) if text else None
    except BadMessage:
        return None
