"""What the acquirer is owed in another currency, and what the network leaves open about a pay."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs

from tillgate.alipayplus.messages import (
    Amount,
    InquiryRequest,
    PaymentFactor,
    SettlementStrategy,
)
from tillgate.core.money import Money
from tillgate.sandbox.choices import ExpiryFrom, IdempotentFields, InferredFields, Settlement
from tillgate.sandbox.settlement import quote, settled_value_of

from .side import CLIENT, NOW, WALLETS, at, code_of, new_network, pay_request, refund_request
from .test_network import words

USD = SettlementStrategy(settlement_currency="USD")


def sold(value="10000", settled_in=USD, **choices):
    network, _ = new_network(**choices)
    request = pay_request(code_of(network), value=value, settlement_strategy=settled_in)
    return network, request, network.pay(CLIENT, request, NOW)


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (Money("JPY", 10_000), "USD", 6_667),  # 10,000 yen at 150 are 66.67 dollars
        (Money("JPY", 1), "USD", 1),  # 0.67 of a cent
        (Money("IDR", 100), "KWD", 1),  # never less than one minor unit
        (Money("USD", 100), "JPY", 150),
        (Money("KWD", 1_000), "USD", 326),  # 1.000 dinar at 0.307
        (Money("JPY", 7), "JPY", 7),
    ],
)
def test_the_amount_times_the_price_rounded_half_up(amount, currency, expected):
    assert settled_value_of(WALLETS, amount, currency) == expected


def test_every_answer_about_a_paid_payment_tells_it():
    network, _, answer = sold()
    assert answer.settlement_amount == Amount(currency="USD", value="6667")
    assert answer.settlement_quote == quote(WALLETS, "JPY", "USD")
    assert answer.settlement_quote.quote_currency_pair == "JPY/USD"
    assert answer.settlement_quote.quote_price == "0.006666666667"
    inquired = network.inquire(CLIENT, InquiryRequest(payment_request_id="pay_1"), at(1))
    told = network.notification(network.orders.find("pay_1", at(1)))
    assert inquired.settlement_amount == told.settlement_amount == answer.settlement_amount
    refunded = network.refund(CLIENT, refund_request(value="2500"), at(2))
    assert refunded.settlement_amount == Amount(currency="USD", value="1667")


def test_refunds_settle_to_the_last_unit():
    network, _, _ = sold("1000")
    parts = [
        network.refund(CLIENT, refund_request(f"r{i}", "333" if i < 3 else "1"), at(i))
        for i in range(4)
    ]
    assert sum(int(part.settlement_amount.value) for part in parts) == 667
    assert network.town.book.standing(network.orders.find("pay_1", at(9)).payment_id) == (0, 0)


@pytest.mark.parametrize(
    ("settled_in", "choices"),
    [
        (None, {}),
        (SettlementStrategy(settlement_currency="JPY"), {}),
        (USD, {"settlement": Settlement.SILENT}),
    ],
)
def test_nothing_is_said_where_it_is_the_same_or_not_told(settled_in, choices):
    network, _, answer = sold(settled_in=settled_in, **choices)
    assert words(answer.result) == "S SUCCESS"
    assert not hasattr(answer, "settlement_amount")
    told = network.notification(network.orders.find("pay_1", at(1)))
    assert not hasattr(told, "settlement_amount")


def test_a_settlement_currency_without_a_rate_is_refused():
    _, _, answer = sold(settled_in=SettlementStrategy(settlement_currency="CHF"))
    assert words(answer.result) == "F CURRENCY_NOT_SUPPORT"


# --- What the pages leave open about a pay

CHANGES = {
    "order amount": lambda r: structs.replace(
        r, order=structs.replace(r.order, order_amount=Amount(currency="JPY", value="9"))
    ),
    "factor": lambda r: structs.replace(r, payment_factor=PaymentFactor()),
    "settlement": lambda r: structs.replace(
        r, settlement_strategy=SettlementStrategy(settlement_currency="JPY")
    ),
    "code": lambda r: structs.replace(
        r, payment_method=structs.replace(r.payment_method, payment_method_id="1")
    ),
    "the same": lambda r: structs.replace(r, payment_amount=Amount(currency="JPY", value=10000)),
}


@pytest.mark.parametrize(
    ("choice", "change", "expected"),
    [
        (IdempotentFields.CURRENT, "order amount", "F REPEAT_REQ_INCONSISTENT"),
        (IdempotentFields.CURRENT, "factor", "S SUCCESS"),
        (IdempotentFields.CURRENT, "settlement", "S SUCCESS"),
        (IdempotentFields.OLDER, "order amount", "S SUCCESS"),
        (IdempotentFields.OLDER, "factor", "F REPEAT_REQ_INCONSISTENT"),
        (IdempotentFields.OLDER, "settlement", "F REPEAT_REQ_INCONSISTENT"),
        *((choice, "code", "S SUCCESS") for choice in IdempotentFields),
        *((choice, "the same", "S SUCCESS") for choice in IdempotentFields),
    ],
)
def test_what_a_repeat_must_agree_with(choice, change, expected):
    network, request, _ = sold(idempotent_fields=choice)
    assert words(network.pay(CLIENT, CHANGES[change](request), at(1)).result) == expected
    assert len(network.ledger.entries) == 1


def test_fields_that_only_samples_show():
    _, _, answer = sold(inferred_fields=InferredFields.OPTIONAL)
    assert words(answer.result) == "S SUCCESS"
    network, _, answer = sold(inferred_fields=InferredFields.REQUIRED)
    assert words(answer.result) == "F PARAM_ILLEGAL"
    assert answer.result.result_message == "paymentFactor: is missing"
    assert len(network.orders) == 0


@pytest.mark.parametrize(
    ("choice", "lives_s"), [(ExpiryFrom.RECEIPT, 60), (ExpiryFrom.REQUEST_TIME, 57)]
)
def test_where_the_minute_of_an_order_begins(choice, lives_s):
    network, _ = new_network(expiry_from=choice)
    request = pay_request(code_of(network, "kakaopay_junho"))
    network.pay(CLIENT, request, NOW, asked_at=NOW - timedelta(seconds=3))
    assert network.orders.find("pay_1", NOW).expires_at == at(lives_s)
