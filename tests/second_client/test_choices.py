"""Where the facts leave the form open, every form is taken: one test for each choice."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from .client import PLAIN, percent_lower

OFFSETS = {
    "offset": "2019-05-28T12:12:12+08:00",
    "zulu, hundredths": "2025-02-20T08:51:49.09Z",
    "thousandths, half an hour": "2019-07-12T12:08:56.253+05:30",
    "zulu": "2026-01-31T12:00:00Z",
    "microseconds": "2026-01-31T12:00:00.123456+00:00",
}
"""The first three are the published samples."""


def both(desk, style=PLAIN, **changes):
    """A pay and an inquiry in this style; how they are answered."""
    desk.acquirer.style = style
    request_id = desk.new_id()
    paid = desk.acquirer.pay(request_id, desk.control.code(), 1000, **changes)
    inquired = desk.acquirer.inquire(paymentRequestId=request_id)
    return paid.result, inquired.payment


GOOD = ("S SUCCESS", "S SUCCESS")


@pytest.mark.parametrize("case", [str, str.lower, str.upper, str.swapcase])
def test_header_names_in_any_case(desk, case):
    assert both(desk, replace(PLAIN, name_case=case)) == GOOD


@pytest.mark.parametrize("space", ["", " ", "  ", "\t"])
def test_spaces_after_commas_of_the_signature_header(desk, space):
    assert both(desk, replace(PLAIN, after_comma=space)) == GOOD


@pytest.mark.parametrize("version", [None, "0", "1", "2", "999999999", "20260131120000"])
def test_any_whole_number_is_a_key_version(desk, version):
    assert both(desk, replace(PLAIN, key_version=version)) == GOOD


@pytest.mark.parametrize("encode", [PLAIN.encode, percent_lower, str])
def test_base64_percent_encoded_in_either_case_or_not_at_all(desk, encode):
    assert both(desk, replace(PLAIN, encode=encode)) == GOOD


@pytest.mark.parametrize("time", OFFSETS.values(), ids=OFFSETS)
def test_any_published_form_of_a_time(desk, time):
    desk.acquirer.now = lambda: time
    assert both(desk) == GOOD


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/json; charset=UTF-8",
        "application/json;charset=utf-8",
        "Application/JSON ; Charset=UTF-8",
    ],
)
def test_the_content_type_with_or_without_charset_or_none(desk, content_type):
    assert both(desk, replace(PLAIN, content_type=content_type)) == GOOD


@pytest.mark.parametrize(
    "dump",
    [
        json.dumps,
        partial(json.dumps, separators=(",", ":"), ensure_ascii=False),
        partial(json.dumps, indent=2),
        partial(json.dumps, sort_keys=True),
        lambda message: f"\n{json.dumps(message)}\r\n",
    ],
    ids=["spaces", "compact", "indented", "sorted", "white space around"],
)
def test_json_may_be_written_in_any_way(desk, dump):
    style = replace(PLAIN, dump=dump)
    order = {**desk.acquirer.pay_order("x", "y", 1000)["order"], "orderDescription": "カフェ ☕ é/"}
    assert both(desk, style, order=order) == GOOD


@pytest.mark.parametrize("true", ["true", True])
def test_a_boolean_as_text_or_as_itself(desk, true):
    factor = {"isInStorePayment": true, "inStorePaymentScenario": "PaymentCode"}
    assert both(desk, paymentFactor=factor) == GOOD


@pytest.mark.parametrize("value", ["1000", 1000])
def test_a_whole_number_as_text_or_as_itself(desk, value):
    assert both(desk, paymentAmount={"currency": "JPY", "value": value}) == GOOD
    request_id = desk.paid(1000)
    refund = {"refundRequestId": f"{request_id}-r", "paymentRequestId": request_id}
    refund["refundAmount"] = {"currency": "JPY", "value": value}
    assert desk.acquirer.call("refund", refund).result == "S SUCCESS"


OPTIONAL = ["paymentExpiryTime", "paymentNotifyUrl", "settlementStrategy", "splitSettlementId"]


@pytest.mark.parametrize("name", OPTIONAL)
def test_what_is_not_needed_is_left_out_or_null(desk, name):
    desk.acquirer.notify_url = desk.shop.url
    for is_null in (False, True):
        order = desk.acquirer.pay_order(desk.new_id(), desk.control.code(), 1000)
        order.pop(name, None)
        if is_null:
            order[name] = None
        assert desk.acquirer.call("pay", order).result == "S SUCCESS"


@pytest.mark.parametrize("text", ["2099-01-01T00:00:00+08:00", "2099-01-01T00:00:00.5Z"])
def test_an_expiry_later_than_a_minute_is_cut(desk, text):
    assert both(desk, paymentExpiryTime=text) == GOOD


@pytest.mark.parametrize("spelling", ["storeMCC", "storeMcc"])
def test_both_spellings_of_a_store_s_category(desk, spelling):
    order = desk.acquirer.pay_order("x", "y", 1000)["order"]
    store = order["merchant"]["store"]
    store[spelling] = store.pop("storeMCC")
    assert both(desk, order=order) == GOOD


BEFORE_1_6_1 = {
    "env": {
        "storeTerminalId": "122222",
        "storeTerminalRequestTime": "2021-04-08T14:48:50+08:00",
        "clientIp": "114.121.121.1",
        "deviceTokenId": "f3b1",
        "cookieId": "c1",
    }
}
SINCE_1_6_0 = {
    "indirectAcquirer": {"referenceAcquirerId": "A1", "acquirerName": "Acquirer of another"}
}
LATER = {"somethingNew": {"of": ["a", "later", "edition"]}}


@pytest.mark.parametrize(
    "fields", [BEFORE_1_6_1, SINCE_1_6_0, LATER], ids=["before 1.6.1", "since 1.6.0", "unknown"]
)
def test_fields_of_any_edition_of_the_documents(desk, fields):
    order = desk.acquirer.pay_order("x", "y", 1000)["order"] | fields
    assert both(desk, order=order) == GOOD
    assert both(desk, **(fields if fields is LATER else {})) == GOOD


IDS = {
    "paymentRequestId": lambda one: {"paymentRequestId": one["paymentRequestId"]},
    "paymentId": lambda one: {"paymentId": one["paymentId"]},
    "both": lambda one: {name: one[name] for name in ("paymentRequestId", "paymentId")},
}


@pytest.mark.parametrize("which", IDS)
def test_either_id_names_a_payment(desk, which):
    request_id = desk.paid(1000)
    ids = IDS[which](desk.acquirer.inquire(paymentRequestId=request_id).message)
    assert desk.acquirer.inquire(**ids).payment == "S SUCCESS"
    assert desk.acquirer.refund(f"{request_id}-r", 1, **ids).result == "S SUCCESS"
    request_id = desk.paid(1000)
    ids = IDS[which](desk.acquirer.inquire(paymentRequestId=request_id).message)
    assert desk.acquirer.cancel(**ids).result == "S SUCCESS"


@pytest.mark.parametrize("reason", [None, "The guest did not like it."])
def test_a_refund_with_or_without_its_reason(desk, reason):
    request_id = desk.paid(1000)
    ids = {"paymentRequestId": request_id, "refundReason": reason}
    kept = {name: value for name, value in ids.items() if value is not None}
    assert desk.acquirer.refund(f"{request_id}-r", 1, **kept).result == "S SUCCESS"


@pytest.mark.parametrize("query", ["", "?a=1", "?a=%2F&b"])
def test_a_query_is_signed_with_the_path(desk, query):
    assert both(desk, replace(PLAIN, query=query)) == GOOD


@pytest.mark.parametrize(
    "style",
    [
        replace(PLAIN, is_chunked=True),
        replace(PLAIN, extra_headers=(("Connection", "close"),)),
        replace(PLAIN, extra_headers=(("Agent-Token", "tsp-1"), ("User-Agent", "x/1"))),
        replace(PLAIN, extra_headers=(("Accept", "text/plain,text/xml"),)),
    ],
    ids=["chunked", "close", "agent token", "accept of the SDKs"],
)
def test_what_http_leaves_open(desk, style):
    assert both(desk, style) == GOOD


# --- Answers to notifications


def is_acknowledged_at_once(desk):
    desk.acquirer.notify_url = desk.acquirer.notify_url or desk.shop.url
    request_id = desk.paid(1000)
    assert desk.shop.heard().is_trusted
    while (told := desk.control.payment(request_id)["notification"])["problem"] is None:
        if told["is_acknowledged"]:
            return True
    return False


ACKNOWLEDGED = {
    "lower case": replace(PLAIN, name_case=str.lower),
    "upper case": replace(PLAIN, name_case=str.upper),
    "spaces": replace(PLAIN, after_comma=" "),
    "no version": replace(PLAIN, key_version=None),
    "another version": replace(PLAIN, key_version="0"),
    "lower hex": replace(PLAIN, encode=percent_lower),
    "base64 as it is": replace(PLAIN, encode=str),
    "no type": replace(PLAIN, content_type=None),
    "type without charset": replace(PLAIN, content_type="application/json"),
    "indented": replace(PLAIN, dump=partial(json.dumps, indent=1)),
}


@pytest.mark.parametrize("form", ACKNOWLEDGED)
def test_a_notification_may_be_acknowledged_in_any_form(desk, form):
    desk.shop.style = ACKNOWLEDGED[form]
    assert is_acknowledged_at_once(desk)


@pytest.mark.parametrize("extra", [{}, {"resultMessage": None}, {"resultMessage": "成功"}])
def test_the_words_of_an_acknowledgement_do_not_matter(desk, extra):
    desk.shop.acknowledgement = {"result": {"resultCode": "SUCCESS", "resultStatus": "S", **extra}}
    assert is_acknowledged_at_once(desk)


def test_an_acknowledgement_needs_no_client_id_and_no_type(desk):
    desk.shop.without = ("client-id", "content-type")
    assert is_acknowledged_at_once(desk)


@pytest.mark.parametrize("path", ["", "/", "/n?a=1&b=%2F", "/caf%C3%A9/%7Ex", "/a//b/../c"])
def test_a_notification_is_signed_over_the_address_as_it_was_given(desk, path):
    desk.acquirer.notify_url = desk.shop.url + path
    assert is_acknowledged_at_once(desk)


@pytest.mark.parametrize("code", ["SUCCESS", "PROCESS_FAIL"])
def test_an_acknowledgement_says_nothing_of_the_payment(desk, code):
    """S, whatever was told: a failed payment's notification is acknowledged all the same."""
    desk.acquirer.notify_url = desk.shop.url
    request_id, customer = desk.new_id(), "kakaopay_minji" if code == "SUCCESS" else "kakaopay_sora"
    desk.acquirer.pay(request_id, desk.control.code(customer=customer), 1000)
    status = desk.shop.heard().message["paymentResult"]["resultStatus"]
    assert status == ("S" if code == "SUCCESS" else "F")
    while not desk.control.payment(request_id)["notification"]["is_acknowledged"]:
        pass
