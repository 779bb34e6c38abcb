"""Pay, inquire, cancel, refund and be notified: a client that knows nothing of Tillgate.

What is expected stands in the published facts, not in the sandbox's code.
"""

from __future__ import annotations

import ast
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from .client import NoAnswer

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", ["client.py", "shop.py"])
def test_the_client_has_nothing_of_ours(name):
    allowed = {"cryptography", "client", "urllib", "http"}
    standard = {"__future__", "base64", "collections", "contextlib", "dataclasses", "datetime"}
    standard |= {"json", "queue", "threading", "typing"}
    for node in ast.walk(ast.parse((HERE / name).read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                named = [node.module or ""]
            roots = {each.partition(".")[0] for each in named}
            assert roots <= allowed | standard, roots


def test_a_payment_is_paid_inquired_and_notified(desk):
    desk.acquirer.notify_url = desk.shop.url + "/alipay/notify?store=7&x=%2Fa"
    request_id = desk.new_id()
    answer = desk.acquirer.pay(request_id, desk.control.code(), 1000)
    assert answer.result == "S SUCCESS"
    paid = answer.message
    for name in ("acquirerId", "pspId", "paymentId", "customerId", "paymentTime"):
        assert 0 < len(paid[name]) <= 64
    assert paid["walletBrandName"] == "KAKAOPAY"
    assert paid["paymentAmount"] == {"currency": "JPY", "value": "1000"}
    assert datetime.fromisoformat(paid["paymentTime"]).tzinfo is not None

    inquired = desk.acquirer.inquire(paymentRequestId=request_id)
    assert (inquired.result, inquired.payment) == ("S SUCCESS", "S SUCCESS")
    for name in ("paymentId", "paymentTime", "customerId", "pspId", "acquirerId"):
        assert inquired.message[name] == paid[name]
    assert inquired.message["paymentRequestId"] == request_id

    told = desk.shop.heard()
    assert told.is_trusted
    assert told.path == "/alipay/notify?store=7&x=%2Fa"
    assert told.message["paymentResult"]["resultStatus"] == "S"
    assert told.message["paymentRequestId"] == request_id
    for name in ("paymentId", "paymentAmount", "customerId", "pspId", "acquirerId"):
        assert told.message[name] == paid[name]
    while not (notification := desk.control.payment(request_id)["notification"])["is_acknowledged"]:
        pass
    assert notification["sent_count"] == 1


def test_the_customer_confirms_later(desk):
    desk.acquirer.notify_url = desk.shop.url
    request_id = desk.waiting()
    assert desk.acquirer.inquire(paymentRequestId=request_id).payment == "U PAYMENT_IN_PROCESS"
    assert desk.shop.is_quiet()
    desk.control("POST", f"/sandbox/payments/{request_id}/confirm")
    assert desk.acquirer.inquire(paymentRequestId=request_id).payment == "S SUCCESS"
    assert desk.shop.heard().message["paymentResult"]["resultCode"] == "SUCCESS"


def test_a_pay_is_idempotent_by_its_id(desk):
    request_id, code = desk.new_id(), desk.control.code()
    first = desk.acquirer.pay(request_id, code, 1000)
    again = desk.acquirer.pay(request_id, code, 1000)
    assert (first.result, again.message) == ("S SUCCESS", first.message)
    assert desk.control.payment(request_id)["debits"] == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"paymentAmount": {"currency": "JPY", "value": "999"}}, "F REPEAT_REQ_INCONSISTENT"),
        ({"paymentAmount": {"currency": "USD", "value": "1000"}}, "F REPEAT_REQ_INCONSISTENT"),
        ({"order.orderAmount": {"currency": "JPY", "value": "9"}}, "F REPEAT_REQ_INCONSISTENT"),
        ({"order.orderDescription": "Tea"}, "S SUCCESS"),
        ({"paymentMethod.paymentMethodId": "281006020000000000000000"}, "S SUCCESS"),
        ({"paymentExpiryTime": "2099-01-01T00:00:00Z"}, "S SUCCESS"),
    ],
)
def test_only_the_checked_fields_of_a_repeat_must_agree(desk, change, expected):
    request_id = desk.new_id()
    order = desk.acquirer.pay_order(request_id, desk.control.code(), 1000)
    assert desk.acquirer.call("pay", order).result == "S SUCCESS"
    for path, value in change.items():
        inner = order
        *outer, last = path.split(".")
        for name in outer:
            inner = inner[name]
        inner[last] = value
    assert desk.acquirer.call("pay", order).result == expected
    assert desk.control.payment(request_id)["debits"] == 1


def test_an_order_that_nobody_pays_is_closed_after_a_minute(desk):
    desk.acquirer.notify_url = desk.shop.url
    request_id = desk.waiting()
    desk.control.advance(60)
    inquired = desk.acquirer.inquire(paymentRequestId=request_id)
    assert inquired.payment == "F ORDER_IS_CLOSED"
    assert desk.shop.heard().message["paymentResult"]["resultStatus"] == "F"


def test_a_code_lives_a_minute_and_works_once(desk):
    old, code = desk.control.code(), desk.control.code()
    assert desk.acquirer.pay(desk.new_id(), code, 100).result == "S SUCCESS"
    assert desk.acquirer.pay(desk.new_id(), code, 100).result == "F INVALID_CODE"
    desk.control.advance(60)
    assert desk.acquirer.pay(desk.new_id(), old, 100).result == "F EXPIRED_CODE"


