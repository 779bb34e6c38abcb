"""AlipayCN's asynchronous notice, signed as Alipay signs it."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.alipaycn.side import APP_ID, OUT_TRADE_NO, TRADE_NO
from tests.connectors.test_alipay_cn import connector
from tests.support import acquirer_key, network_key
from tillgate.alipaycn import signing
from tillgate.connectors import BadNotification, NotifyAnswer, NotifyCall
from tillgate.core.money import Money
from tillgate.core.results import Outcome

SELLER = "2088102146225135"
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
PAID = {
    "notify_type": "trade_status_sync",
    "notify_id": "2026112300222154553048930509798623",
    "notify_time": "2026-11-23 15:45:58",
    "app_id": APP_ID,
    "charset": "utf-8",
    "version": "1.0",
    "trade_no": TRADE_NO,
    "out_trade_no": OUT_TRADE_NO,
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "88.88",
    "receipt_amount": "88.88",
    "refund_fee": "0.00",
    "seller_id": SELLER,
    "buyer_id": "2088102122524333",
    "subject": "茶 & cake",
    "gmt_payment": "2026-11-23 15:45:57",
    "fund_bill_list": '[{"amount":"88.88","fundChannel":"ALIPAYACCOUNT"}]',
}


def notice(key=None, **changes):
    fields = {n: v for n, v in (PAID | changes).items() if v is not None}
    content = signing.notice_contents({n.encode(): v.encode() for n, v in fields.items()})[0]
    signature = signing.sign(key or network_key(), content)
    return urlencode(fields | {"sign_type": "RSA2", "sign": signature}).encode()


def call(body):
    return NotifyCall(path="/notify/alipay_cn", headers={}, body=body)


def read(body, **options):
    return connector(**options).read_notification(call(body))


@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_FINISHED"])
def test_a_paid_trade_is_told_with_its_amount(status):
    told = read(notice(trade_status=status))
    assert told.payment_request_id == OUT_TRADE_NO
    report = told.report
    assert (report.outcome, report.code) == (Outcome.SUCCESS, "SUCCESS")
    assert report.amount == Money("CNY", 8888)
    assert report.receipt.payment_id == TRADE_NO
    assert report.receipt.customer_id == "2088102122524333"


def test_a_trade_that_was_closed_unpaid_is_told():
    report = read(notice(trade_status="TRADE_CLOSED")).report
    assert (report.outcome, report.code) == (Outcome.FAILURE, "ORDER_IS_CLOSED")


def test_a_trade_that_waits_says_nothing_final():
    assert read(notice(trade_status="WAIT_BUYER_PAY")) is None


@pytest.mark.parametrize(
    "change",
    [
        {"gmt_refund": "2026-11-23 16:00:00.123"},
        {"out_biz_no": "rev_1"},
        {"refund_fee": "88.88"},
        {"refund_fee": "0.01"},
    ],
)
@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_CLOSED"])
def test_a_refunds_notice_says_nothing_of_the_payment(change, status):
    assert read(notice(trade_status=status, **change)) is None


def test_another_kind_of_notice_says_nothing():
    assert read(notice(notify_type="open_app_auth_notify", trade_status=None)) is None


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({"app_id": "2021000000000002"}, {}),
        ({"app_id": None}, {}),
        ({"seller_id": "2088000000000000"}, {"seller_id": SELLER}),
        ({"seller_id": None}, {"seller_id": SELLER}),
        ({"total_amount": "88.888"}, {}),
        ({"total_amount": None}, {}),
        ({"trade_status": "OF_NEXT_YEAR"}, {}),
        ({"trade_status": None}, {}),
        ({"out_trade_no": None}, {}),
        ({"out_trade_no": "x" * 65}, {}),
    ],
)
def test_a_genuine_notice_that_cannot_be_used_is_not_acknowledged(change, options):
    with pytest.raises(BadNotification) as refused:
        read(notice(**change), **options)
    assert refused.value.answer == NotifyAnswer(400, b"failure", TEXT)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"\xff\xfe=%zz",
        urlencode(PAID).encode(),
        notice(acquirer_key()),
        notice().replace(b"total_amount=88.88", b"total_amount=88.89"),
        notice() + b"&total_amount=0.01",
        notice() + b"&new=1",
        notice().replace(b"sign_type=RSA2", b"sign_type=RSA"),
    ],
)
def test_what_alipay_did_not_sign_is_refused(body):
    with pytest.raises(BadNotification) as refused:
        read(body)
    assert refused.value.answer == NotifyAnswer(401, b"failure", TEXT)


def test_the_seller_is_compared_where_it_is_known():
    assert read(notice(), seller_id=SELLER) is not None


def test_an_odd_time_does_not_spoil_a_success():
    assert read(notice(gmt_payment="yesterday")).report.receipt.paid_at is None


def test_it_is_acknowledged_with_seven_letters():
    assert connector().acknowledge(call(b"")) == NotifyAnswer(200, b"success", TEXT)


def test_what_could_not_be_saved_comes_again():
    assert connector().ask_again(call(b"")) == NotifyAnswer(503, b"failure", TEXT)
