"""The messages of the Alipay+ APIs, both directions, as typed structs and JSON.

Rules of the wire (the note "Structure" on every API page): every scalar is a string, booleans and
integers too; what is not needed is left out, never sent as ""; times are ISO 8601 with an offset;
UTF-8. Unknown fields of an answer are ignored, missing optional ones are None. Wire names live in
this file only. Field
tables: Alipay+ pay (user-presented mode), inquiryPayment, cancelPayment, notifyPayment.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from tillgate.core.errors import InvalidAmount
from tillgate.core.money import Money
from tillgate.core.results import Outcome

PAY_PATH = "/aps/api/v1/payments/pay"
INQUIRY_PATH = "/aps/api/v1/payments/inquiryPayment"
CANCEL_PATH = "/aps/api/v1/payments/cancelPayment"
REFUND_PATH = "/aps/api/v1/payments/refund"
NOTIFY_PATH = "/aps/api/v1/payments/notifyPayment"
CONSULT_PATH = "/aps/api/v1/payments/codeConsult"
"""AlipayHK's, in its own folder; Alipay+ has none."""

T = TypeVar("T")


class BadMessage(ValueError):
    """The bytes are not such a message. The text names the field as a JSON path, never its
    value.
    """


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """Base of every message: camelCase on the wire, None left out."""


class Amount(Wire, frozen=True, kw_only=True):
    """`value` is an integer string of minor units; a bare number is read too (official clients
    send some).
    """

    currency: str
    value: str | int

    def to_money(self) -> Money:
        """The amount as ours.

        Raises:
            BadMessage: no ISO 4217 currency, or the value is no whole number of 1 to 999 999 999
                999.
        """
        text = str(self.value)
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise BadMessage("the value of an amount is not a whole number")
        try:
            return Money(self.currency, int(text))
        except InvalidAmount as error:
            raise BadMessage(f"an amount is unusable: {error.path}") from None


def amount_of(money: Money) -> Amount:
    """Our amount as theirs: JPY 100 is `{"currency": "JPY", "value": "100"}`."""
    return Amount(currency=money.currency, value=str(money.value))


class Result(Wire, frozen=True, kw_only=True):
    """What became of a call, or (as `paymentResult`) of a payment. The two are different."""

    result_code: str
    result_status: Outcome
    result_message: str | None = None


SUCCESS = Result(result_code="SUCCESS", result_status=Outcome.SUCCESS, result_message="success")


class Address(Wire, frozen=True, kw_only=True):
    """Decides domestic or cross-border at the network; `region` is ISO 3166 alpha-2."""

    region: str
    state: str | None = None
    city: str | None = None
    address1: str | None = None
    address2: str | None = None
    zip_code: str | None = None


class Store(Wire, frozen=True, kw_only=True):
    """Where the till stands. `storeMcc` is the guide's spelling; API tables also write
    `storeMCC`.
    """

    reference_store_id: str
    store_name: str
    store_mcc: str | None = None


class Merchant(Wire, frozen=True, kw_only=True):
    """Who sells."""

    reference_merchant_id: str
    merchant_name: str
    merchant_mcc: str | None = msgspec.field(name="merchantMCC", default=None)
    store: Store | None = None
    merchant_address: Address | None = None


class Env(Wire, frozen=True, kw_only=True):
    """The till and the time on it (dropped from the docs in 1.6.1, in the guide's sample)."""

    store_terminal_id: str | None = None
    store_terminal_request_time: str | None = None


class PayOrder(Wire, frozen=True, kw_only=True):
    """The merchant's order."""

    reference_order_id: str
    order_description: str
    order_amount: Amount
    merchant: Merchant | None = None
    env: Env | None = None


class PaymentFactor(Wire, frozen=True, kw_only=True):
    """Which scenario: a till that scans the customer's code."""

    is_in_store_payment: str | bool | None = None
    in_store_payment_scenario: str | None = None


class PaymentMethod(Wire, frozen=True, kw_only=True):
    """`paymentMethodId` is the scanned payment code."""

    payment_method_type: str
    payment_method_id: str


class SettlementStrategy(Wire, frozen=True, kw_only=True):
    """The currency the acquirer is settled in."""

    settlement_currency: str


class PayRequest(Wire, frozen=True, kw_only=True):
    """`pay`, user-presented mode."""

    payment_expiry_time: str | None = None
    payment_notify_url: str | None = None
    payment_request_id: str
    payment_factor: PaymentFactor | None = None
    order: PayOrder
    settlement_strategy: SettlementStrategy | None = None
    payment_amount: Amount
    payment_method: PaymentMethod


class PayResponse(Wire, frozen=True, kw_only=True):
    """The answer to `pay`. An F or U may carry nothing but `result`; our id is not echoed."""

    acquirer_id: str | None = None
    psp_id: str | None = None
    result: Result
    payment_id: str | None = None
    payment_amount: Amount | None = None
    payment_time: str | None = None
    customer_id: str | None = None
    wallet_brand_name: str | None = None


class InquiryRequest(Wire, frozen=True, kw_only=True):
    """`inquiryPayment`: one of the two ids is needed."""

    payment_request_id: str | None = None
    payment_id: str | None = None


