from datetime import timedelta

import pytest
from msgspec import structs

from tillgate.alipayplus.messages import Amount, InquiryRequest
from tillgate.sandbox.ledger import Kind

from .side import CLIENT, NOW, WALLETS, at, refund_request
from .test_network import CONFIRMS, POOR, cancel, inquire, paid, words


def refund(network, *args, now=None, client=CLIENT, **changes):
    return network.refund(client, refund_request(*args, **changes), now or at(10))


def test_a_refund_answers_with_its_fields_and_moves_the_money():
    network, _, _, answer = paid()
    given = refund(network)
    assert words(given.result) == "S SUCCESS"
    assert given.acquirer_id == answer.acquirer_id
    assert given.psp_id == answer.psp_id
    assert given.refund_amount == Amount(currency="JPY", value="40")
    assert given.refund_time == "2026-01-31T20:00:10+08:00"
    assert len(given.refund_id) == 35
    assert given.refund_id.startswith("20260131")
    entry = network.ledger.entries[-1]
    assert (entry.kind, entry.amount.value, entry.pay_to_value) == (Kind.CREDIT, 40, 368)
    opening = WALLETS.customer("kakaopay_minji").balance
    assert network.ledger.balances["kakaopay_minji"] == opening - 920 + 368


@pytest.mark.parametrize(
    ("currency", "value", "parts", "shares"),
    [
        ("JPY", "100", [100], [920]),
        ("JPY", "100", [33, 33, 34], [304, 303, 313]),
        ("JPY", "7", [1] * 7, [9, 9, 9, 10, 9, 9, 9]),  # KRW 64
        ("CNY", "1", [1], [2]),  # KRW 1.94
        ("USD", "3", [1, 1, 1], [14, 13, 14]),  # KRW 41
    ],
)
def test_parts_add_up_to_what_the_customer_paid(currency, value, parts, shares):
    network, _, _, answer = paid(currency=currency, value=value)
    for number, part in enumerate(parts):
        assert words(refund(network, f"r{number}", part, currency).result) == "S SUCCESS"
    credits = [e.pay_to_value for e in network.ledger.entries if e.kind is Kind.CREDIT]
    assert credits == shares
    assert network.ledger.net_debit(answer.payment_id) == 0
    assert network.ledger.net_pay_to(answer.payment_id) == 0
    assert words(refund(network, "more", 1, currency).result) == "F REFUND_AMOUNT_EXCEED"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "same"),
        ({"refund_amount": Amount(currency="JPY", value=40)}, "same"),
        ({"refund_amount": Amount(currency="JPY", value="040")}, "same"),
        ({"refund_reason": "another"}, "same"),
        ({"refund_amount": Amount(currency="JPY", value="41")}, "F REPEAT_REQ_INCONSISTENT"),
        ({"refund_amount": Amount(currency="USD", value="40")}, "F REPEAT_REQ_INCONSISTENT"),
        ({"payment_request_id": "pay_2"}, "F REPEAT_REQ_INCONSISTENT"),
        ({"payment_request_id": None, "payment_id": "1"}, "F REPEAT_REQ_INCONSISTENT"),
    ],
)
def test_a_repeat_is_the_same_answer_or_inconsistent(changes, expected):
    network, _, _, _ = paid()
    first = refund(network)
    again = network.refund(CLIENT, structs.replace(refund_request(), **changes), at(400 * 86_400))
    assert (words(again.result) if again != first else "same") == expected
    assert len(network.ledger.entries) == 2


def test_a_repeat_may_name_the_payment_by_its_other_id():
    network, _, _, answer = paid()
    assert refund(network) == refund(network, payment_id=answer.payment_id, now=at(11))
    assert refund(network, "refund_2", payment_id=answer.payment_id) != refund(network)


