"""What the public pages leave open: each choice, one table."""

import pytest
from msgspec import structs

from tillgate.alipayplus.messages import Amount, InquiryRequest
from tillgate.sandbox.choices import (
    DEFAULTS,
    CancelledInquiry,
    Choices,
    PayOnCancelled,
    RefundListing,
    SuccessAmount,
    UnknownCancel,
)

from .side import CLIENT, NOW, WALLETS, at, code_of, new_network, pay_request, refund_request
from .test_network import CONFIRMS, POOR, cancel, inquire, words

MINJI = "kakaopay_minji"


def test_every_choice_has_evidence_and_the_first_word_is_the_default():
    for name, field in Choices.__dataclass_fields__.items():
        words = type(getattr(DEFAULTS, name))
        assert getattr(DEFAULTS, name) is next(iter(words)), field
        assert name in Choices.__doc__


@pytest.mark.parametrize("pay_on_cancelled", PayOnCancelled)
@pytest.mark.parametrize(
    ("choice", "cancelled", "inquired", "paid"),
    [
        (UnknownCancel.ORDER_NOT_EXIST, "F ORDER_NOT_EXIST", "F ORDER_NOT_EXIST", "S SUCCESS"),
        (
            UnknownCancel.S_CLOSES_IT,
            "S SUCCESS",
            "S SUCCESS / F ORDER_IS_CLOSED",
            "F ORDER_IS_CLOSED",
        ),
        (UnknownCancel.S_FORGETS_IT, "S SUCCESS", "F ORDER_NOT_EXIST", "S SUCCESS"),
    ],
)
def test_a_cancel_of_an_id_that_never_came(choice, cancelled, inquired, paid, pay_on_cancelled):
    network, _ = new_network(unknown_cancel=choice, pay_on_cancelled=pay_on_cancelled)
    assert cancel(network) == cancelled
    assert cancel(network, at(1)) == cancelled
    assert inquire(network, at(1)) == inquired
    request = pay_request(code_of(network))
    assert words(network.pay(CLIENT, request, at(2)).result) == paid
    assert words(network.pay(CLIENT, request, at(3)).result) == paid
    assert len(network.ledger.entries) == (paid == "S SUCCESS")
    other = pay_request(code_of(network), "pay_2")
    assert words(network.pay(CLIENT, other, at(3)).result) == "S SUCCESS"
    assert words(network.pay("OTHER", pay_request(code_of(network)), at(3)).result) == "S SUCCESS"


@pytest.mark.parametrize("choice", UnknownCancel)
def test_a_payment_id_that_was_never_given_out_is_no_order(choice):
    network, _ = new_network(unknown_cancel=choice)
    assert cancel(network, payment_id="1") == "F ORDER_NOT_EXIST"
    assert cancel(network, payment_id="1", payment_request_id="pay_1") == "F ORDER_NOT_EXIST"
    assert inquire(network, payment_id="1", payment_request_id="pay_1") == "F ORDER_NOT_EXIST"


@pytest.mark.parametrize(
    ("choice", "customer", "again", "kinds"),
    [
        (PayOnCancelled.REFUSED, MINJI, "F ORDER_IS_CLOSED", "dc"),
        (PayOnCancelled.REFUSED, CONFIRMS, "F ORDER_IS_CLOSED", ""),
        (PayOnCancelled.REFUSED, POOR, "F ORDER_IS_CLOSED", ""),
        (PayOnCancelled.TAKEN, MINJI, "S SUCCESS", "dcd"),
        (PayOnCancelled.TAKEN, CONFIRMS, "U PAYMENT_IN_PROCESS", ""),
        (PayOnCancelled.TAKEN, POOR, "F USER_BALANCE_NOT_ENOUGH", ""),
    ],
)
def test_a_pay_on_a_cancelled_id(choice, customer, again, kinds):
    network, _ = new_network(pay_on_cancelled=choice)
    request = pay_request(code_of(network, customer))
    network.pay(CLIENT, request, NOW)
    cancel(network, at(1))
    assert words(network.pay(CLIENT, request, at(2)).result) == again
    assert words(network.pay(CLIENT, request, at(3)).result) == again
    assert inquire(network, at(3)) == f"S SUCCESS / {again}"
    assert "".join(entry.kind[0] for entry in network.ledger.entries) == kinds
    assert len(network.orders) == (2 if choice is PayOnCancelled.TAKEN else 1)


def test_an_id_that_starts_over_leaves_the_cancelled_payment_as_it_was():
    network, _ = new_network(pay_on_cancelled=PayOnCancelled.TAKEN)
    request = pay_request(code_of(network))
    first = network.pay(CLIENT, request, NOW)
    cancel(network, at(1))
    other = structs.replace(request, payment_amount=Amount(currency="JPY", value="7"))
    second = network.pay(CLIENT, other, at(2))
    assert words(second.result) == "S SUCCESS"
    assert second.payment_id != first.payment_id
    assert network.ledger.net_debit(first.payment_id) == 0
    assert network.ledger.net_debit(second.payment_id) == 7
    assert inquire(network, at(3), payment_id=first.payment_id) == "S SUCCESS / F ORDER_IS_CLOSED"
    assert cancel(network, at(3), payment_id=first.payment_id) == "S SUCCESS"
    assert network.ledger.net_debit(second.payment_id) == 7
    assert [p.payment_id for p in network.orders.latest(9)] == [first.payment_id, second.payment_id]
    assert cancel(network, at(4)) == "S SUCCESS"
    assert network.ledger.balances[MINJI] == WALLETS.customer(MINJI).balance


