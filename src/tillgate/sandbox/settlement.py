"""What the acquirer is owed: the payment's amount in its settlement currency, and the quote that
says how it was reckoned. Amount times price, rounded half up, is exact: testers can check it.

Source: Alipay+ "SettlementStrategy", "Quote"; the fields of the answers are the official SDK's.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from tillgate.alipayplus.messages import (
    Amount,
    InquiryResponse,
    Notification,
    PayResponse,
    RefundResponse,
    Wire,
)
from tillgate.core.money import EXPONENTS, Money
from tillgate.sandbox.wallets import Wallets


class Quote(Wire, frozen=True, kw_only=True):
    """How many units of the second currency one unit of the first is worth."""

    quote_id: str
    quote_currency_pair: str
    quote_price: str
    base_currency: str
    quote_unit: str


class SettledPay(PayResponse, frozen=True, kw_only=True):
    """The answer to `pay` where the settlement currency differs."""

    settlement_amount: Amount
    settlement_quote: Quote


class SettledInquiry(InquiryResponse, frozen=True, kw_only=True):
    """The same of `inquiryPayment`."""

    settlement_amount: Amount
    settlement_quote: Quote


class SettledNotification(Notification, frozen=True, kw_only=True):
    """The same of `notifyPayment`."""

    settlement_amount: Amount
    settlement_quote: Quote


class SettledRefund(RefundResponse, frozen=True, kw_only=True):
    """The same of `refund`; its amount may be less than one minor unit, and 0 then."""

    settlement_amount: Amount
    settlement_quote: Quote


def settled_value_of(wallets: Wallets, amount: Money, currency: str) -> int:
    """Minor units of `currency` that so much is settled as, at least 1. Both have a rate."""
    if currency == amount.currency:
        return amount.value
    scale = Decimal(10) ** (EXPONENTS[currency] - EXPONENTS[amount.currency])
    exact = amount.value * wallets.price(amount.currency, currency) * scale
    return max(1, int(exact.quantize(Decimal(1), ROUND_HALF_UP)))


def quote(wallets: Wallets, source: str, target: str) -> Quote:
    """The sandbox's rates never change, so that one pair has one quote."""
    return Quote(
        quote_id=f"QUOTE-{source}-{target}",
        quote_currency_pair=f"{source}/{target}",
        quote_price=f"{wallets.price(source, target):f}",
        base_currency=source,
        quote_unit="1",
    )
