import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tillgate.alipayplus.messages import (
    Amount,
    CancelRequest,
    InquiryRequest,
    PaymentFactor,
    PaymentMethod,
    SettlementStrategy,
)
from tillgate.core.errors import PaymentNotFound
from tillgate.sandbox.audit import audit
from tillgate.sandbox.choices import PayOnCancelled
from tillgate.sandbox.ledger import Kind
from tillgate.sandbox.network import NotWaiting

from .side import CLIENT, NOW, WALLETS, at, code_of, new_network, pay_request, refund_request

CONFIRMS = "kakaopay_junho"
POOR = "kakaopay_sora"


def words(result) -> str:
    return f"{result.result_status.value} {result.result_code}"


def paid(customer: str = "kakaopay_minji", **changes):
    network, record = new_network()
    request = pay_request(code_of(network, customer), **changes)
    return network, record, request, network.pay(CLIENT, request, NOW)


def inquire(network, now=NOW, client=CLIENT, **ids):
    answer = network.inquire(
        client, InquiryRequest(**(ids or {"payment_request_id": "pay_1"})), now
    )
    second = f" / {words(answer.payment_result)}" if answer.payment_result else ""
    return words(answer.result) + second


def cancel(network, now=NOW, client=CLIENT, **ids):
    request = CancelRequest(**(ids or {"payment_request_id": "pay_1"}))
    return words(network.cancel(client, request, now).result)


def test_a_paid_payment_has_the_fields_of_the_guides_sample():
    network, _, _, answer = paid()
    assert words(answer.result) == "S SUCCESS"
    assert answer.acquirer_id == "2021228100000000"
    assert answer.psp_id == "1022172000000000001"
    assert answer.payment_id.startswith("20260131")
    assert len(answer.payment_id) == 35
    assert answer.payment_id.isdigit()
    assert answer.payment_amount == Amount(currency="JPY", value="100")
    assert answer.payment_time == "2026-01-31T20:00:00+08:00"
    assert answer.customer_id == WALLETS.customer("kakaopay_minji").network_id
    assert answer.wallet_brand_name == "KAKAOPAY"
    assert network.ledger.net_debit(answer.payment_id) == 100
    spent = WALLETS.customer("kakaopay_minji").balance - network.ledger.balances["kakaopay_minji"]
    assert spent == 920  # JPY 100 at 150, KRW at 1380 to the dollar


def _with(field, **changes):
    return lambda request: structs.replace(
        request, **{field: structs.replace(getattr(request, field), **changes)}
    )


ILLEGAL = {
    "order.orderAmount.value": _with("order", order_amount=Amount(currency="JPY", value="0")),
    "paymentAmount.value": _with("payment_amount", value="1.5"),
    "paymentAmount.value ": _with("payment_amount", value=-1),
    "paymentAmount.value  ": _with("payment_amount", value="1000000000000"),
    "paymentAmount.value   ": _with("payment_amount", value="٣"),
    "paymentAmount.currency": _with("payment_amount", currency="yen"),
    "paymentMethod.paymentMethodType": _with("payment_method", payment_method_type="CARD"),
    "paymentFactor.inStorePaymentScenario": lambda r: structs.replace(
        r, payment_factor=PaymentFactor(in_store_payment_scenario="OrderCode")
    ),
    "paymentFactor.isInStorePayment": lambda r: structs.replace(
        r, payment_factor=PaymentFactor(is_in_store_payment="false")
    ),
    "paymentExpiryTime": lambda r: structs.replace(r, payment_expiry_time="2026-01-31T12:00:00"),
    "paymentNotifyUrl": lambda r: structs.replace(r, payment_notify_url="ftp://x/"),
    "paymentNotifyUrl ": lambda r: structs.replace(r, payment_notify_url="http://[::1/"),
    "paymentNotifyUrl  ": lambda r: structs.replace(r, payment_notify_url="http://x/a b"),
}


@pytest.mark.parametrize("field", ILLEGAL)
def test_an_illegal_parameter_is_named_and_uses_nothing_up(field):
    network, _ = new_network()
    request = pay_request(code_of(network))
    answer = network.pay(CLIENT, ILLEGAL[field](request), NOW)
    assert words(answer.result) == "F PARAM_ILLEGAL"
    assert answer.result.result_message.startswith(field.strip() + ":")
    assert inquire(network) == "F ORDER_NOT_EXIST"
    assert words(network.pay(CLIENT, request, NOW).result) == "S SUCCESS"


