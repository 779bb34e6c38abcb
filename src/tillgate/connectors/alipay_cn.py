"""AlipayCN's dialect: Alipay's open platform for payment codes, said in the words of a payment's
life.

What differs from Alipay+ and is settled here, so that the core knows nothing of it: 10000 says only
that a call was taken; a cancel without `action` found no trade or did nothing; a trade that is
TRADE_CLOSED was never paid or is refunded in full, so nobody is charged for it; a refund with
`fund_change` other than Y may be the repeat of one that was done. Where an answer leaves the trade
open, the same call asks `alipay.trade.query` and says what that settles. The mapping, its sources
and what was left out: ADR 0016.
"""

from __future__ import annotations

import re

from tillgate.alipaycn import client, messages
from tillgate.alipaycn.client import AlipayCnClient, Answered
from tillgate.alipayplus.client import BadlySigned, NeverSent, Unreadable
from tillgate.alipayplus.messages import BadMessage
from tillgate.clock import Clock
from tillgate.connectors import (
    CancelEvent,
    ConnectorSettings,
    InquiryEvent,
    NotifyAnswer,
    NotifyCall,
    PayEvent,
    RefundEvent,
    Told,
)
from tillgate.connectors.alipay_cn_answers import (
    HAS_SUCCESS,
    NOT_EXIST,
    Trade,
    gateway_refusal,
    is_about,
    is_all,
    is_undecided,
    pay_report,
    query_report,
    state_of,
    words_of,
)
from tillgate.connectors.alipay_cn_notice import FAILURE, SUCCESS_TEXT, read_notice
from tillgate.connectors.alipay_cn_refunds import (
    look_event,
    query_content,
    refund_content,
    refund_report,
)
from tillgate.connectors.received import code_of, why
from tillgate.core.errors import ConfigError
from tillgate.core.model import (
    CancelAnswered,
    CancelUnanswered,
    InquiryAnswered,
    InquiryRefused,
    InquiryUnanswered,
    Order,
    PayAnswered,
    Payment,
    PaymentRequestId,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    RefundAnswered,
    RefundUnanswered,
)
from tillgate.core.pacing import ALIPAY_CN
from tillgate.core.payment import refund_request_id
from tillgate.core.refund_model import (
    LookUnanswered,
    Refund,
    RefundLookEvent,
    RefundSendEvent,
    SendAnswered,
    SendNeverLeft,
    SendRefusedUnsigned,
    SendUnanswered,
)
from tillgate.core.results import (
    CANCEL_WINDOW_EXCEED,
    ORDER_IS_CLOSED,
    ORDER_NOT_EXIST,
    PAYMENT_IN_PROCESS,
    SUCCESS,
    Outcome,
)
from tillgate.merchants import Merchant, Store
from tillgate.transport import HttpTransport

TIMEOUT = "1m"
"""The shortest `timeout_express` there is, and a payment's whole life: what nobody paid by then is
closed by Alipay itself."""
PRODUCTS = ("FACE_TO_FACE_PAYMENT", "OFFLINE_PAYMENT")
"""`product_code` by contract: alipay.trade.pay (open/02ekfp)."""

SUBJECT_LENGTH_MAX = 256
PLACE_LENGTH_MAX = 32
_PLACE = re.compile(rf"[!-~]{{1,{PLACE_LENGTH_MAX}}}")
"""`store_id`, `terminal_id`: no Chinese ("Notes on integration", open/00f7nv)."""
_SELLER = re.compile(r"2088[0-9]{12}")