def test_a_cancel_gives_the_money_back_once(desk):
    request_id = desk.paid()
    for _ in range(2):
        answer = desk.acquirer.cancel(paymentRequestId=request_id)
        assert answer.result == "S SUCCESS"
        assert answer.message["pspId"]
        assert answer.message["acquirerId"]
    shown = desk.control.payment(request_id)
    assert (shown["net_debit"], shown["credits"]) == (0, 1)


def test_a_cancelled_order_can_be_paid_no_more(desk):
    request_id = desk.waiting()
    assert desk.acquirer.cancel(paymentRequestId=request_id).result == "S SUCCESS"
    status, _ = desk.control("POST", f"/sandbox/payments/{request_id}/confirm")
    assert status == 409
    again = desk.acquirer.pay(request_id, desk.control.code(), 1000)
    assert again.result == "F ORDER_IS_CLOSED"
    assert desk.acquirer.inquire(paymentRequestId=request_id).payment == "F ORDER_IS_CLOSED"


def test_a_cancel_is_refused_from_a_quarter_past_midnight_on(desk):
    """00:15 UTC+8 of the day after the payment; a refund goes on."""
    desk.control("PUT", "/sandbox/clock", {"now": "2026-03-01T23:59:00+08:00", "frozen": True})
    early, late = desk.paid(), desk.paid()
    desk.control("PUT", "/sandbox/clock", {"now": "2026-03-02T00:14:59+08:00"})
    assert desk.acquirer.cancel(paymentRequestId=early).result == "S SUCCESS"
    desk.control("PUT", "/sandbox/clock", {"now": "2026-03-02T00:15:00+08:00"})
    assert desk.acquirer.cancel(paymentRequestId=late).result == "F CANCEL_WINDOW_EXCEED"
    refunded = desk.acquirer.refund("late", 1000, paymentRequestId=late)
    assert refunded.result == "S SUCCESS"


def test_refunds_in_parts_until_nothing_is_left(desk):
    request_id = desk.paid(1000)
    first = desk.acquirer.refund(f"{request_id}-1", 300, paymentRequestId=request_id)
    assert first.result == "S SUCCESS"
    assert first.message["refundAmount"] == {"currency": "JPY", "value": "300"}
    assert first.message["refundId"]
    assert first.message["refundTime"]
    payment_id = desk.acquirer.inquire(paymentRequestId=request_id).message["paymentId"]
    second = desk.acquirer.refund(f"{request_id}-2", 700, paymentId=payment_id)
    assert second.result == "S SUCCESS"
    more = desk.acquirer.refund(f"{request_id}-3", 1, paymentRequestId=request_id)
    assert more.result == "F REFUND_AMOUNT_EXCEED"
    inquired = desk.acquirer.inquire(paymentRequestId=request_id)
    assert inquired.payment == "S SUCCESS"
    listed = [
        (each["transactionType"], each["transactionRequestId"], each["transactionAmount"]["value"])
        for each in inquired.message["transactions"]
    ]
    assert listed == [("REFUND", f"{request_id}-1", "300"), ("REFUND", f"{request_id}-2", "700")]
    assert desk.control.payment(request_id)["net_debit"] == 0


def test_a_refund_is_idempotent_by_its_own_id(desk):
    request_id, other = desk.paid(1000), desk.paid(1000)
    refund_id = f"{request_id}-r"
    first = desk.acquirer.refund(refund_id, 300, paymentRequestId=request_id)
    again = desk.acquirer.refund(refund_id, 300, paymentRequestId=request_id)
    assert again.message == first.message
    for value, of in ((301, request_id), (300, other)):
        answer = desk.acquirer.refund(refund_id, value, paymentRequestId=of)
        assert answer.result == "F REPEAT_REQ_INCONSISTENT"
    assert desk.control.payment(request_id)["net_debit"] == 700
    assert desk.control.payment(other)["net_debit"] == 1000


def test_what_is_not_paid_or_too_old_is_not_refunded(desk):
    waiting, paid = desk.waiting(), desk.paid()
    answer = desk.acquirer.refund(f"{waiting}-r", 1, paymentRequestId=waiting)
    assert answer.result.startswith("F ")
    at = datetime.fromisoformat(desk.control.payment(paid)["paid_at"])
    for days, expected in ((364, "S SUCCESS"), (367, "F REFUND_WINDOW_EXCEED")):
        now = (at + timedelta(days=days)).isoformat()
        desk.control("PUT", "/sandbox/clock", {"now": now})
        answer = desk.acquirer.refund(f"{paid}-{days}", 1, paymentRequestId=paid)
        assert answer.result == expected


def test_an_order_that_never_was(desk):
    unknown = {"paymentRequestId": "never-sent"}
    assert desk.acquirer.inquire(**unknown).result == "F ORDER_NOT_EXIST"
    assert "paymentResult" not in desk.acquirer.inquire(**unknown).message
    assert desk.acquirer.cancel(**unknown).result == "F ORDER_NOT_EXIST"
    assert desk.acquirer.refund("r-never", 1, **unknown).result == "F ORDER_NOT_EXIST"


def test_no_answer_is_met_with_the_same_pay(desk):
    """The pay's answer is lost: the identical one tells, and nobody pays twice."""
    desk.control("POST", "/sandbox/rules", {"on": {"api": "pay"}, "do": {"lose": "reply"}})
    desk.acquirer.timeout_s = 0.3
    request_id, code = desk.new_id(), desk.control.code()
    with pytest.raises(NoAnswer):
        desk.acquirer.pay(request_id, code, 1000)
    assert desk.acquirer.pay(request_id, code, 1000).result == "S SUCCESS"
    assert desk.control.payment(request_id)["debits"] == 1