@pytest.mark.parametrize(
    ("customer", "changes", "expected"),
    [
        (POOR, {}, "F USER_BALANCE_NOT_ENOUGH"),
        (POOR, {"value": "54"}, "S SUCCESS"),  # KRW 497 of 500
        (POOR, {"value": "55"}, "F USER_BALANCE_NOT_ENOUGH"),  # KRW 506
        ("kakaopay_minji", {"currency": "CHF"}, "F CURRENCY_NOT_SUPPORT"),
        ("kakaopay_minji", {"currency": "USD", "value": 100}, "S SUCCESS"),
        (
            "kakaopay_minji",
            {"currency": "USD", "value": "999999999999"},
            "F USER_BALANCE_NOT_ENOUGH",
        ),
        (CONFIRMS, {}, "U PAYMENT_IN_PROCESS"),
        ("alipay_cn_qiang", {"value": "21126"}, "S SUCCESS"),  # CNY 999.96
        ("alipay_cn_qiang", {"value": "21128"}, "U PAYMENT_IN_PROCESS"),  # CNY 1000.06
        (
            "kakaopay_minji",
            {"payment_expiry_time": "2026-01-31T20:00:00+08:00"},
            "F ORDER_IS_CLOSED",
        ),
        ("kakaopay_minji", {"payment_expiry_time": "2026-01-31T20:30:01+08:30"}, "S SUCCESS"),
    ],
)
def test_what_the_wallet_says_is_the_answer_and_stays_it(customer, changes, expected):
    network, _, request, answer = paid(customer, **changes)
    assert words(answer.result) == expected
    assert words(network.pay(CLIENT, request, at(1)).result) == expected
    assert inquire(network, at(1)) == f"S SUCCESS / {expected}"
    debits = [entry.kind for entry in network.ledger.entries]
    assert debits == ([Kind.DEBIT] if expected == "S SUCCESS" else [])


def test_a_currency_that_nobody_knows_is_not_supported():
    _, _, _, answer = paid(currency="ZZZ")
    assert words(answer.result) == "F CURRENCY_NOT_SUPPORT"


@pytest.mark.parametrize("customer", ["kakaopay_minji", CONFIRMS, POOR])
def test_a_code_is_used_up_by_any_attempt(customer):
    network, _, request, _ = paid(customer)
    again = structs.replace(request, payment_request_id="pay_2")
    assert words(network.pay(CLIENT, again, at(1)).result) == "F INVALID_CODE"
    assert inquire(network, payment_request_id="pay_2") == "S SUCCESS / F INVALID_CODE"


def test_codes_that_are_unknown_or_expired_are_refused():
    network, _ = new_network()
    code = code_of(network)
    assert words(network.pay(CLIENT, pay_request("281006020", "a"), NOW).result) == "F INVALID_CODE"
    assert words(network.pay(CLIENT, pay_request(code, "b"), at(60)).result) == "F EXPIRED_CODE"


@pytest.mark.parametrize(
    "changes",
    [
        {"payment_amount": Amount(currency="JPY", value="101")},
        {"payment_amount": Amount(currency="USD", value="100")},
        {"payment_method": PaymentMethod(payment_method_type="CARD", payment_method_id="1")},
    ],
)
@pytest.mark.parametrize("customer", ["kakaopay_minji", CONFIRMS, POOR])
def test_a_repeat_with_other_values_is_inconsistent(customer, changes):
    network, _, request, _ = paid(customer)
    other = structs.replace(request, **changes)
    assert words(network.pay(CLIENT, other, at(1)).result) == "F REPEAT_REQ_INCONSISTENT"
    order = structs.replace(request.order, order_amount=Amount(currency="JPY", value="99"))
    other = structs.replace(request, order=order)
    assert words(network.pay(CLIENT, other, at(1)).result) == "F REPEAT_REQ_INCONSISTENT"


def test_a_repeat_may_have_another_code_and_another_spelling_of_the_amount():
    """The code is not among the compared fields, in either edition of the idempotency page."""
    network, _, request, answer = paid()
    method = structs.replace(request.payment_method, payment_method_id=code_of(network))
    amount = Amount(currency="JPY", value=100)
    other = structs.replace(request, payment_method=method, payment_amount=amount)
    assert network.pay(CLIENT, other, at(1)) == answer
    assert len(network.ledger.entries) == 1


