"""Alipay+'s dialect: builds the guide's requests and turns the network's answers into facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from tillgate.alipayplus import client, messages
from tillgate.alipayplus.client import Answered, BadlySigned, NeverSent
from tillgate.alipayplus.messages import (
    Acknowledgement,
    BadMessage,
    InquiryResponse,
    Notification,
    PayResponse,
)
from tillgate.alipayplus.signing import BadSignature
from tillgate.clock import Clock
from tillgate.connectors import (
    BadNotification,
    CancelEvent,
    ConnectorSettings,
    InquiryEvent,
    NotifyAnswer,
    NotifyCall,
    PayEvent,
    RefundEvent,
    Told,
)
from tillgate.connectors.alipay_plus_refunds import look_event, refund_report, refund_request
from tillgate.connectors.received import MESSAGE_MAX, code_of, text_of, why
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
    PaymentId,
    PaymentRequestId,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    Receipt,
    RefundAnswered,
    RefundUnanswered,
    Report,
)
from tillgate.core.pacing import ALIPAY_PLUS, ALIPAY_PLUS_GROWING, Policy
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
from tillgate.core.results import UNSIGNED_REFUSALS, Outcome
from tillgate.merchants import Merchant, Store
from tillgate.transport import HttpTransport

ALIPAY_PLUS_APIS = client.Apis()
_JSON = {"Content-Type": "application/json; charset=UTF-8"}
_ACKNOWLEDGED = messages.encode(Acknowledgement(result=messages.SUCCESS))


class AlipayPlus:
    """Speaks Alipay+'s dialect through a client. See `Connector`."""

    def __init__(
        self,
        call: client.AlipayPlusClient,
        notify_url: str | None,
        policy: Policy = ALIPAY_PLUS,
        *,
        name: str = "alipay_plus",
        apis: client.Apis = ALIPAY_PLUS_APIS,
    ) -> None:
        self.name = name
        self.policy = policy
        self._client = call
        self._notify_url = notify_url
        self._apis = apis
        self._signed: dict[tuple[str, str], str] = {}

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
        """The guide's sample request for this order. Never raises."""
        amount = messages.amount_of(order.amount)
        request = messages.PayRequest(
            payment_expiry_time=messages.format_expiry(order.expires_at),
            payment_notify_url=self._notify_url,
            payment_request_id=payment_request_id,
            payment_factor=messages.PaymentFactor(
                is_in_store_payment="true", in_store_payment_scenario="PaymentCode"
            ),
            order=messages.PayOrder(
                reference_order_id=order.merchant_order_id,
                # The network requires a description; a till may leave it out.
                order_description=order.description or f"Order {order.merchant_order_id}",
                order_amount=amount,
                merchant=messages.Merchant(
                    reference_merchant_id=merchant.id,
                    merchant_name=merchant.name,
                    merchant_mcc=merchant.mcc,
                    store=messages.Store(
                        reference_store_id=store.id, store_name=store.name, store_mcc=store.mcc
                    ),
                    merchant_address=messages.Address(region=merchant.region, city=merchant.city),
                ),
                env=messages.Env(
                    store_terminal_id=order.terminal_id,
                    store_terminal_request_time=messages.format_time(order.placed_at),
                ),
            ),
            settlement_strategy=messages.SettlementStrategy(
                settlement_currency=merchant.settlement_currency
            ),
            payment_amount=amount,
            payment_method=messages.PaymentMethod(
                payment_method_type="CONNECT_WALLET", payment_method_id=code
            ),
        )
        return messages.encode(request)

    async def pay(self, body: bytes) -> PayEvent:
        """Send a pay request as it was built."""
        result = await self._client.call(self._apis.pay, body)
        match result:
            case Answered(message):
                try:
                    return PayAnswered(_report(message.result, message))
                except BadMessage as error:
                    return PayUnanswered(str(error))
            case NeverSent(reason):
                return PayNeverLeft(reason)
            case BadlySigned(_, claimed) if claimed in UNSIGNED_REFUSALS:
                return PayRefusedUnsigned(claimed)
            case _:
                return PayUnanswered(why(result))

    async def inquire(self, payment: Payment) -> InquiryEvent:
        """Ask by our id: after an unknown pay it is the only one there is."""
        body = messages.encode(
            messages.InquiryRequest(payment_request_id=payment.payment_request_id)
        )
        result = await self._client.call(self._apis.inquiry, body)
        if not isinstance(result, Answered):
            return InquiryUnanswered(why(result))
        if result.message.payment_request_id is None and not result.is_fresh:
            return InquiryUnanswered("the answer names no payment and is older than the question")
        try:
            return _inquiry_event(payment, result.message)
        except BadMessage as error:
            return InquiryUnanswered(str(error))

    async def cancel(self, payment: Payment) -> CancelEvent:
        """Close it by our id."""
        body = messages.encode(
            messages.CancelRequest(payment_request_id=payment.payment_request_id)
        )
        result = await self._client.call(self._apis.cancel, body)
        if not isinstance(result, Answered):
            return CancelUnanswered(why(result))
        answer = result.message.result
        return CancelAnswered(answer.result_status, code_of(answer.result_code))

    async def give_back(self, refund: Refund) -> RefundSendEvent:
        """A merchant's refund, under its own id."""
        result = await self._client.call(self._apis.refund, refund_request(refund))
        match result:
            case Answered(message):
                try:
                    return SendAnswered(refund_report(message))
                except BadMessage as error:
                    return SendUnanswered(str(error))
            case NeverSent(reason):
                return SendNeverLeft(reason)
            case BadlySigned(_, claimed) if claimed in UNSIGNED_REFUSALS:
                return SendRefusedUnsigned(claimed)
            case _:
                return SendUnanswered(why(result))

    async def look_up(self, refund: Refund) -> RefundLookEvent:
        """Through its payment's inquiry: refunds have none of their own."""
        body = messages.encode(
            messages.InquiryRequest(payment_request_id=refund.payment_request_id)
        )
        result = await self._client.call(self._apis.inquiry, body)
        if not isinstance(result, Answered):
            return LookUnanswered(why(result))
        try:
            return look_event(refund, result.message, is_fresh=result.is_fresh)
        except BadMessage as error:
            return LookUnanswered(str(error))

    async def refund(self, payment: Payment) -> RefundEvent:
        """All of it, under the id that is derived from the payment's."""
        body = messages.encode(
            messages.RefundRequest(
                refund_request_id=refund_request_id(payment),
                payment_request_id=payment.payment_request_id,
                refund_amount=messages.amount_of(payment.order.amount),
                refund_reason="The payment was closed after the cancel window",
            )
        )
        result = await self._client.call(self._apis.refund, body)
        if not isinstance(result, Answered):
            return RefundUnanswered(why(result))
        answer = result.message.result
        return RefundAnswered(answer.result_status, code_of(answer.result_code))

    def read_notification(self, call: NotifyCall) -> Told:
        """`notifyPayment`: signature, then the message. 401 to who did not sign, 400 to garbage.

        Source: Alipay+ "Receive payment notification"; ADR 0011.
        """
        me = self._client.credentials
        try:
            if call.headers.get("client-id") != me.client_id:
                raise BadSignature("the Client-Id is not ours")
            me.network_keys.verify(
                call.headers.get("signature"),
                call.path,
                me.client_id,
                call.headers.get("request-time"),
                call.body,
            )
        except BadSignature as error:
            answer = _refused(401, "INVALID_SIGNATURE", str(error))
            raise BadNotification(f"its signature: {error}", answer) from None
        try:
            notification = messages.decode(messages.NOTIFICATIONS, call.body)
            report = notification_report(notification)
        except BadMessage as error:
            answer = _refused(400, "PARAM_ILLEGAL", str(error))
            raise BadNotification(f"signed, but not to be read: {error}", answer) from None
        return Told(PaymentRequestId(notification.payment_request_id), report)

    def acknowledge(self, call: NotifyCall) -> NotifyAnswer:
        """The same S to everyone, whatever the payment's result, signed."""
        me = self._client.credentials
        time = messages.format_time(self._client.clock.now())
        signature = self._signed.get((call.path, time))
        if signature is None:
            # The content is the same for a whole second: its signature is made once.
            signature = me.signing_key.sign(call.path, me.client_id, time, _ACKNOWLEDGED)
            self._signed = {(call.path, time): signature}
        headers = _JSON | {"Client-Id": me.client_id, "Response-Time": time, "Signature": signature}
        return NotifyAnswer(200, _ACKNOWLEDGED, headers)

    def ask_again(self, call: NotifyCall) -> NotifyAnswer:
        """503 and U, so that the network comes again."""
        return _refused(503, "UNKNOWN_EXCEPTION", "come again", Outcome.UNKNOWN)


