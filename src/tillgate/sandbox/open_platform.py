"""What AlipayCN's open platform does with a message, on a `Network` that keeps the payments.

The network's states are the trades'; what differs from Alipay+ is here: what is repeated is refused
by its state, a cancel says its `action`, and a trade that is refunded in full is closed. Every
method is given the time; nothing here signs, waits or sends. Where the pages are silent: a trade
whose code was no good never existed, and any other refused one is closed. Sources: ADR 0016.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TypeVar

from msgspec import structs

from tillgate.alipaycn import messages
from tillgate.alipaycn.messages import (
    Answer,
    CancelAnswer,
    PayAnswer,
    QueryAnswer,
    RefundAnswer,
    RefundNamed,
    RefundQueryAnswer,
    TradeNamed,
    TradePay,
    TradeRefund,
    amount_text,
    format_time,
    read_amount,
)
from tillgate.alipayplus.messages import (
    BadMessage,
    CancelRequest,
    InquiryRequest,
    PaymentMethod,
    PayOrder,
    PayRequest,
    RefundRequest,
    amount_of,
)
from tillgate.core.money import Money
from tillgate.core.results import Outcome
from tillgate.sandbox.checks import CONNECT_WALLET
from tillgate.sandbox.network import Network
from tillgate.sandbox.open_platform_words import INVALID, WORDS
from tillgate.sandbox.open_platform_words import reason as reason_of
from tillgate.sandbox.payment import REFUND_WINDOW, Payment, State
from tillgate.sandbox.plays import NOTHING, Do

_NUMBER = re.compile(r"[A-Za-z0-9_]{1,64}\Z")
_TIMEOUT = re.compile(r"(?:[1-9][0-9]{0,4}[mhd]|1c)\Z")
SUBJECT_LENGTH_MAX = 256

Text = str | int | float
"""Clients send amounts as JSON numbers, too; what matters is the text they write."""


class LooseTradePay(TradePay, frozen=True, kw_only=True):
    """A pay with its amount as text or number."""

    total_amount: Text  # type: ignore[assignment]


class LooseTradeRefund(TradeRefund, frozen=True, kw_only=True):
    """A refund with its amount as text or number."""

    refund_amount: Text  # type: ignore[assignment]


_CODE_REFUSALS = ("EXPIRED_CODE", "INVALID_CODE")

A = TypeVar("A", PayAnswer, QueryAnswer, CancelAnswer, RefundAnswer, RefundQueryAnswer)


class OpenPlatform:
    """The four methods."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def pay(
        self,
        app_id: str,
        asked: LooseTradePay,
        notify_url: str | None,
        now: datetime,
        do: Do = NOTHING,
    ) -> PayAnswer:
        """`alipay.trade.pay`: one trade per `out_trade_no`, for ever."""
        try:
            amount = read_amount(str(asked.total_amount))
            _check_pay(asked)
        except BadMessage as error:
            return _refused(PayAnswer, INVALID, str(error))
        known = self._named(app_id, TradeNamed(out_trade_no=asked.out_trade_no), now)
        request = PayRequest(
            payment_request_id=asked.out_trade_no,
            payment_notify_url=notify_url,
            order=PayOrder(
                reference_order_id=asked.out_trade_no,
                order_description=asked.subject,
                order_amount=amount_of(amount),
            ),
            payment_amount=amount_of(amount),
            payment_method=PaymentMethod(
                payment_method_type=CONNECT_WALLET, payment_method_id=asked.auth_code
            ),
        )
        result = self.network.pay(app_id, request, now, do).result
        trade = self._named(app_id, TradeNamed(out_trade_no=asked.out_trade_no), now)
        if result.result_status is Outcome.FAILURE:
            reason = reason_of(messages.PAY, result.result_code)
            return _refused(PayAnswer, reason, result.result_message, asked.out_trade_no)
        assert trade is not None, "what was not refused is there"
        if known is not None and self.status(trade, now) == "TRADE_CLOSED":
            return _refused(PayAnswer, "ACQ.TRADE_HAS_CLOSE", "it is closed", asked.out_trade_no)
        if known is not None and result.result_status is Outcome.SUCCESS:
            return _refused(PayAnswer, "ACQ.TRADE_HAS_SUCCESS", "it is paid", asked.out_trade_no)
        if result.result_status is Outcome.UNKNOWN:
            return PayAnswer(
                code=messages.WAITING,
                msg=WORDS[messages.WAITING],
                out_trade_no=trade.payment_request_id,
                trade_no=trade.payment_id,
            )
        return PayAnswer(
            code=messages.SUCCESS,
            msg=WORDS[messages.SUCCESS],
            out_trade_no=trade.payment_request_id,
            trade_no=trade.payment_id,
            total_amount=amount_text(trade.amount),
            receipt_amount=amount_text(trade.amount),
            gmt_payment=_time(trade.paid_at),
            buyer_user_id=_buyer(trade),
        )

    def query(self, app_id: str, asked: TradeNamed, now: datetime) -> QueryAnswer:
        """`alipay.trade.query`."""
        trade = self._named(app_id, asked, now)
        status = self.status(trade, now) if trade is not None else None
        if trade is None or status is None or self.network.is_hidden(trade, now):
            return _refused(QueryAnswer, "ACQ.TRADE_NOT_EXIST", "there is no such trade")
        return QueryAnswer(
            code=messages.SUCCESS,
            msg=WORDS[messages.SUCCESS],
            out_trade_no=trade.payment_request_id,
            trade_no=trade.payment_id,
            trade_status=status,
            total_amount=amount_text(trade.amount),
            send_pay_date=_time(trade.paid_at),
            buyer_user_id=_buyer(trade),
        )

    def cancel(self, app_id: str, asked: TradeNamed, now: datetime) -> CancelAnswer:
        """`alipay.trade.cancel`: 10000 without `action` where there is no such trade; nothing is
        kept of it, so a later pay is taken.
        """
        trade = self._named(app_id, asked, now)
        if trade is None and asked.trade_no is not None:
            return _refused(CancelAnswer, "ACQ.TRADE_NOT_EXIST", "there is no such trade")
        if trade is None or self.status(trade, now) is None:
            return CancelAnswer(
                code=messages.SUCCESS,
                msg=WORDS[messages.SUCCESS],
                out_trade_no=asked.out_trade_no,
                retry_flag="N",
            )
        request = CancelRequest(payment_id=trade.payment_id)
        result = self.network.cancel(app_id, request, now).result
        if result.result_status is not Outcome.SUCCESS:
            reason = reason_of(messages.CANCEL, result.result_code)
            refusal = _refused(
                CancelAnswer, reason, result.result_message, trade.payment_request_id
            )
            return structs.replace(refusal, retry_flag="N")
        return CancelAnswer(
            code=messages.SUCCESS,
            msg=WORDS[messages.SUCCESS],
            out_trade_no=trade.payment_request_id,
            trade_no=trade.payment_id,
            retry_flag="N",
            action="close" if trade.paid_at is None else "refund",
        )

    def refund(self, app_id: str, asked: LooseTradeRefund, now: datetime) -> RefundAnswer:
        """`alipay.trade.refund`: the same `out_request_no` and amount again is the same refund, and
        then `fund_change` is N. Without one it is the `out_trade_no`.
        """
        named = TradeNamed(out_trade_no=asked.out_trade_no, trade_no=asked.trade_no)
        trade = self._named(app_id, named, now)
        try:
            amount = read_amount(str(asked.refund_amount))
        except BadMessage as error:
            return _refused(RefundAnswer, INVALID, str(error))
        if trade is None or self.status(trade, now) is None:
            return _refused(RefundAnswer, "ACQ.TRADE_NOT_EXIST", "there is no such trade")
        request = RefundRequest(
            refund_request_id=asked.out_request_no or trade.payment_request_id,
            payment_id=trade.payment_id,
            refund_amount=amount_of(amount),
        )
        result = self.network.refund(app_id, request, now).result
        left = self.network.ledger.net_debit(trade.payment_id)
        if result.result_status is not Outcome.SUCCESS:
            reason = _refund_reason(result.result_code, trade, left)
            return _refused(RefundAnswer, reason, result.result_message, trade.payment_request_id)
        after = self._named(app_id, named, now)
        assert after is not None
        refunded = trade.amount.value - left
        return RefundAnswer(
            code=messages.SUCCESS,
            msg=WORDS[messages.SUCCESS],
            out_trade_no=trade.payment_request_id,
            trade_no=trade.payment_id,
            fund_change="Y" if len(after.refunds) > len(trade.refunds) else "N",
            refund_fee=amount_text(Money(trade.amount.currency, refunded)),
            gmt_refund_pay=_time(after.refunds[-1].refunded_at),
        )

    def refund_query(self, app_id: str, asked: RefundNamed, now: datetime) -> RefundQueryAnswer:
        """`alipay.trade.fastpay.refund.query`: 10000 without a status where there is no such refund
        of the trade.
        """
        named = TradeNamed(out_trade_no=asked.out_trade_no, trade_no=asked.trade_no)
        trade = self._named(app_id, named, now)
        if trade is None or self.status(trade, now) is None:
            return _refused(RefundQueryAnswer, "ACQ.TRADE_NOT_EXIST", "there is no such trade")
        answer = RefundQueryAnswer(
            code=messages.SUCCESS,
            msg=WORDS[messages.SUCCESS],
            out_trade_no=trade.payment_request_id,
            trade_no=trade.payment_id,
            out_request_no=asked.out_request_no,
        )
        for refund in trade.refunds:
            if refund.refund_request_id == asked.out_request_no:
                return structs.replace(
                    answer,
                    total_amount=amount_text(trade.amount),
                    refund_amount=amount_text(refund.amount),
                    refund_status="REFUND_SUCCESS",
                    gmt_refund_pay=_time(refund.refunded_at),
                )
        return answer

    def status(self, trade: Payment, now: datetime) -> str | None:
        """`trade_status`; None: to whoever asks, it never existed."""
        match trade.state:
            case State.IN_PROCESS:
                return "WAIT_BUYER_PAY"
            case State.CLOSED:
                return "TRADE_CLOSED"
            case State.FAILED:
                is_bad_code = trade.result.result_code in _CODE_REFUSALS
                return None if is_bad_code else "TRADE_CLOSED"
            case State.SUCCEEDED:
                pass
        assert trade.paid_at is not None
        if self.network.ledger.net_debit(trade.payment_id) == 0:
            return "TRADE_CLOSED"
        return "TRADE_FINISHED" if now >= trade.paid_at + REFUND_WINDOW else "TRADE_SUCCESS"

    def _named(self, app_id: str, asked: TradeNamed, now: datetime) -> Payment | None:
        request = InquiryRequest(payment_request_id=asked.out_trade_no, payment_id=asked.trade_no)
        return self.network.orders.asked_for(app_id, request, now)