def test_ids_belong_to_one_acquirer():
    network, _, _, answer = paid()
    assert inquire(network, client="OTHER") == "F ORDER_NOT_EXIST"
    assert inquire(network, client="OTHER", payment_id=answer.payment_id) == "F ORDER_NOT_EXIST"
    assert cancel(network, client="OTHER") == "F ORDER_NOT_EXIST"
    request = pay_request(code_of(network, "gcash_maria"))
    assert network.pay("OTHER", request, NOW).wallet_brand_name == "GCASH"


def test_an_inquiry_by_either_id_finds_it():
    network, _, _, answer = paid()
    for ids in ({"payment_request_id": "pay_1"}, {"payment_id": answer.payment_id}):
        found = network.inquire(CLIENT, InquiryRequest(**ids), NOW)
        assert found.payment_request_id == "pay_1"
        assert found.payment_id == answer.payment_id
        assert found.payment_amount == answer.payment_amount
        assert found.payment_time == answer.payment_time
        assert found.customer_id == answer.customer_id
    assert inquire(network, payment_id="1") == "F ORDER_NOT_EXIST"
    answer = network.inquire(CLIENT, InquiryRequest(), NOW)
    assert words(answer.result) == "F PARAM_ILLEGAL"
    assert words(network.cancel(CLIENT, CancelRequest(), NOW).result) == "F PARAM_ILLEGAL"


def test_the_customer_confirms_or_declines():
    for act, expected in (
        ("confirm", "S SUCCESS"),
        ("decline", "F USER_PAYMENT_VERIFICATION_FAILED"),
    ):
        network, _, request, _ = paid(CONFIRMS)
        payment = getattr(network, act)("pay_1", at(30))
        assert words(payment.result) == expected
        assert inquire(network, at(31)) == f"S SUCCESS / {expected}"
        assert words(network.pay(CLIENT, request, at(31)).result) == expected
        assert [p.payment_id for p in network.take_finals()] == [payment.payment_id]
        with pytest.raises(NotWaiting):
            network.confirm("pay_1", at(32))


def test_the_balance_is_looked_at_again_when_the_customer_confirms():
    network, _, _, _ = paid(CONFIRMS, value="300000")
    second = pay_request(code_of(network, CONFIRMS), "pay_2", "300000")
    network.pay(CLIENT, second, NOW)
    assert words(network.confirm("pay_1", at(1)).result) == "S SUCCESS"
    assert words(network.confirm("pay_2", at(1)).result) == "F USER_BALANCE_NOT_ENOUGH"


def test_nobody_confirms_what_does_not_exist():
    network, _ = new_network()
    with pytest.raises(PaymentNotFound):
        network.decline("pay_1", NOW)


@pytest.mark.parametrize(
    ("asked", "life_s"),
    [
        (None, 60),
        ("2026-01-31T12:00:60Z".replace(":60", ":59"), 59),
        ("2026-01-31T12:01:00+00:00", 60),
        ("2026-01-31T12:10:00+00:00", 60),
        ("2026-01-31T20:30:10.500+08:30", 10.5),
    ],
)
def test_an_unpaid_order_closes_at_the_earlier_of_the_two_expiries(asked, life_s):
    network, _, request, _ = paid(CONFIRMS, payment_expiry_time=asked)
    just_before = at(life_s) - timedelta(milliseconds=1)
    assert network.expire(just_before) == at(life_s)
    assert inquire(network, just_before) == "S SUCCESS / U PAYMENT_IN_PROCESS"
    assert network.take_finals() == []
    assert network.expire(at(life_s)) is None
    assert inquire(network, at(life_s)) == "S SUCCESS / F ORDER_IS_CLOSED"
    assert words(network.pay(CLIENT, request, at(life_s)).result) == "F ORDER_IS_CLOSED"
    assert [words(p.result) for p in network.take_finals()] == ["F ORDER_IS_CLOSED"]
    assert network.ledger.entries == []


@pytest.mark.parametrize("look", ["pay", "inquire", "confirm"])
def test_expiry_holds_even_before_the_timer_comes(look):
    network, _, request, _ = paid(CONFIRMS)
    if look == "pay":
        assert words(network.pay(CLIENT, request, at(60)).result) == "F ORDER_IS_CLOSED"
    elif look == "inquire":
        assert inquire(network, at(60)) == "S SUCCESS / F ORDER_IS_CLOSED"
    else:
        with pytest.raises(NotWaiting):
            network.confirm("pay_1", at(60))
    network.expire(at(61))
    assert len(network.take_finals()) == 1  # told once, whoever looked first