SCHEDULES = {"fixed": ALIPAY_PLUS, "growing": ALIPAY_PLUS_GROWING}
"""The two paces of inquiries, by the word in the settings."""


def build(settings: ConnectorSettings, clock: Clock) -> AlipayPlus:
    """Make it from its section.

    Raises:
        ConfigError: `inquiries` is no schedule.
    """
    word = settings.options.get("inquiries") or "fixed"
    if word not in SCHEDULES:
        raise ConfigError([f"inquiries: must be one of {', '.join(SCHEDULES)}"])
    return AlipayPlus(client_of(settings, clock), settings.notify_url, SCHEDULES[word])


def client_of(settings: ConnectorSettings, clock: Clock) -> client.AlipayPlusClient:
    """A client over HTTP for what a section says."""
    credentials = client.Credentials(
        client_id=settings.client_id,
        signing_key=settings.signing_key,
        network_keys=settings.network_keys,
    )
    return client.AlipayPlusClient(HttpTransport(settings.base_url), credentials, clock)


def _refused(
    status: int, code: str, message: str, outcome: Outcome = Outcome.FAILURE
) -> NotifyAnswer:
    result = messages.Result(result_code=code, result_status=outcome, result_message=message)
    return NotifyAnswer(status, messages.encode(Acknowledgement(result=result)), _JSON)