def test_an_id_that_starts_over_still_needs_a_living_code():
    network, _ = new_network(pay_on_cancelled=PayOnCancelled.TAKEN)
    request = pay_request(code_of(network))
    network.pay(CLIENT, request, NOW)
    cancel(network, at(1))
    other = structs.replace(request, payment_request_id="pay_2")
    assert words(network.pay(CLIENT, other, at(2)).result) == "F INVALID_CODE"
    assert words(network.pay(CLIENT, request, at(60)).result) == "F EXPIRED_CODE"


@pytest.mark.parametrize("choice", PayOnCancelled)
def test_an_order_that_expired_never_starts_over(choice):
    network, _ = new_network(pay_on_cancelled=choice)
    request = pay_request(code_of(network, CONFIRMS, at(30)))
    network.pay(CLIENT, request, at(30))
    assert words(network.pay(CLIENT, request, at(90)).result) == "F ORDER_IS_CLOSED"


CLOSED, LISTED = CancelledInquiry.F_ORDER_IS_CLOSED, CancelledInquiry.S_WITH_CANCEL_TRANSACTION


@pytest.mark.parametrize(
    ("choice", "customer", "expected", "types"),
    [
        (CLOSED, MINJI, "F ORDER_IS_CLOSED", []),
        (CLOSED, CONFIRMS, "F ORDER_IS_CLOSED", []),
        (LISTED, MINJI, "S SUCCESS", ["CANCEL"]),
        (LISTED, CONFIRMS, "F ORDER_IS_CLOSED", ["CANCEL"]),
        (LISTED, POOR, "F ORDER_IS_CLOSED", ["CANCEL"]),
    ],
)
def test_an_inquiry_of_a_cancelled_payment(choice, customer, expected, types):
    network, _ = new_network(cancelled_inquiry=choice)
    request = pay_request(code_of(network, customer))
    answer = network.pay(CLIENT, request, NOW)
    cancel(network, at(5))
    told = network.inquire(CLIENT, InquiryRequest(payment_request_id="pay_1"), at(9))
    assert words(told.result) == "S SUCCESS"
    assert words(told.payment_result) == expected
    assert [t.transaction_type for t in told.transactions or []] == types
    if types:
        (listed,) = told.transactions
        assert words(listed.transaction_result) == "S SUCCESS"
        assert listed.transaction_status == "SUCCESS"
        assert listed.transaction_amount == Amount(currency="JPY", value="100")
        assert listed.transaction_time == "2026-01-31T20:00:05+08:00"
    if expected == "S SUCCESS":
        assert told.payment_time == answer.payment_time
        assert told.customer_id == answer.customer_id
    assert words(network.pay(CLIENT, request, at(9)).result) == "F ORDER_IS_CLOSED"


@pytest.mark.parametrize(("choice", "types"), [(CLOSED, []), (LISTED, ["CANCEL"])])
def test_an_inquiry_of_what_was_closed_before_it_came(choice, types):
    network, _ = new_network(cancelled_inquiry=choice, unknown_cancel=UnknownCancel.S_CLOSES_IT)
    cancel(network)
    told = network.inquire(CLIENT, InquiryRequest(payment_request_id="pay_1"), at(1))
    assert words(told.payment_result) == "F ORDER_IS_CLOSED"
    assert [t.transaction_type for t in told.transactions or []] == types


def test_an_expired_order_has_no_cancel_in_its_transactions():
    network, _ = new_network(cancelled_inquiry=LISTED)
    network.pay(CLIENT, pay_request(code_of(network, CONFIRMS)), NOW)
    told = network.inquire(CLIENT, InquiryRequest(payment_request_id="pay_1"), at(60))
    assert (words(told.payment_result), told.transactions) == ("F ORDER_IS_CLOSED", None)


@pytest.mark.parametrize(
    ("choice", "amount"),
    [
        (SuccessAmount.WITH, Amount(currency="JPY", value="100")),
        (SuccessAmount.WITHOUT, None),
    ],
)
def test_answers_with_or_without_the_amount(choice, amount):
    network, _ = new_network(success_amount=choice)
    request = pay_request(code_of(network))
    for now in (NOW, at(1)):
        assert network.pay(CLIENT, request, now).payment_amount == amount
    told = network.inquire(CLIENT, InquiryRequest(payment_request_id="pay_1"), at(1))
    assert told.payment_amount == amount
    (final,) = network.take_finals()
    assert network.notification(final).payment_amount == Amount(currency="JPY", value="100")


@pytest.mark.parametrize(
    ("choice", "types"), [(RefundListing.LISTED, ["REFUND"]), (RefundListing.UNLISTED, [])]
)
def test_an_inquiry_that_lists_refunds_or_none(choice, types):
    network, _ = new_network(refund_listing=choice)
    network.pay(CLIENT, pay_request(code_of(network)), NOW)
    request = refund_request("ref_1", 40, payment_request_id="pay_1")
    assert words(network.refund(CLIENT, request, at(1)).result) == "S SUCCESS"
    told = network.inquire(CLIENT, InquiryRequest(payment_request_id="pay_1"), at(2))
    assert [each.transaction_type for each in told.transactions or []] == types