def _check_pay(asked: TradePay) -> None:
    """What the page asks of a pay, beside its amount.

    Raises:
        BadMessage: names the field.
    """
    if not _NUMBER.match(asked.out_trade_no):
        raise BadMessage("out_trade_no: letters, digits and _, at most 64")
    if asked.scene != "bar_code":
        raise BadMessage("scene: must be bar_code")
    if not asked.auth_code.isascii() or not asked.auth_code.isdigit():
        raise BadMessage("auth_code: must be digits")
    if (
        not asked.subject
        or len(asked.subject) > SUBJECT_LENGTH_MAX
        or set(asked.subject) & set("/=&")
    ):
        raise BadMessage(f"subject: at most {SUBJECT_LENGTH_MAX} characters, none of / = &")
    if asked.timeout_express is not None and not _TIMEOUT.match(asked.timeout_express):
        raise BadMessage("timeout_express: such as 1m, 2h, 3d or 1c")


def _refund_reason(code: str, trade: Payment, left: int) -> str:
    if code == "ORDER_STATUS_INVALID":
        is_waiting = trade.state is State.IN_PROCESS
        return "ACQ.TRADE_STATUS_ERROR" if is_waiting else "ACQ.TRADE_HAS_CLOSE"
    if code == "REFUND_AMOUNT_EXCEED" and left == 0:
        return "ACQ.REASON_TRADE_REFUND_FEE_ERR"
    return reason_of(messages.REFUND, code)


def _refused(kind: type[A], reason: str, words: str | None, out_trade_no: str | None = None) -> A:
    return kind(
        code=messages.BUSINESS_FAILED,
        msg=WORDS[messages.BUSINESS_FAILED],
        sub_code=reason,
        sub_msg=words,
        out_trade_no=out_trade_no,
    )


def gateway_refusal(code: str, reason: str, words: str) -> Answer:
    """A refusal before any method saw the message."""
    return Answer(code=code, msg="Invalid Arguments", sub_code=reason, sub_msg=words)


def _buyer(trade: Payment) -> str | None:
    return trade.customer.network_id if trade.customer is not None else None


def _time(at: datetime | None) -> str | None:
    return format_time(at) if at is not None else None
