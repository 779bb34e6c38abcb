"""The books agree after any run, and a difference anywhere is found and named."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tillgate.sandbox.audit import audit
from tillgate.sandbox.embedded import Sandbox

from .side import CLIENT, NOW, WALLETS, at, code_of, new_network, pay_request, refund_request
from .test_embedded import FOLDER, post

FAULTS = {
    "seed": 11,
    "lose_request": 0.05,
    "lose_reply": 0.05,
    "reset": 0.05,
    "duplicate": 0.1,
    "reorder": 0.05,
    "http_503": 0.05,
    "garbage": 0.05,
    "unknown_exception": 0.05,
}


def test_after_random_faults_all_books_agree():
    """Hundreds of messages side by side, many of them lost, doubled or cut; then the sums."""
    with Sandbox() as town:
        town.ask("PUT", "/sandbox/faults", FAULTS)
        with ThreadPoolExecutor(16) as tills:
            list(tills.map(lambda number: _one_sale(town, number), range(120)))
        town.ask("DELETE", "/sandbox/faults")
        town.advance(600)
        found = town.ask("GET", "/sandbox/ledger/check")
        assert found["problems"] == []
        assert found["agrees"] is True
        assert {row["client_id"] for row in found["acquirers"]} == {town.client_id}
        states = {payment["status"] for payment in town.payments()}
        assert {"succeeded", "closed"} <= states
        assert any(payment["refunds"] for payment in town.payments())


def _one_sale(town, number):
    dice = random.Random(number)
    customers = ("kakaopay_minji", "gcash_maria", "alipay_cn_fang", "tng_aisyah")
    code = town.code(customer=dice.choice(customers))
    amount = {"currency": dice.choice(("JPY", "USD")), "value": str(dice.randrange(1, 900))}
    order = f"A-{number}"
    body = {
        "paymentRequestId": order,
        "order": {"referenceOrderId": order, "orderDescription": "Tea", "orderAmount": amount},
        "paymentAmount": amount,
        "settlementStrategy": {"settlementCurrency": dice.choice(("JPY", "USD", "EUR"))},
        "paymentMethod": {"paymentMethodType": "CONNECT_WALLET", "paymentMethodId": code},
    }
    part = amount | {"value": str(max(1, int(amount["value"]) // 3))}
    steps = [("pay", body)] * 2
    if dice.random() < 0.3:
        steps.append(("cancelPayment", {"paymentRequestId": order}))
    for i in range(dice.randrange(3)):
        asked = {"paymentRequestId": order, "refundRequestId": f"{order}-{i}", "refundAmount": part}
        steps += [("refund", asked)] * 2
    for api, words in steps:
        try:
            post(town, FOLDER + api, words, timeout=0.3)
        except (OSError, ValueError):
            continue  # lost, cut or no JSON, as was asked for


# --- A difference is found


def sold():
    network, _ = new_network()
    network.pay(CLIENT, pay_request(code_of(network)), NOW)
    network.refund(CLIENT, refund_request(), at(1))
    return network


def problems(network, payments=None):
    payments = network.orders.latest(9) if payments is None else payments
    return audit(WALLETS, network.ledger, network.town.book, payments).problems


def test_nothing_is_wrong_with_a_paid_and_partly_refunded_payment():
    assert problems(sold()) == []


def spoil_balance(network):
    network.ledger.balances["kakaopay_minji"] -= 1


def spoil_ledger(network):
    network.ledger.entries.pop()


def spoil_book(network):
    network.town.book.entries.pop()


def spoil_book_of_payment(network):
    book = network.town.book
    id_ = network.orders.latest(1)[0].payment_id
    book.paid(network.orders.latest(1)[0], at(2))
    assert book.standing(id_) != (0, 0)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (spoil_balance, "customer kakaopay_minji"),
        (spoil_ledger, "wallet kakaopay"),
        (spoil_book, f"acquirer {CLIENT}"),
        (spoil_book_of_payment, "payment 20260131"),
    ],
)
def test_a_difference_is_named(spoil, named):
    network = sold()
    spoil(network)
    assert any(named in problem for problem in problems(network))


def test_a_payment_that_says_otherwise_is_named():
    network = sold()
    payment = network.orders.latest(1)[0]
    for lie in ({"refunds": ()}, {"settled_value": 5}, {"pay_to_value": 1}):
        assert problems(network, [replace(payment, **lie)]) != []