@pytest.mark.parametrize("customer", ["kakaopay_minji", CONFIRMS, POOR])
@pytest.mark.parametrize("seconds", [1, 70])
def test_a_cancel_works_whatever_the_status_and_gives_the_money_back(customer, seconds):
    network, _, request, answer = paid(customer)
    network.take_finals()
    assert cancel(network, at(seconds)) == "S SUCCESS"
    network.take_finals()
    assert cancel(network, at(seconds + 1)) == "S SUCCESS"
    assert inquire(network, at(seconds + 1)) == "S SUCCESS / F ORDER_IS_CLOSED"
    assert words(network.pay(CLIENT, request, at(seconds + 1)).result) == "F ORDER_IS_CLOSED"
    was_paid = answer.payment_id is not None
    kinds = [entry.kind for entry in network.ledger.entries]
    assert kinds == ([Kind.DEBIT, Kind.CREDIT] if was_paid else [])
    assert network.ledger.balances[customer] == WALLETS.customer(customer).balance
    assert network.take_finals() == []  # the acquirer asked for it
    if customer == CONFIRMS:
        with pytest.raises(NotWaiting):
            network.confirm("pay_1", at(2))


def test_a_cancel_by_payment_id():
    network, _, _, answer = paid()
    assert cancel(network, payment_id=answer.payment_id) == "S SUCCESS"
    assert network.ledger.net_debit(answer.payment_id) == 0


def test_a_cancel_of_nothing():
    network, _ = new_network()
    assert cancel(network) == "F ORDER_NOT_EXIST"


@pytest.mark.parametrize(
    ("placed", "closes"),
    [
        # 23:59 in UTC+8: sixteen minutes later it is over.
        (datetime(2026, 1, 31, 15, 59, tzinfo=UTC), datetime(2026, 1, 31, 16, 15, tzinfo=UTC)),
        # Midnight in UTC+8: a day and a quarter of an hour.
        (datetime(2026, 1, 31, 16, 0, tzinfo=UTC), datetime(2026, 2, 1, 16, 15, tzinfo=UTC)),
    ],
)
def test_the_cancel_window(placed, closes):
    for moment, expected in (
        (closes - timedelta(seconds=1), "S SUCCESS"),
        (closes, "F CANCEL_WINDOW_EXCEED"),
    ):
        network, _ = new_network()
        network.pay(CLIENT, pay_request(code_of(network, now=placed)), placed)
        assert cancel(network, moment) == expected
    network, _ = new_network()
    network.pay(CLIENT, pay_request(code_of(network, now=placed)), placed)
    cancel(network, placed)
    assert cancel(network, closes + timedelta(days=9)) == "S SUCCESS"  # once done, S for ever


def test_the_wallets_conversation_is_noted():
    _, record, _, answer = paid()
    rows = [(e.sender, e.receiver, e.api, e.kind, e.result) for e in record.of("pay_1")]
    assert rows == [
        ("network", "wallet", "pay", "request", None),
        ("wallet", "network", "pay", "response", "S/SUCCESS"),
    ]
    assert {e.payment_id for e in record.of(None)} == {answer.payment_id}
    assert {e.signature for e in record.of(None)} == {"none (inside the sandbox)"}


def test_a_code_of_nobody_reaches_no_wallet():
    network, record = new_network()
    network.pay(CLIENT, pay_request("281006020000000000000000"), NOW)
    assert list(record.of(None)) == []


def test_a_notification_tells_what_was_final_then():
    network, _, _, answer = paid()
    (final,) = network.take_finals()
    cancel(network)
    told = network.notification(final)
    assert words(told.payment_result) == "S SUCCESS"
    assert told.payment_id == answer.payment_id
    assert told.payment_amount == answer.payment_amount
    assert told.customer_id == answer.customer_id
    network, _, _, _ = paid(POOR)
    (final,) = network.take_finals()
    told = network.notification(final)
    assert words(told.payment_result) == "F USER_BALANCE_NOT_ENOUGH"
    assert told.payment_request_id == "pay_1"
    assert told.payment_amount is None


def test_who_gave_no_address_is_told_nothing():
    network, _, _, _ = paid(payment_notify_url=None)
    assert network.take_finals() == []


def test_a_payment_id_is_never_given_twice():
    draws = iter(["0" * 16, "1" * 16, "5" * 17, "5" * 17, "6" * 17])
    network, _ = new_network()
    network._digits = lambda count: next(draws)
    network.codes._digits = network._digits
    codes = [code_of(network), code_of(network)]
    ids = {network.pay(CLIENT, pay_request(c, c), NOW).payment_id for c in codes}
    assert len(ids) == 2