@pytest.mark.parametrize(
    ("customer", "before", "request_", "expected"),
    [
        ("kakaopay_minji", None, ("r", "101"), "F REFUND_AMOUNT_EXCEED"),
        ("kakaopay_minji", "refund", ("r", "61"), "F REFUND_AMOUNT_EXCEED"),
        ("kakaopay_minji", "refund", ("r", "60"), "S SUCCESS"),
        ("kakaopay_minji", None, ("r", "40", "USD"), "F CURRENCY_NOT_SUPPORT"),
        ("kakaopay_minji", "cancel", ("r", "40"), "F ORDER_STATUS_INVALID"),
        (CONFIRMS, None, ("r", "40"), "F ORDER_STATUS_INVALID"),
        (CONFIRMS, "confirm", ("r", "40"), "S SUCCESS"),
        (POOR, None, ("r", "40"), "F ORDER_STATUS_INVALID"),
    ],
)
def test_what_can_be_refunded(customer, before, request_, expected):
    network, _, _, _ = paid(customer)
    if before == "refund":
        refund(network)
    elif before == "cancel":
        cancel(network)
    elif before == "confirm":
        network.confirm("pay_1", at(1))
    booked = len(network.ledger.entries)
    assert words(refund(network, *request_).result) == expected
    assert len(network.ledger.entries) - booked == (expected == "S SUCCESS")


@pytest.mark.parametrize("ids", [{"payment_request_id": "pay_9"}, {"payment_id": "1"}])
def test_an_order_that_does_not_exist(ids):
    network, _, _, _ = paid()
    assert words(refund(network, **ids).result) == "F ORDER_NOT_EXIST"


def test_refunds_belong_to_one_acquirer():
    network, _, _, answer = paid()
    for ids in ({}, {"payment_id": answer.payment_id}):
        assert words(refund(network, client="OTHER", **ids).result) == "F ORDER_NOT_EXIST"


def test_a_refused_refund_leaves_its_id_free():
    network, _, _, _ = paid(CONFIRMS)
    assert words(refund(network).result) == "F ORDER_STATUS_INVALID"
    network.confirm("pay_1", at(11))
    assert words(refund(network, value="50", now=at(12)).result) == "S SUCCESS"


def test_the_refund_window_is_365_days_from_the_payment():
    network, _, _, _ = paid(CONFIRMS)
    network.confirm("pay_1", at(30))
    end = at(30) + timedelta(days=365)
    moment_before = end - timedelta(seconds=1)
    assert words(refund(network, "a", "1", now=moment_before).result) == "S SUCCESS"
    assert words(refund(network, "b", "1", now=end).result) == "F REFUND_WINDOW_EXCEED"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"refund_amount": Amount(currency="JPY", value="0")}, "refundAmount.value"),
        ({"refund_amount": Amount(currency="yen", value="1")}, "refundAmount.currency"),
        ({"payment_request_id": None}, "paymentRequestId"),
    ],
)
def test_an_illegal_parameter_is_named(changes, named):
    network, _, _, _ = paid()
    answer = network.refund(CLIENT, structs.replace(refund_request(), **changes), NOW)
    assert words(answer.result) == "F PARAM_ILLEGAL"
    assert answer.result.result_message.startswith(named + ":")


@pytest.mark.parametrize("value", ["1", "100"])
def test_what_was_refunded_cannot_be_cancelled_but_stays_paid(value):
    network, _, request, answer = paid()
    refund(network, "r", value)
    assert cancel(network, at(20)) == "F PROCESS_FAIL"
    assert inquire(network, at(20)) == "S SUCCESS / S SUCCESS"
    assert network.pay(CLIENT, request, at(20)) == answer
    assert len(network.ledger.entries) == 2


def test_an_inquiry_lists_the_refunds_in_order():
    network, _, _, _ = paid()
    asked = InquiryRequest(payment_request_id="pay_1")
    assert network.inquire(CLIENT, asked, NOW).transactions is None
    answers = [refund(network, id_, value) for id_, value in (("a", "10"), ("b", "20"))]
    listed = network.inquire(CLIENT, asked, at(20)).transactions
    assert [t.transaction_type for t in listed] == ["REFUND", "REFUND"]
    assert [words(t.transaction_result) for t in listed] == ["S SUCCESS"] * 2
    assert [t.transaction_status for t in listed] == ["SUCCESS"] * 2
    assert [t.transaction_request_id for t in listed] == ["a", "b"]
    assert [t.transaction_id for t in listed] == [a.refund_id for a in answers]
    assert [t.transaction_amount for t in listed] == [a.refund_amount for a in answers]
    assert [t.transaction_time for t in listed] == [a.refund_time for a in answers]