_CANCEL_TIME_OUT = "ACQ.TRADE_CANCEL_TIME_OUT"
_ASKED_ABOUT = frozenset(
    {
        "ACQ.CANCEL_NOT_ALLOWED",
        "ACQ.REASON_TRADE_REFUND_FEE_ERR",
        "ACQ.TRADE_HAS_CLOSE",
        "ACQ.TRADE_HAS_FINISHED",
        HAS_SUCCESS,
        "ACQ.TRADE_STATUS_ERROR",
    }
)
"""Refusals of a cancel that speak of the trade's state: a query says which it is."""
_NEEDS_PEOPLE = ("ACQ.SELLER_BALANCE_NOT_ENOUGH", "ACQ.REASON_TRADE_BEEN_FREEZEN")
"""Refusals of a cancel that the same cancel overcomes once somebody has acted: "recharge and cancel
again", "contact Alipay". Repeated slowly, with an alert, whatever `retry_flag` says."""


class AlipayCn:
    """Speaks to Alipay's open platform. See `Connector`."""

    policy = ALIPAY_CN

    def __init__(
        self,
        call: AlipayCnClient,
        *,
        name: str = "alipay_cn",
        seller_id: str | None = None,
        product: str = PRODUCTS[0],
        asks_after_pay: bool = True,
    ) -> None:
        self.name = name
        self._client = call
        self._seller_id = seller_id
        self._product = product
        self._asks_after_pay = asks_after_pay

    async def start(self) -> None:
        """Open the connections."""
        await self._client.start()

    async def close(self) -> None:
        """Close them."""
        await self._client.close()

    def build_pay(
        self,
        payment_request_id: PaymentRequestId,
        order: Order,
        merchant: Merchant,
        store: Store,
        code: str,
    ) -> bytes:
        """The `biz_content` of the pay. Time and signature are made anew with each send.

        Raises:
            InvalidAmount: it is no yuan, or more than a trade may have.
        """
        return messages.encode(
            messages.TradePay(
                out_trade_no=payment_request_id,
                scene="bar_code",
                auth_code=code,
                subject=_subject(order.description or f"Order {order.merchant_order_id}"),
                total_amount=messages.amount_text(order.amount),
                product_code=self._product,
                seller_id=self._seller_id,
                store_id=store.id if _PLACE.fullmatch(store.id) else None,
                terminal_id=order.terminal_id if _PLACE.fullmatch(order.terminal_id) else None,
                timeout_express=TIMEOUT,
            )
        )

    async def pay(self, body: bytes) -> PayEvent:
        """Send a pay request as it was built."""
        asked = messages.read(messages.TRADE_PAYS, body).out_trade_no
        result = await self._call(client.PAY, body, asked)
        match result:
            case Answered(answer):
                try:
                    report = pay_report(answer, is_believed=not self._asks_after_pay)
                except BadMessage as error:
                    return PayUnanswered(str(error))
                return PayAnswered(report)
            case NeverSent(reason):
                return PayNeverLeft(reason)
            case BadlySigned(_, claimed) if (code := gateway_refusal(claimed)) is not None:
                return PayRefusedUnsigned(code)
            case _:
                return PayUnanswered(why(result))

    async def _call(
        self, method: client.Method[client.T], biz_content: bytes, out_trade_no: str
    ) -> client.CallResult[client.T]:
        result = await self._client.call(method, biz_content)
        if isinstance(result, Answered) and not is_about(result.message, out_trade_no):
            return Unreadable("the answer is about another trade")
        return result

    async def inquire(self, payment: Payment) -> InquiryEvent:
        """`alipay.trade.query` by our id."""
        result = await self._query(payment)
        if not isinstance(result, Answered):
            return InquiryUnanswered(why(result))
        answer = result.message
        try:
            match state_of(answer):
                case Trade.WAITING:
                    report = query_report(answer, Outcome.UNKNOWN, PAYMENT_IN_PROCESS)
                case Trade.PAID:
                    report = query_report(answer, Outcome.SUCCESS, SUCCESS)
                case Trade.CLOSED:
                    report = query_report(answer, Outcome.FAILURE, ORDER_IS_CLOSED)
                case Trade.MISSING:
                    return InquiryRefused(ORDER_NOT_EXIST)
                case None if is_undecided(answer) or answer.code == messages.LIMITED:
                    return InquiryUnanswered(f"the query is undecided: {words_of(answer)}")
                case None:
                    return InquiryRefused(code_of(client.code_of(answer)))
        except BadMessage as error:
            return InquiryUnanswered(str(error))
        return InquiryAnswered(report)

    async def _query(self, payment: Payment) -> client.CallResult[messages.QueryAnswer]:
        return await self._call(client.QUERY, _named(payment), payment.payment_request_id)

    async def cancel(self, payment: Payment) -> CancelEvent:
        """`alipay.trade.cancel`: only for what is not known to be paid, which the policy sees to.

        Source: alipay.trade.cancel (open/02ekfr): `action`, `retry_flag` and its error codes.
        """
        result = await self._call(client.CANCEL, _named(payment), payment.payment_request_id)
        if not isinstance(result, Answered):
            return CancelUnanswered(why(result))
        answer = result.message
        code = client.code_of(answer)
        if code == _CANCEL_TIME_OUT:
            # "A refund is possible": the core asks first, and refunds what is paid.
            return CancelAnswered(Outcome.FAILURE, CANCEL_WINDOW_EXCEED)
        if code in _NEEDS_PEOPLE:
            return CancelAnswered(Outcome.FAILURE, code)
        if answer.retry_flag == "Y" or is_undecided(answer) or answer.code == messages.LIMITED:
            return CancelAnswered(Outcome.UNKNOWN, code_of(code))
        if answer.code == messages.SUCCESS and answer.action in ("close", "refund"):
            return CancelAnswered(Outcome.SUCCESS, SUCCESS)
        if code in NOT_EXIST:
            return CancelAnswered(Outcome.FAILURE, ORDER_NOT_EXIST)
        if answer.code == messages.SUCCESS or code in _ASKED_ABOUT:
            return await self._settled(payment, code)
        return CancelAnswered(Outcome.FAILURE, code_of(code))

    async def _settled(self, payment: Payment, code: str) -> CancelEvent:
        """A cancel whose answer leaves the trade open: what the query makes of it."""
        match await self._asked_state(payment):
            case Trade.CLOSED:
                return CancelAnswered(Outcome.SUCCESS, SUCCESS)
            case Trade.MISSING:
                return CancelAnswered(Outcome.FAILURE, ORDER_NOT_EXIST)
            case Trade.PAID:
                # It cannot be cancelled any more: the core asks and refunds.
                return CancelAnswered(Outcome.FAILURE, CANCEL_WINDOW_EXCEED)
            case Trade.WAITING | None:
                return CancelAnswered(Outcome.UNKNOWN, code)

    async def refund(self, payment: Payment) -> RefundEvent:
        """`alipay.trade.refund`: all of it, under the id that is derived from the payment's.

        The same id and amount again is the same refund, and then `fund_change` is N. Since it is
        always all of it, TRADE_CLOSED says that it was done. Source: alipay.trade.refund.
        """
        amount = messages.amount_text(payment.order.amount)
        biz_content = messages.encode(
            messages.TradeRefund(
                out_trade_no=payment.payment_request_id,
                out_request_no=refund_request_id(payment),
                refund_amount=amount,
                refund_reason="The payment was closed",
            )
        )
        result = await self._call(client.REFUND, biz_content, payment.payment_request_id)
        if not isinstance(result, Answered):
            return RefundUnanswered(why(result))
        answer = result.message
        code = client.code_of(answer)
        if is_undecided(answer) or answer.code == messages.LIMITED:
            return RefundAnswered(Outcome.UNKNOWN, code_of(code))
        if answer.code != messages.SUCCESS:
            # Recharge and refund again, refunded already, frozen: the core asks, then tries again.
            return RefundAnswered(Outcome.FAILURE, code_of(code))
        if answer.fund_change == "Y" and is_all(answer.refund_fee, payment):
            return RefundAnswered(Outcome.SUCCESS, SUCCESS)
        is_done = await self._asked_state(payment) is Trade.CLOSED
        return RefundAnswered(Outcome.SUCCESS if is_done else Outcome.UNKNOWN, SUCCESS)

    async def give_back(self, refund: Refund) -> RefundSendEvent:
        """`alipay.trade.refund` of a merchant, under its own `out_request_no`."""
        result = await self._call(client.REFUND, refund_content(refund), refund.payment_request_id)
        match result:
            case Answered(answer):
                return SendAnswered(refund_report(answer))
            case NeverSent(reason):
                return SendNeverLeft(reason)
            case BadlySigned(_, claimed) if (code := gateway_refusal(claimed)) is not None:
                return SendRefusedUnsigned(code)
            case _:
                return SendUnanswered(why(result))

    async def look_up(self, refund: Refund) -> RefundLookEvent:
        """`alipay.trade.fastpay.refund.query`."""
        result = await self._client.call(client.REFUND_QUERY, query_content(refund))
        if not isinstance(result, Answered):
            return LookUnanswered(why(result))
        if result.message.out_trade_no not in (None, refund.payment_request_id):
            return LookUnanswered("the answer is about another trade")
        try:
            return look_event(refund, result.message)
        except BadMessage as error:
            return LookUnanswered(str(error))

    async def _asked_state(self, payment: Payment) -> Trade | None:
        """What the query says of the trade's state; None when it did not say."""
        result = await self._query(payment)
        if not isinstance(result, Answered):
            return None
        try:
            return state_of(result.message)
        except BadMessage:
            return None

    def read_notification(self, call: NotifyCall) -> Told | None:
        """The asynchronous notice of a trade."""
        return read_notice(call.body, self._client.credentials, self._seller_id)

    def acknowledge(self, call: NotifyCall) -> NotifyAnswer:
        """Exactly the seven letters that end the repeating."""
        return SUCCESS_TEXT

    def ask_again(self, call: NotifyCall) -> NotifyAnswer:
        """Anything but `success` makes Alipay come again."""
        return NotifyAnswer(503, *FAILURE)