class Transaction(Wire, frozen=True, kw_only=True):
    """A follow-up on a payment, listed in an inquiry's answer."""

    transaction_type: str | None = None
    transaction_result: Result | None = None
    transaction_status: str | None = None
    transaction_id: str | None = None
    transaction_request_id: str | None = None
    transaction_amount: Amount | None = None
    transaction_time: str | None = None


class InquiryResponse(Wire, frozen=True, kw_only=True):
    """`result` is about the question, `paymentResult` about the money."""

    result: Result
    payment_result: Result | None = None
    acquirer_id: str | None = None
    psp_id: str | None = None
    payment_request_id: str | None = None
    payment_id: str | None = None
    payment_amount: Amount | None = None
    payment_time: str | None = None
    customer_id: str | None = None
    wallet_brand_name: str | None = None
    transactions: list[Transaction] | None = None


class CancelRequest(Wire, frozen=True, kw_only=True):
    """`cancelPayment`: one of the two ids of the original payment is needed; there is no cancel
    id.
    """

    payment_request_id: str | None = None
    payment_id: str | None = None


class CancelResponse(Wire, frozen=True, kw_only=True):
    """The answer to `cancelPayment`."""

    result: Result
    psp_id: str | None = None
    acquirer_id: str | None = None


class CodeConsultRequest(Wire, frozen=True, kw_only=True):
    """AlipayHK's `codeConsult`: whose is this code? It uses nothing up."""

    code_value: str


class CodeConsultResponse(Wire, frozen=True, kw_only=True):
    """Its answer: `ALIPAY_HK`, `ALIPAY_CN` or another wallet's brand."""

    result: Result
    psp_site_name: str | None = None


class RefundRequest(Wire, frozen=True, kw_only=True):
    """`refund`: `refundRequestId` is its idempotency key; one of the payment's two ids is
    needed.
    """

    refund_request_id: str
    payment_request_id: str | None = None
    payment_id: str | None = None
    refund_amount: Amount
    refund_reason: str | None = None


class RefundResponse(Wire, frozen=True, kw_only=True):
    """The answer to `refund`."""

    result: Result
    acquirer_id: str | None = None
    psp_id: str | None = None
    refund_id: str | None = None
    refund_time: str | None = None
    refund_amount: Amount | None = None


class Notification(Wire, frozen=True, kw_only=True):
    """`notifyPayment`, sent to us when a payment is final. `paymentResult` is S or F, never U."""

    payment_result: Result
    payment_request_id: str
    payment_id: str | None = None
    acquirer_id: str | None = None
    psp_id: str | None = None
    customer_id: str | None = None
    wallet_brand_name: str | None = None
    payment_amount: Amount | None = None
    payment_time: str | None = None


class Acknowledgement(Wire, frozen=True, kw_only=True):
    """Our answer to a notification, and any answer that has nothing but a `result`."""

    result: Result


_encoder = msgspec.json.Encoder()


def encode(message: Wire) -> bytes:
    """The JSON bytes of a message. Build a request once and resend these very bytes."""
    return _encoder.encode(message)


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Read a message.

    Raises:
        BadMessage: broken JSON, a missing field or a wrong type.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        # The library's message repeats the value of an unknown word.
        text = str(error)
        at = text.rpartition(" - at ")[2] if " - at " in text else "the top"
        what = "an unknown word" if text.startswith("Invalid enum") else text.partition(" - at ")[0]
        raise BadMessage(f"{what} at {at}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadMessage("the body is not JSON in UTF-8") from None


CONSULT_REQUESTS = msgspec.json.Decoder(CodeConsultRequest)
CONSULT_RESPONSES = msgspec.json.Decoder(CodeConsultResponse)
PAY_REQUESTS = msgspec.json.Decoder(PayRequest)
PAY_RESPONSES = msgspec.json.Decoder(PayResponse)
INQUIRY_REQUESTS = msgspec.json.Decoder(InquiryRequest)
INQUIRY_RESPONSES = msgspec.json.Decoder(InquiryResponse)
CANCEL_REQUESTS = msgspec.json.Decoder(CancelRequest)
CANCEL_RESPONSES = msgspec.json.Decoder(CancelResponse)
REFUND_REQUESTS = msgspec.json.Decoder(RefundRequest)
REFUND_RESPONSES = msgspec.json.Decoder(RefundResponse)
NOTIFICATIONS = msgspec.json.Decoder(Notification)
ACKNOWLEDGEMENTS = msgspec.json.Decoder(Acknowledgement)


# `fromisoformat` alone takes odd separators and trailing bytes; an offset is required.
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.,]+(?:Z|[+-][0-9:]+)\Z")


def format_time(at: datetime) -> str:
    """ISO 8601 in whole seconds with an offset, `2026-01-31T23:59:59+00:00`, for an aware time."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def format_expiry(at: datetime) -> str:
    """As `format_time`, rounded up: the network must not close an order before we stop waiting
    for it.
    """
    return format_time(at + timedelta(microseconds=999_999))


def parse_time(text: str) -> datetime:
    """Read ISO 8601 with any offset (`+08:30`, `Z`) and any number of decimals, as aware UTC.

    Raises:
        BadMessage: another form, or no offset.
    """
    try:
        if not _TIME.match(text):
            raise ValueError
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadMessage("a time is not ISO 8601 with an offset") from None