def _inquiry_event(payment: Payment, answer: InquiryResponse) -> InquiryEvent:
    """Two levels: `result` is about the question, `paymentResult` about the money."""
    match answer.result.result_status:
        case Outcome.UNKNOWN:
            return InquiryUnanswered(
                f"the inquiry is undecided: {code_of(answer.result.result_code)}"
            )
        case Outcome.FAILURE:
            return InquiryRefused(code_of(answer.result.result_code))
        case Outcome.SUCCESS:
            pass
    if answer.payment_result is None:
        raise BadMessage("the answer to the inquiry has no paymentResult")
    if answer.payment_request_id not in (None, payment.payment_request_id):
        raise BadMessage("the answer to the inquiry is about another payment")
    report = _report(answer.payment_result, answer)
    cancels = [t for t in answer.transactions or () if t.transaction_type == "CANCEL"]
    is_cancelled = any(
        t.transaction_status == "SUCCESS"
        or (t.transaction_result and t.transaction_result.result_status is Outcome.SUCCESS)
        for t in cancels
    )
    return InquiryAnswered(replace(report, is_cancelled=is_cancelled))


def notification_report(notification: Notification) -> Report:
    """What a notification says of its payment.

    Raises:
        BadMessage: its amount or time cannot be read, or it carries a U, which the API forbids.
    """
    if notification.payment_result.result_status is Outcome.UNKNOWN:
        raise BadMessage("a notification never carries resultStatus U")
    return _report(notification.payment_result, notification)


def _report(
    result: messages.Result, answer: PayResponse | InquiryResponse | Notification
) -> Report:
    amount, payment_id = answer.payment_amount, text_of(answer.payment_id, 64)
    code = code_of(result.result_code)
    return Report(
        outcome=result.result_status,
        code=code,
        message=text_of(result.result_message, MESSAGE_MAX),
        # The amount of a failure decides nothing, so it may be written in any way.
        amount=amount.to_money() if amount and result.result_status is Outcome.SUCCESS else None,
        receipt=Receipt(
            payment_id=PaymentId(payment_id) if payment_id else None,
            paid_at=_paid_at(answer.payment_time),
            wallet=text_of(answer.wallet_brand_name, 64),
            customer_id=text_of(answer.customer_id, 64),
            psp_id=text_of(answer.psp_id, 64),
            acquirer_id=text_of(answer.acquirer_id, 64),
        ),
    )


def _paid_at(text: str | None) -> datetime | None:
    # For the receipt only: a success must not be refused because its time is written oddly.
    try:
        return messages.parse_time(text) if text else None
    except BadMessage:
        return None
