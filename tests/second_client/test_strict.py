"""What the facts say is strict is refused, without any effect: an acquirer who passes here must not
fail there.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from functools import partial

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from .client import FOLDER, PLAIN, new_key, percent_upper, rsa256, signed_bytes
from .conftest import OTHER_CLIENT_ID


def other_hash(key, content):
    return key.sign(content, padding.PKCS1v15(), hashes.SHA512())


def sha1(key, content):
    return key.sign(content, padding.PKCS1v15(), hashes.SHA1())


def pss(key, content):
    return key.sign(content, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def joined(line_break="\n", end="", method="POST", dot="."):
    def content(uri, client_id, time, body):
        head = f"{method} {uri}{line_break}{client_id}{dot}{time}{dot}".encode()
        return head + body + end.encode()

    return content


STRANGER = new_key()
SPOILT = {
    "a byte of the body": {"change": lambda b: b.replace(b'"1000"', b'"1001"')},
    "a space behind the body": {"change": lambda b: b + b" "},
    "the body written anew": {"change": lambda b: json.dumps(json.loads(b), indent=1).encode()},
    "an empty body": {"change": lambda b: b""},
    "the path": {"uri": "/aps/api/v1/payments/pay?x=1"},
    "the path of another API": {"uri": "/aps/api/v1/payments/cancelPayment"},
    "the path in capitals": {"uri": "/aps/api/v1/payments/PAY"},
    "the time": {"sent_time": "2026-01-31T12:00:00Z"},
    "no time": {"sent_time": None},
    "CR LF": {"content": joined("\r\n")},
    "a line break at the end": {"content": joined(end="\n")},
    "the method in small letters": {"content": joined(method="post")},
    "the method GET": {"content": joined(method="GET")},
    "no dots": {"content": joined(dot="")},
    "the body alone": {"content": lambda uri, client_id, time, body: body},
    "the whole address": {
        "content": lambda uri, *rest: signed_bytes("https://open-sea.alipayplus.com" + uri, *rest)
    },
    "another key": {"sign": lambda key, content: rsa256(STRANGER, content)},
    "SHA-512": {"sign": other_hash},
    "SHA-1": {"sign": sha1},
    "PSS": {"sign": pss},
    "half a signature": {"sign": lambda key, content: rsa256(key, content)[:128]},
    "no signature at all": {"sign": lambda key, content: b""},
    "the name RSA512": {"algorithm": "RSA512"},
    "the name ECC256": {"algorithm": "ECC256"},
    "the name RSA": {"algorithm": "RSA"},
    "no name": {"algorithm": ""},
    "no header": {"headers": {"Signature": None}},
    "an empty header": {"headers": {"Signature": ""}},
    "the value alone": {"bare": True},
}


def attempt(desk, how):
    """A pay that is spoilt; its answer and what became of the code and of the ledger."""
    acquirer, how = desk.acquirer, dict(how)
    code, request_id = desk.control.code(), desk.new_id()
    body = json.dumps(acquirer.pay_order(request_id, code, 1000)).encode()
    if "change" in how:
        how["sent_body"] = how.pop("change")(body)
    if how.pop("bare", False):
        content = signed_bytes(f"{FOLDER}pay", acquirer.client_id, "2026-01-31T12:00:00Z", body)
        value = percent_upper(base64.b64encode(rsa256(acquirer.key, content)).decode())
        how |= {"headers": {"Signature": value}, "time": "2026-01-31T12:00:00Z"}
    return acquirer.send("pay", body, **how), request_id, code


def nothing_happened(desk, request_id, code):
    assert desk.control("GET", f"/sandbox/payments/{request_id}")[0] == 404
    assert desk.acquirer.pay(desk.new_id(), code, 1000).result == "S SUCCESS"


@pytest.mark.parametrize("what", SPOILT)
def test_a_signature_over_anything_else_is_refused(desk, what):
    answer, request_id, code = attempt(desk, SPOILT[what])
    assert (answer.status, answer.result) == (200, "F INVALID_SIGNATURE")
    assert not answer.is_signed
    nothing_happened(desk, request_id, code)


@pytest.mark.parametrize(
    "client_id", ["SANDBOX_5Y0000000000000000", "", "sandbox_5y3a2n2yeb3002022"]
)
def test_a_client_that_nobody_knows_is_refused(desk, client_id):
    answer, request_id, code = attempt(desk, {"client_id": client_id})
    assert (answer.status, answer.result) == (200, "F INVALID_CLIENT")
    assert not answer.is_signed
    nothing_happened(desk, request_id, code)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"method": "GET"}, "F METHOD_NOT_SUPPORTED"),
        ({"method": "PUT"}, "F METHOD_NOT_SUPPORTED"),
        ({"headers": {"Content-Type": "text/xml"}}, "F MEDIA_TYPE_NOT_ACCEPTABLE"),
        ({"time": "yesterday"}, "F PARAM_ILLEGAL"),
        ({"time": "2026-01-31T12:00:00"}, "F PARAM_ILLEGAL"),
    ],
)
def test_what_is_wrong_with_the_call_is_said_in_a_result(desk, how, expected):
    answer, request_id, code = attempt(desk, how)
    assert (answer.status, answer.result) == (200, expected)
    desk.acquirer.trust("pay", answer)
    nothing_happened(desk, request_id, code)


@pytest.mark.parametrize(
    "api", ["pay/", "Pay", "payments", "pay%20", "notifyPayment", "inquiryRefund"]
)
def test_only_the_published_paths_are_there(desk, api):
    """Another path is another interface, a slash more too: the real one need not forgive it."""
    order = desk.acquirer.pay_order(desk.new_id(), desk.control.code(), 1000)
    assert desk.acquirer.call(api, order).result == "F NO_INTERFACE_DEF"


@pytest.mark.parametrize(
    "why", ["other key", "other bytes", "unsigned", "no time", "F", "U", "none"]
)
def test_what_is_no_acknowledgement_is_sent_again(desk, why):
    shop = desk.shop
    desk.acquirer.notify_url = shop.url
    if why == "other key":
        shop.sign = lambda key, content: rsa256(STRANGER, content)
    elif why == "other bytes":
        shop.sign = lambda key, content: rsa256(key, content + b" ")
    elif why in ("unsigned", "no time"):
        shop.without = ("signature",) if why == "unsigned" else ("response-time",)
    else:
        status = {"resultCode": "PROCESS_FAIL", "resultStatus": why}
        shop.acknowledgement = {} if why == "none" else {"result": status}
    request_id = desk.paid(1000)
    first = [shop.heard() for _ in range(3)]
    assert all(told.is_trusted and told.message == first[0].message for told in first)
    while (told := desk.control.payment(request_id)["notification"])["problem"] is None:
        pass
    assert told["is_acknowledged"] is False


def test_one_acquirer_never_sees_another_s_payments(desk):
    request_id = desk.paid(1000)
    payment_id = desk.acquirer.inquire(paymentRequestId=request_id).message["paymentId"]
    desk.acquirer.client_id = OTHER_CLIENT_ID
    for ids in ({"paymentRequestId": request_id}, {"paymentId": payment_id}):
        assert desk.acquirer.inquire(**ids).result == "F ORDER_NOT_EXIST"
        assert desk.acquirer.cancel(**ids).result == "F ORDER_NOT_EXIST"
        assert desk.acquirer.refund("r-other", 1, **ids).result == "F ORDER_NOT_EXIST"
    assert desk.acquirer.pay(request_id, desk.control.code(), 5).result == "S SUCCESS"


def test_base64url_is_refused_and_named(desk):
    """Whether Alipay+ takes it is not known; the explanation says what is wrong."""
    url_safe = {"+": "-", "/": "_", "=": ""}
    encode = partial(_replaced, url_safe)
    desk.acquirer.style = replace(PLAIN, encode=encode)
    answer, _, _ = attempt(desk, {})
    assert answer.result == "F INVALID_SIGNATURE"
    rows = desk.control("GET", "/sandbox/exchanges")[1]["exchanges"]
    asked = [row for row in rows if row["signature"].startswith("invalid")][-1]
    _, told = desk.control("GET", f"/sandbox/exchanges/{asked['seq']}")
    assert "base64url" in told["explanation"]["hint"]


def _replaced(table, text):
    return "".join(table.get(letter, letter) for letter in text)
