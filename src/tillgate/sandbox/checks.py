"""What the network asks of a request before it looks at the payment. A fault is a sentence that
names the field and never repeats its value. What each field looks like: `fields`.
"""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlsplit

import msgspec

from tillgate.alipayplus.messages import (
    Amount,
    BadMessage,
    PayRequest,
    RefundRequest,
    decode,
    parse_time,
)
from tillgate.core.money import VALUE_MAX
from tillgate.sandbox.choices import IdempotentFields

CONNECT_WALLET = "CONNECT_WALLET"

_ANYTHING = msgspec.json.Decoder()
_CURRENCY = re.compile(r"[A-Z]{3}\Z")
_VALUE = re.compile(r"[0-9]{1,18}\Z")


def empty_text(body: bytes) -> str | None:
    """The path of the first `""`. Source: "Structure" on every API page: leave out what is not
    needed, never send "".

    Raises:
        BadMessage: the body is not JSON.
    """
    # Nearly no request has one, and a second parse costs more than this look.
    if b'""' not in body:
        return None
    try:
        path = _first_empty(decode(_ANYTHING, body), "")
    except RecursionError:  # nested almost as deep as the parser allows
        raise BadMessage("the body is nested too deep") from None
    return f"{path}: must not be empty; leave it out" if path else None


def _first_empty(value: object, path: str) -> str | None:
    if value == "":
        return path.removeprefix(".") or "the body"
    if isinstance(value, dict):
        items = [(f"{path}.{name}", inner) for name, inner in value.items()]
    elif isinstance(value, list):
        items = [(f"{path}[{i}]", inner) for i, inner in enumerate(value)]
    else:
        return None
    for inner_path, inner in items:
        found = _first_empty(inner, inner_path)
        if found:
            return found
    return None


def pay_fault(request: PayRequest) -> str | None:
    """What is wrong with a pay. Its payment method type is left out: a repeat compares it first."""
    order = request.order
    factor = request.payment_factor
    if factor is not None and factor.in_store_payment_scenario not in (None, "PaymentCode"):
        return "paymentFactor.inStorePaymentScenario: must be PaymentCode"
    if factor is not None and factor.is_in_store_payment not in (None, "true", True):
        return 'paymentFactor.isInStorePayment: must be "true"'
    return (
        _amount_fault("paymentAmount", request.payment_amount)
        or _amount_fault("order.orderAmount", order.order_amount)
        or _url_fault(request.payment_notify_url)
        or _time_fault(request.payment_expiry_time)
    )


def canonical(amount: Amount) -> tuple[str, int]:
    """`"0100"`, `"100"` and 100 are one amount."""
    return amount.currency, int(amount.value)


def compared(request: PayRequest, fields: IdempotentFields) -> tuple[object, ...]:
    """What a repeat must agree with. The code is in neither list."""
    method = request.payment_method.payment_method_type
    amount = canonical(request.payment_amount)
    if fields is IdempotentFields.CURRENT:
        return amount, method, canonical(request.order.order_amount)
    factor, strategy = request.payment_factor, request.settlement_strategy
    return (
        amount,
        method,
        factor and (str(factor.is_in_store_payment).lower(), factor.in_store_payment_scenario),
        strategy and strategy.settlement_currency,
    )


def inferred_fault(request: PayRequest) -> str | None:
    """What is missing of the fields that the guide's sample has and no table demands."""
    if request.payment_factor is None:
        return "paymentFactor: is missing"
    if request.settlement_strategy is None:
        return "settlementStrategy: is missing"
    merchant = request.order.merchant
    if merchant is None:
        return "order.merchant: is missing"
    if merchant.merchant_mcc is None:
        return "order.merchant.merchantMCC: is missing"
    return "order.merchant.store: is missing" if merchant.store is None else None


def _amount_fault(field: str, amount: Amount) -> str | None:
    if not _CURRENCY.match(amount.currency):
        return f"{field}.currency: must be an ISO 4217 code"
    text = str(amount.value)
    if not _VALUE.match(text) or not 1 <= int(text) <= VALUE_MAX:
        return f"{field}.value: must be a whole number of minor units, 1 to {VALUE_MAX}"
    return None


def _url_fault(url: str | None) -> str | None:
    if url is None:
        return None
    fault = "paymentNotifyUrl: must be an http or https address"
    if not url.isascii() or not url.isprintable() or " " in url:
        return fault
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return fault
    return None if is_good else fault


def _time_fault(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        parse_time(text)
    except BadMessage as error:
        return f"paymentExpiryTime: {error}"
    return None


def ids_fault(payment_request_id: str | None, payment_id: str | None) -> str | None:
    """What is wrong with the two ids of an inquiry, a cancel or a refund."""
    if payment_request_id is None and payment_id is None:
        return "paymentRequestId: needed where there is no paymentId"
    return None


def refund_fault(request: RefundRequest) -> str | None:
    """What is wrong with a refund. Its currency is left out: the payment's is compared with it."""
    return ids_fault(request.payment_request_id, request.payment_id) or _amount_fault(
        "refundAmount", request.refund_amount
    )


def final_expiry(requested: str | None, placed_at: datetime, latest: datetime) -> datetime:
    """The earlier of what is asked for and the network's own limit. Source: the guide, table
    "paymentExpiryTime". A past time closes the order as it is placed (the pages do not say).
    """
    return latest if requested is None else max(placed_at, min(parse_time(requested), latest))