def build(settings: ConnectorSettings, clock: Clock) -> AlipayCn:
    """Make it from its section.

    Raises:
        ConfigError: lists every problem.
    """
    options, problems = settings.options, []
    product = options.get("product_code") or PRODUCTS[0]
    if product not in PRODUCTS:
        problems.append(f"product_code: must be one of {', '.join(PRODUCTS)}")
    seller_id = options.get("seller_id") or None
    if seller_id is not None and not _SELLER.fullmatch(seller_id):
        problems.append("seller_id: must be 16 digits that begin with 2088")
    asks = options.get("ask_after_pay") or "true"
    if asks not in ("true", "false"):
        problems.append("ask_after_pay: must be one of true, false")
    if not settings.base_url.endswith("/gateway.do"):
        problems.append("base_url: must be the gateway's whole address, which ends in /gateway.do")
    if problems:
        raise ConfigError(problems)
    credentials = client.Credentials(
        app_id=settings.client_id,
        signing_key=settings.signing_key,
        network_keys=settings.network_keys,
    )
    call = AlipayCnClient(HttpTransport(settings.base_url), credentials, clock, settings.notify_url)
    return AlipayCn(
        call,
        name=settings.name,
        seller_id=seller_id,
        product=product,
        asks_after_pay=asks == "true",
    )


def _subject(text: str) -> str:
    """A trade's title: without the characters that it must not have (open/02ekfp)."""
    kept = "".join(" " if c in "/=&" or not c.isprintable() else c for c in text)
    return " ".join(kept.split())[:SUBJECT_LENGTH_MAX] or "Order"


def _named(payment: Payment) -> bytes:
    return messages.encode(messages.TradeNamed(out_trade_no=payment.payment_request_id))