CUSTOMERS = [customer.id for customer in WALLETS.customers()]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "pay",
                "repeat",
                "confirm",
                "decline",
                "cancel",
                "inquire",
                "expire",
                "refund",
                "refund",
            ]
        ),
        st.integers(0, 5),  # which payment
        st.sampled_from(CUSTOMERS),
        st.sampled_from(["JPY", "USD", "KWD", "CNY", "CHF"]),
        st.integers(1, 30_000),
        st.sampled_from([0, 1, 30, 61, 40_000]),  # seconds that pass
    ),
    max_size=30,
)


@settings(max_examples=120, deadline=None)
@given(STEPS, st.sampled_from(PayOnCancelled))
def test_the_books_always_agree(steps, pay_on_cancelled):
    """Balances are the opening ones less what was booked; a payment is debited at most once, and
    what is not paid, or was refunded, is given back.
    """
    network, _ = new_network(pay_on_cancelled=pay_on_cancelled)
    now, requests = NOW, {}
    for act, number, customer, currency, value, passes in steps:
        now += timedelta(seconds=passes)
        id_ = f"pay_{number}"
        if act == "pay" and id_ not in requests:
            code = code_of(network, customer, now)
            settled_in = SettlementStrategy(settlement_currency=("JPY", "USD", "KWD")[value % 3])
            requests[id_] = pay_request(
                code, id_, str(value), currency=currency, settlement_strategy=settled_in
            )
        if act in ("pay", "repeat") and id_ in requests:
            network.pay(CLIENT, requests[id_], now)
        elif act == "cancel":
            cancel(network, now, payment_request_id=id_)
        elif act == "inquire":
            inquire(network, now, payment_request_id=id_)
        elif act == "expire":
            network.expire(now)
        elif act == "refund":
            _refund_some(network, requests.get(id_), value, now)
        elif id_ in requests:
            with contextlib.suppress(NotWaiting):
                getattr(network, act if act != "pay" else "confirm")(id_, now)
        _books_agree(network, now)


def _refund_some(network, request, value, now):
    """A third of the payment, or any value; sometimes under an id that was used before."""
    if request is None:
        return
    paid = request.payment_amount
    part = max(1, int(paid.value) // 3) if value % 2 else value
    id_ = f"refund_{value % 7}_{request.payment_request_id}"
    asked = refund_request(id_, part, paid.currency, payment_request_id=request.payment_request_id)
    network.refund(CLIENT, asked, now)


def _books_agree(network, now):
    every = network.orders.latest(100)
    assert audit(WALLETS, network.ledger, network.town.book, every).problems == []
    left = {customer.id: customer.balance for customer in WALLETS.customers()}
    for entry in network.ledger.entries:
        sign = -1 if entry.kind is Kind.DEBIT else 1
        left[entry.customer.id] += sign * entry.pay_to_value
    assert left == network.ledger.balances
    assert min(left.values()) >= 0
    for payment in network.orders.latest(100):
        network.inquire(CLIENT, InquiryRequest(payment_id=payment.payment_id), now)
        payment = network.orders[payment.payment_id]
        kinds = [entry.kind for entry in network.ledger.of_payment(payment.payment_id)]
        credits = len(payment.refunds) or (payment.state == "closed" and len(kinds) > 0)
        assert kinds in ([], [Kind.DEBIT] + [Kind.CREDIT] * credits)
        is_paid = payment.state == "succeeded"
        assert is_paid or not payment.refunds
        owed = payment.amount.value - sum(r.amount.value for r in payment.refunds)
        owed_pay_to = payment.pay_to_value - sum(r.pay_to_value for r in payment.refunds)
        assert network.ledger.net_debit(payment.payment_id) == (owed if is_paid else 0)
        assert network.ledger.net_pay_to(payment.payment_id) == (owed_pay_to if is_paid else 0)
        assert owed >= 0
        assert owed_pay_to >= 0
        assert owed_pay_to == 0 or owed > 0 or not is_paid
        assert (payment.finished_at is None) == (payment.state == "in_process")


def test_a_payment_never_shows_its_code():
    network, _, request, _ = paid()
    payment = network.orders.find("pay_1", NOW)
    assert request.payment_method.payment_method_id not in repr(replace(payment))
    assert payment.masked_code.startswith("281006****")
