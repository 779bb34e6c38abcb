"""The guide's request for the guide's order, and how each answer becomes a fact."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import (
    CLIENT_ID,
    Call,
    ScriptedNetwork,
    acquirer_key,
    directory,
    http_answer,
    network_key,
    paid,
    result,
    ring,
    signed_answer,
)
from tillgate.alipayplus import messages
from tillgate.alipayplus.client import AlipayPlusClient, Credentials
from tillgate.clock import SystemClock
from tillgate.connectors.alipay_plus import AlipayPlus, notification_report
from tillgate.core.model import (
    CancelAnswered,
    CancelUnanswered,
    InquiryAnswered,
    InquiryRefused,
    InquiryUnanswered,
    Order,
    PayAnswered,
    PaymentRequestId,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    RefundAnswered,
    RefundUnanswered,
)
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.core.payment import open_payment
from tillgate.core.results import Outcome
from tillgate.transport import HttpTransport

GUIDE = Path(__file__).parents[1] / "vectors" / "guide"
PLACED = datetime(2019, 6, 1, 4, 1, 1, tzinfo=UTC)
ORDER = Order(
    merchant_id="M00000000001",
    store_id="S0000000001",
    terminal_id="122222",
    merchant_order_id="102775745075669",
    description="Mi Band 3 Wrist Strap Metal Screwless Stainless Steel For Xiaomi Mi Band 3 ",
    amount=Money("JPY", 100),
    code_masked="281006************12",
    connector="alipay_plus",
    rule="default",
    table="guide",
    placed_at=PLACED,
    expires_at=PLACED + timedelta(seconds=30),
)
KEY = PaymentRequestId("pay_1089760038715669_102775745075669")
PAYMENT = open_payment(KEY, ORDER, ALIPAY_PLUS).payment
NOTIFY_URL = "http://xmock.inc.alipay.net/api/Ipay/globalSite/automtion/paymentNotify.htm"


def connector(url: str = "http://127.0.0.1:1") -> tuple[AlipayPlus, HttpTransport]:
    credentials = Credentials(
        client_id=CLIENT_ID, signing_key=acquirer_key(), network_keys=ring(network_key())
    )
    transport = HttpTransport(url)
    client = AlipayPlusClient(transport, credentials, SystemClock())
    return AlipayPlus(client, NOTIFY_URL), transport


def built(order: Order = ORDER) -> dict:
    merchant = directory().merchants["M00000000001"]
    store = merchant.stores["S0000000001"]
    body = connector()[0].build_pay(KEY, order, merchant, store, "28100602000000000012")
    return json.loads(body)


def told(script, method: str, argument):
    """What the connector makes of a scripted answer."""

    async def run():
        async with ScriptedNetwork(script).running() as network:
            talks, transport = connector(network.url)
            await transport.start()
            try:
                return await getattr(talks, method)(argument)
            finally:
                await transport.close()

    return asyncio.run(run())


def answering(message):
    async def script(call: Call):
        return signed_answer(call, message(call) if callable(message) else message)

    return script


def shape(value):
    """The names and nesting of an object, without its values."""
    return {k: shape(v) for k, v in value.items()} if isinstance(value, dict) else "scalar"


def scalars(value):
    if isinstance(value, dict):
        return [scalar for item in value.values() for scalar in scalars(item)]
    return [value]


def test_the_request_has_the_fields_of_the_guides_sample():
    sample = json.loads((GUIDE / "pay_request.json").read_text())
    assert shape(built()) == shape(sample)


def test_the_request_has_the_values_of_the_guides_sample_but_for_its_times():
    sample = json.loads((GUIDE / "pay_request.json").read_text())
    request = built()
    sample["paymentExpiryTime"] = "2019-06-01T04:01:31+00:00"
    # The guide writes the till's time in its own zone; the same instant in UTC is ours.
    sample["order"]["env"]["storeTerminalRequestTime"] = "2019-06-01T04:01:01+00:00"
    assert request == sample


def test_every_scalar_is_a_text_and_none_is_empty():
    for request in (built(), built(replace(ORDER, description=None))):
        assert all(isinstance(value, str) and value for value in scalars(request))


def test_an_order_without_description_still_has_one_on_the_wire():
    assert built(replace(ORDER, description=None))["order"]["orderDescription"] == (
        "Order 102775745075669"
    )


def test_the_expiry_is_rounded_up_to_the_whole_second():
    late = replace(ORDER, expires_at=PLACED + timedelta(seconds=30, microseconds=1))
    assert built(late)["paymentExpiryTime"] == "2019-06-01T04:01:32+00:00"


def test_a_success_brings_amount_and_receipt():
    event = told(answering(paid), "pay", json.dumps(built()).encode())
    assert isinstance(event, PayAnswered)
    report = event.report
    assert (report.outcome, report.code) == (Outcome.SUCCESS, "SUCCESS")
    assert report.amount == Money("JPY", 100)
    assert report.receipt.payment_id == "2026010100000001"
    assert report.receipt.wallet == "KAKAOPAY"
    assert report.receipt.paid_at == datetime(2021, 4, 8, 6, 48, 50, tzinfo=UTC)


@pytest.mark.parametrize(
    ("file", "outcome", "code"),
    [("s.json", "S", "SUCCESS"), ("f.json", "F", "PROCESS_FAIL"),
     ("u.json", "U", "UNKNOWN_EXCEPTION")],
)  # fmt: skip
def test_the_guides_three_answers(file, outcome, code):
    sample = next(GUIDE.glob(f"*_{file}")).read_bytes()
    event = told(answering(sample), "pay", json.dumps(built()).encode())
    assert (event.report.outcome, event.report.code) == (outcome, code)


@pytest.mark.parametrize(
    "change",
    [
        {"paymentAmount": {"currency": "JPY", "value": "1.00"}},
        {"paymentAmount": {"currency": "ZZZ", "value": "100"}},
        {"paymentAmount": {"currency": "JPY", "value": "0"}},
        {"paymentAmount": {"value": "100"}},
        {"result": {"resultCode": "SUCCESS", "resultStatus": "X"}},
        {"result": None},
    ],
)
def test_a_success_that_cannot_be_read_whole_is_no_answer(change):
    event = told(answering(lambda call: paid(call, **change)), "pay", json.dumps(built()).encode())
    assert isinstance(event, PayUnanswered)


def test_a_success_with_an_odd_time_is_still_a_success():
    event = told(
        answering(lambda call: paid(call, paymentTime="yesterday")),
        "pay",
        json.dumps(built()).encode(),
    )
    assert event.report.outcome is Outcome.SUCCESS
    assert event.report.receipt.paid_at is None


@pytest.mark.parametrize("code", ["INVALID_SIGNATURE", "KEY_NOT_FOUND", "INVALID_CLIENT"])
def test_an_unsigned_refusal_of_our_keys_is_told_apart(code):
    async def script(call: Call):
        return http_answer(json.dumps({"result": result("F", code)}).encode(), {})

    assert told(script, "pay", json.dumps(built()).encode()) == PayRefusedUnsigned(code)


@pytest.mark.parametrize("code", ["SUCCESS", "RISK_REJECT"])
def test_any_other_unsigned_answer_is_none(code):
    async def script(call: Call):
        return http_answer(json.dumps({"result": result("F", code)}).encode(), {})

    assert isinstance(told(script, "pay", json.dumps(built()).encode()), PayUnanswered)


def test_without_a_connection_nothing_left():
    async def run():
        talks, transport = connector()
        await transport.start()
        try:
            return await talks.pay(b"{}"), await talks.inquire(PAYMENT), await talks.cancel(PAYMENT)
        finally:
            await transport.close()

    pay, inquiry, cancel = asyncio.run(run())
    assert isinstance(pay, PayNeverLeft)
    assert isinstance(inquiry, InquiryUnanswered)
    assert isinstance(cancel, CancelUnanswered)


def inquiry(payment_status: str, code: str, **more):
    return {
        "result": result("S", "SUCCESS"),
        "paymentResult": result(payment_status, code),
        "paymentRequestId": KEY,
        "paymentAmount": {"currency": "JPY", "value": "100"},
        **more,
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [("S", "SUCCESS"), ("F", "ORDER_IS_CLOSED"), ("U", "PAYMENT_IN_PROCESS")],
)
def test_an_inquiry_tells_of_the_payment_not_of_the_question(status, code):
    event = told(answering(inquiry(status, code)), "inquire", PAYMENT)
    assert isinstance(event, InquiryAnswered)
    assert (event.report.outcome, event.report.code) == (status, code)


@pytest.mark.parametrize(("names_it", "is_heard"), [(True, True), (False, False)])
def test_an_old_answer_to_an_inquiry_is_heard_only_when_it_names_the_payment(names_it, is_heard):
    message = inquiry("S", "SUCCESS", paymentRequestId=KEY if names_it else None)

    async def script(call: Call):
        return signed_answer(call, message, time="2021-04-08T14:48:50+08:00")

    assert isinstance(told(script, "inquire", PAYMENT), InquiryAnswered) is is_heard


@pytest.mark.parametrize("code", ["ORDER_NOT_EXIST", "PARAM_ILLEGAL"])
def test_a_refused_inquiry_says_nothing_of_the_payment(code):
    event = told(answering({"result": result("F", code)}), "inquire", PAYMENT)
    assert event == InquiryRefused(code)


@pytest.mark.parametrize(
    "message",
    [
        {"result": result("U", "UNKNOWN_EXCEPTION")},
        {"result": result("S", "SUCCESS")},
        inquiry("S", "SUCCESS", paymentRequestId="pay_of_somebody_else"),
    ],
)
def test_an_inquiry_that_decides_nothing_is_unanswered(message):
    assert isinstance(told(answering(message), "inquire", PAYMENT), InquiryUnanswered)


@pytest.mark.parametrize(
    ("transaction", "is_cancelled"),
    [
        ({"transactionType": "CANCEL", "transactionStatus": "SUCCESS"}, True),
        ({"transactionType": "CANCEL", "transactionResult": result("S", "SUCCESS")}, True),
        ({"transactionType": "CANCEL", "transactionStatus": "FAIL"}, False),
        ({"transactionType": "REFUND", "transactionStatus": "SUCCESS"}, False),
    ],
)
def test_a_successful_cancel_among_the_transactions_is_seen(transaction, is_cancelled):
    message = inquiry("S", "SUCCESS", transactions=[transaction])
    event = told(answering(message), "inquire", PAYMENT)
    assert event.report.is_cancelled is is_cancelled


@pytest.mark.parametrize(
    ("status", "code"),
    [("S", "SUCCESS"), ("U", "UNKNOWN_EXCEPTION"), ("F", "CANCEL_WINDOW_EXCEED")],
)
def test_a_cancels_answer_is_handed_on(status, code):
    event = told(answering({"result": result(status, code)}), "cancel", PAYMENT)
    assert event == CancelAnswered(Outcome(status), code)


@pytest.mark.parametrize(
    ("status", "code"),
    [("S", "SUCCESS"), ("U", "UNKNOWN_EXCEPTION"), ("F", "REFUND_WINDOW_EXCEED")],
)
def test_the_refund_in_full_has_an_id_derived_from_the_payments(status, code):
    sent = {}

    async def script(call: Call):
        sent.update(call.message)
        return signed_answer(call, {"result": result(status, code)})

    assert told(script, "refund", PAYMENT) == RefundAnswered(Outcome(status), code)
    assert sent["refundRequestId"] == "rev_1089760038715669_102775745075669"
    assert sent["paymentRequestId"] == KEY
    assert sent["refundAmount"] == {"currency": "JPY", "value": "100"}
    assert all(isinstance(value, str) and value for value in scalars(sent))


def test_a_refund_without_an_answer_is_unanswered():
    async def script(call: Call):
        return None

    assert isinstance(told(script, "refund", PAYMENT), RefundUnanswered)


def test_a_notification_with_u_is_refused():
    message = messages.Notification(
        payment_result=messages.Result(result_code="X", result_status=Outcome.UNKNOWN),
        payment_request_id="x",
    )
    with pytest.raises(messages.BadMessage):
        notification_report(message)


@pytest.mark.parametrize(
    ("method", "message", "argument"),
    [
        ("pay", {"result": result("F", "NEW_OF_PAY")}, b"{}"),
        ("inquire", inquiry("U", "NEW_OF_INQUIRY"), PAYMENT),
        ("inquire", {"result": result("F", "NEW_QUESTION")}, PAYMENT),
        ("cancel", {"result": result("U", "NEW_OF_CANCEL")}, PAYMENT),
        ("refund", {"result": result("F", "NEW_OF_REFUND")}, PAYMENT),
    ],
)
def test_a_code_that_no_table_has_follows_its_status_and_is_logged_once(
    method, message, argument, caplog
):
    first, second = (
        told(answering(message), method, argument),
        told(answering(message), method, argument),
    )
    assert first == second
    told_of = [r.getMessage() for r in caplog.records if "which is in no table" in r.getMessage()]
    assert len(told_of) == 1
    assert "NEW_" in told_of[0]
