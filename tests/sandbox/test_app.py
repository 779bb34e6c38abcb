"""The sandbox over real sockets with real signatures."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import CANCEL_PATH, INQUIRY_PATH, PAY_PATH, REFUND_PATH
from tillgate.sandbox.app import random_digits
from tillgate.sandbox.choices import Choices, KeyRefusal
from tillgate.sandbox.notifier import signed_path

from .side import NOW, pay_request, refund_request, running

INQUIRY = b'{"paymentRequestId":"pay_1"}'


def words(answer) -> str:
    return f"{answer['result']['resultStatus']} {answer['result']['resultCode']}"


async def got(rig):
    return await asyncio.wait_for(rig.shop.got.get(), 10)


def in_a_rig(keys, play, **changes):
    async def run():
        async with running(keys, **changes) as rig:
            return await play(rig)

    return asyncio.run(run())


def test_a_payment_from_code_to_acknowledged_notification(keys):
    async def play(rig):
        code = await rig.code()
        answer = await rig.pay(code, path="/n/notify?a=1&b=%2F")
        assert words(answer) == "S SUCCESS"
        _, told = await got(rig)
        assert told["paymentResult"]["resultStatus"] == "S"
        assert told["paymentId"] == answer["paymentId"]
        assert told["paymentAmount"] == {"currency": "JPY", "value": "100"}
        inquired, _ = await rig.send(INQUIRY_PATH, INQUIRY)
        assert words(inquired) == "S SUCCESS"
        assert inquired["paymentResult"]["resultCode"] == "SUCCESS"
        rows = await acknowledged(rig, "pay_1")
        assert [(r["from"], r["to"], r["api"], r["kind"]) for r in rows][:4] == [
            ("acquirer", "network", "pay", "request"),
            ("network", "wallet", "pay", "request"),
            ("wallet", "network", "pay", "response"),
            ("network", "acquirer", "pay", "response"),
        ]
        assert rows[0]["signature"] == "valid"
        assert rows[3]["result"] == "S/SUCCESS"
        assert rows[3]["payment_id"] == answer["paymentId"]
        (told_row,) = [r for r in rows if r["from"] == "acquirer" and r["kind"] == "response"]
        assert (told_row["api"], told_row["signature"]) == ("notifyPayment", "valid")
        assert [r["seq"] for r in rows] == sorted(r["seq"] for r in rows)
        _, shown = await rig.control("GET", "/sandbox/payments/pay_1")
        assert shown["notification"] == {"sent_count": 1, "is_acknowledged": True, "problem": None}
        cancelled, _ = await rig.send(CANCEL_PATH, INQUIRY)
        assert words(cancelled) == "S SUCCESS"
        assert cancelled["pspId"] == answer["pspId"]
        _, shown = await rig.control("GET", "/sandbox/payments/pay_1")
        assert (shown["status"], shown["net_debit"]) == ("closed", 0)
        assert (shown["debits"], shown["credits"]) == (1, 1)

    in_a_rig(keys, play)


async def acknowledged(rig, id_):
    """The exchanges, once the notification's answer is among them."""
    while True:
        _, body = await rig.control("GET", f"/sandbox/exchanges?payment_request_id={id_}")
        rows = body["exchanges"]
        if ("notifyPayment", "response") in [(row["api"], row["kind"]) for row in rows]:
            return rows


def flipped(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


SPOILT = {
    "body": {"sent_body": flipped(INQUIRY, 25)},
    "body longer": {"sent_body": INQUIRY + b" "},
    "body empty": {"sent_body": b""},
    "path": {"sent_path": INQUIRY_PATH[:-1] + "u"},
    "path of another api": {"sent_path": CANCEL_PATH},
    "path, same meaning": {"sent_path": INQUIRY_PATH.replace("aps", "%61ps")},
    "query": {"sent_path": INQUIRY_PATH + "?a=1"},
    "time": {"headers": {"Request-Time": "2026-01-31T12:00:00+00:00"}},
    "no time": {"headers": {"Request-Time": None}},
    "no signature": {"headers": {"Signature": None}},
    "no base64": {"headers": {"Signature": "algorithm=RSA256,keyVersion=1,signature=%%%"}},
    "another algorithm": {"headers": {"Signature": "algorithm=ECC256,signature=AAAA"}},
    "not ascii": {"headers": {"Signature": "algorithm=RSA256,signature=ü"}},
}


@pytest.mark.parametrize("what", SPOILT)
def test_one_changed_byte_is_refused_unsigned(keys, what):
    async def play(rig):
        answer, headers = await rig.send(INQUIRY_PATH, INQUIRY, **SPOILT[what])
        assert words(answer) == "F INVALID_SIGNATURE"
        assert "Signature" not in headers
        _, body = await rig.control("GET", "/sandbox/exchanges")
        asked, told = body["exchanges"]
        assert asked["signature"].startswith("invalid: ")
        assert told["result"] == "F/INVALID_SIGNATURE"

    in_a_rig(keys, play)


def test_a_flipped_byte_of_a_pay_moves_no_money(keys):
    async def play(rig):
        code = await rig.code()
        body = messages.encode(pay_request(code))
        spoilt = body.replace(b'"value":"100"', b'"value":"101"')
        answer, _ = await rig.send(PAY_PATH, body, sent_body=spoilt)
        assert words(answer) == "F INVALID_SIGNATURE"
        _, ledger = await rig.control("GET", "/sandbox/ledger")
        assert ledger["entries"] == []
        assert words(await rig.pay(code)) == "S SUCCESS"  # the code is still good

    in_a_rig(keys, play)


def test_only_known_clients_with_their_own_key_are_heard(keys):
    async def play(rig):
        answer, headers = await rig.send(INQUIRY_PATH, INQUIRY, client_id="SANDBOX_OTHER")
        assert (words(answer), "Signature" in headers) == ("F INVALID_CLIENT", False)
        answer, headers = await rig.send(INQUIRY_PATH, INQUIRY, headers={"Client-Id": None})
        assert words(answer) == "F INVALID_CLIENT"
        answer, headers = await rig.send(INQUIRY_PATH, INQUIRY, key=keys.stranger)
        assert (words(answer), "Signature" in headers) == ("F INVALID_SIGNATURE", False)

    in_a_rig(keys, play)


def test_refusals_of_a_key_are_signed_where_the_choice_says_so(keys):
    async def play(rig):
        answer, headers = await rig.send(INQUIRY_PATH, INQUIRY, client_id="SANDBOX_OTHER")
        assert (words(answer), "Signature" in headers) == ("F INVALID_CLIENT", True)
        answer, headers = await rig.send(INQUIRY_PATH, INQUIRY, key=keys.stranger)
        assert (words(answer), "Signature" in headers) == ("F INVALID_SIGNATURE", True)
        _, body = await rig.control("GET", "/sandbox/exchanges")
        assert body["exchanges"][-1]["signature"] == "signed by the network"

    in_a_rig(keys, play, choices=Choices(key_refusal=KeyRefusal.SIGNED))


def test_a_refund_is_signed_booked_and_shown(keys):
    async def play(rig):
        await rig.pay(await rig.code())
        body = messages.encode(refund_request())
        answer, headers = await rig.send(REFUND_PATH, body)
        assert (words(answer), "Signature" in headers) == ("S SUCCESS", True)
        again, _ = await rig.send(REFUND_PATH, body)
        assert again == answer
        assert answer["refundAmount"] == {"currency": "JPY", "value": "40"}
        _, shown = await rig.control("GET", "/sandbox/payments/pay_1")
        (refund,) = shown["refunds"]
        assert refund["refund_request_id"] == "refund_1"
        assert refund["refund_id"] == answer["refundId"]
        assert refund["pay_to_amount"] == {"currency": "KRW", "value": 368}
        assert (shown["status"], shown["net_debit"], shown["credits"]) == ("succeeded", 60, 1)
        inquired, _ = await rig.send(INQUIRY_PATH, INQUIRY)
        (listed,) = inquired["transactions"]
        assert listed["transactionType"] == "REFUND"
        assert listed["transactionRequestId"] == "refund_1"
        _, body = await rig.control("GET", "/sandbox/exchanges?payment_request_id=pay_1")
        rows = [row for row in body["exchanges"] if row["api"] == "refund"]
        assert [(r["from"], r["to"], r["kind"], r["result"]) for r in rows][:4] == [
            ("acquirer", "network", "request", None),
            ("network", "wallet", "request", None),
            ("wallet", "network", "response", "S/SUCCESS"),
            ("network", "acquirer", "response", "S/SUCCESS"),
        ]
        assert rows[0]["refund_request_id"] == rows[3]["refund_request_id"] == "refund_1"
        assert len(rows) == 6  # the repeat reached no wallet

    in_a_rig(keys, play)


def test_what_is_wrong_with_the_message_is_said_signed(keys):
    async def play(rig):
        async def said(path, body, **how):
            answer, headers = await rig.send(path, body, **how)
            assert "Signature" in headers
            return words(answer), answer["result"]["resultMessage"]

        assert (await said("/aps/api/v1/payments/capture", b"{}"))[0] == "F NO_INTERFACE_DEF"
        assert (await said("/aps/", b"{}"))[0] == "F NO_INTERFACE_DEF"
        assert (await said(PAY_PATH, b"{}", method="GET"))[0] == "F METHOD_NOT_SUPPORTED"
        assert (await said("/aps/x", b"{}", method="PUT"))[0] == "F NO_INTERFACE_DEF"
        xml = {"Content-Type": "text/xml"}
        assert (await said(PAY_PATH, b"{}", headers=xml))[0] == "F MEDIA_TYPE_NOT_ACCEPTABLE"
        assert await said(PAY_PATH, b"{}", time="yesterday") == (
            "F PARAM_ILLEGAL",
            "Request-Time: a time is not ISO 8601 with an offset",
        )
        code, message = await said(PAY_PATH, b" " * (256 * 1024 + 1))
        assert (code, "262144" in message) == ("F PARAM_ILLEGAL", True)
        assert (await said(INQUIRY_PATH, INQUIRY + b" " * (256 * 1024 - len(INQUIRY))))[
            0
        ] == "F ORDER_NOT_EXIST"

    in_a_rig(keys, play)


def _without(field):
    document = json.loads(messages.encode(pay_request("281006020000000000000000")))
    *path, last = field.split(".")
    inner = document
    for name in path:
        inner = inner[name]
    del inner[last]
    return json.dumps(document).encode(), last


def _emptied(field):
    document = json.loads(messages.encode(pay_request("281006020000000000000000")))
    document["order"]["goods"] = [{"goodsName": 'a "" b'}, {"goodsName": "x"}]
    *path, last = field.split(".")
    inner = document
    for name in path:
        inner = inner[int(name) if name.isdigit() else name]
    inner[last] = ""
    return json.dumps(document).encode(), last


GARBAGE = [
    _without("paymentRequestId"),
    _without("paymentAmount"),
    _without("paymentAmount.value"),
    _without("order"),
    _without("order.orderAmount"),
    _without("order.referenceOrderId"),
    _without("paymentMethod"),
    _without("paymentMethod.paymentMethodId"),
    _emptied("paymentRequestId"),
    _emptied("paymentNotifyUrl"),
    _emptied("order.orderDescription"),
    _emptied("order.goods.1.goodsName"),
    (b"", "JSON"),
    (b"\x00\xff", "JSON"),
    (b'""', "the body"),
    (b'{"a": ""', "JSON"),
    (b"[" * 100_000, "object"),
    (b'{"a":"",' + b'"b":[' * 5_000, "JSON"),
    (b"null", "object"),
    (b"1e999999", ""),
    (b'{"paymentRequestId":"\\ud800"}', ""),
    (b'{"paymentRequestId":{"a":1}}', "paymentRequestId"),
]


@pytest.mark.parametrize(("body", "named"), GARBAGE)
def test_garbage_is_refused_and_named(keys, body, named):
    async def play(rig):
        answer, headers = await rig.send(PAY_PATH, body)
        assert words(answer) == "F PARAM_ILLEGAL"
        assert named in answer["result"]["resultMessage"]
        assert "Signature" in headers

    in_a_rig(keys, play)


def test_a_pair_of_quotes_inside_a_text_is_no_empty_text(keys):
    async def play(rig):
        request = pay_request(await rig.code(), "pay_1")
        body = messages.encode(request).replace(b'"Tea"', b'"a \\"\\" b"')
        assert b'""' not in body.replace(b'\\"\\"', b"")
        answer, _ = await rig.send(PAY_PATH, body)
        assert words(answer) == "S SUCCESS"

    in_a_rig(keys, play)


@pytest.mark.parametrize("how", ["unsigned", "stranger", "result F", "500"])
def test_a_notification_comes_again_until_it_is_acknowledged(keys, how):
    async def play(rig):
        rig.shop.answers = [how, "good"]
        await rig.pay(await rig.code())
        first, second = await got(rig), await got(rig)
        assert (first[0], second[0]) == (how, "good")
        assert first[1] == second[1]
        while (shown := await _notification(rig))["is_acknowledged"] is False:
            pass
        assert shown["sent_count"] == 2
        assert rig.shop.got.empty()

    in_a_rig(keys, play)


async def _notification(rig, id_="pay_1"):
    _, shown = await rig.control("GET", f"/sandbox/payments/{id_}")
    return shown["notification"] or {"is_acknowledged": False, "sent_count": 0}


def test_it_gives_up_after_the_last_resend(keys, caplog):
    async def play(rig):
        rig.shop.answers = ["500"] * 9
        await rig.pay(await rig.code())
        for _ in range(3):
            await got(rig)
        while "gave up notifying pay_1" not in caplog.text:
            await rig.control("GET", "/healthz")
        shown = await _notification(rig)
        assert (shown["sent_count"], shown["is_acknowledged"]) == (3, False)
        assert shown["problem"] == "not checked: HTTP status 500"

    with caplog.at_level(logging.WARNING):
        in_a_rig(keys, play)


def test_a_shop_that_is_down_hurts_nobody(keys, caplog):
    async def play(rig):
        request = pay_request(await rig.code(), payment_notify_url="http://127.0.0.1:1/")
        await rig.send(PAY_PATH, messages.encode(request))
        while "gave up" not in caplog.text:
            await rig.control("GET", "/healthz")
        assert "no answer (ClientConnectorError)" in (await _notification(rig))["problem"]

    in_a_rig(keys, play)


def test_what_waits_is_dropped_quietly_at_the_end(keys, caplog):
    """Notifications and timers to come neither hold up the end nor complain."""

    async def play(rig):
        await rig.pay(await rig.code(), "pay_1")
        await rig.pay(await rig.code(wallet="gcash", customer="gcash_jose"), "pay_2")

    in_a_rig(keys, play, notify_delay_s=3600.0)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_failure_is_notified_too(keys):
    async def play(rig):
        answer = await rig.pay(await rig.code(customer="kakaopay_sora"))
        assert words(answer) == "F USER_BALANCE_NOT_ENOUGH"
        _, told = await got(rig)
        assert told["paymentResult"]["resultCode"] == "USER_BALANCE_NOT_ENOUGH"
        assert told["acquirerId"]
        assert "paymentAmount" not in told

    in_a_rig(keys, play)


@pytest.mark.parametrize(
    ("act", "expected"),
    [("confirm", "SUCCESS"), ("decline", "USER_PAYMENT_VERIFICATION_FAILED")],
)
def test_the_customers_thumb_ends_it_and_the_acquirer_is_told(keys, act, expected):
    async def play(rig):
        code = await rig.code(wallet="kakaopay", customer="kakaopay_junho")
        assert words(await rig.pay(code)) == "U PAYMENT_IN_PROCESS"
        assert rig.shop.got.empty()
        status, shown = await rig.control("POST", f"/sandbox/payments/pay_1/{act}")
        assert (status, shown["result_code"]) == (200, expected)
        _, told = await got(rig)
        assert told["paymentResult"]["resultCode"] == expected
        status, problem = await rig.control("POST", f"/sandbox/payments/pay_1/{act}")
        assert (status, problem["code"]) == (409, "payment_not_waiting")

    in_a_rig(keys, play)


def test_an_unpaid_order_is_closed_by_the_timer(keys):
    async def play(rig):
        code = await rig.code(customer="tng_weijie")
        soon = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
        assert words(await rig.pay(code, payment_expiry_time=soon)) == "U PAYMENT_IN_PROCESS"
        _, told = await got(rig)
        assert told["paymentResult"]["resultCode"] == "ORDER_IS_CLOSED"

    in_a_rig(keys, play)


class GivenClock:
    def __init__(self):
        self.at = NOW

    def now(self):
        return self.at


def test_the_given_clock_decides(keys):
    clock = GivenClock()

    async def play(rig):
        code = await rig.code()
        clock.at += timedelta(seconds=60)
        assert words(await rig.pay(code)) == "F EXPIRED_CODE"
        _, body = await rig.control("GET", "/sandbox/payments")
        assert body["payments"][0]["placed_at"] == "2026-01-31T12:01:00.000+00:00"

    in_a_rig(keys, play, clock=clock)


def test_latency_is_added_to_pay_answers_only(keys):
    async def play(rig):
        code = await rig.code()
        loop = asyncio.get_running_loop()
        started = loop.time()
        await rig.send(INQUIRY_PATH, INQUIRY)
        between = loop.time()
        assert words(await rig.pay(code)) == "S SUCCESS"
        assert loop.time() - between >= 0.2 > between - started

    in_a_rig(keys, play, latency_s=0.2)


def test_a_code_is_shown_once_and_nowhere_else(keys):
    async def play(rig):
        code = await rig.code(kind="alipay_plus_19", wallet="gcash")
        assert len(code) == 19
        await rig.pay(code)
        await got(rig)
        seen = ""
        for path in ("payments", "payments/pay_1", "ledger", "exchanges", "wallets"):
            status, body = await rig.control("GET", f"/sandbox/{path}")
            assert status == 200
            seen += json.dumps(body)
        assert code not in seen
        assert code[:6] + "***********" + code[-2:] in seen

    in_a_rig(keys, play)


def test_the_books_are_shown(keys):
    async def play(rig):
        answer = await rig.pay(await rig.code())
        _, ledger = await rig.control("GET", "/sandbox/ledger")
        (entry,) = ledger["entries"]
        assert entry["kind"] == "debit"
        assert entry["payment_id"] == answer["paymentId"]
        assert entry["amount"] == {"currency": "JPY", "value": 100}
        assert entry["pay_to_amount"] == {"currency": "KRW", "value": 920}
        (row,) = [b for b in ledger["balances"] if b["customer"] == entry["customer"]]
        assert row["opening"] - row["balance"] == 920
        _, wallets = await rig.control("GET", "/sandbox/wallets")
        (kakao,) = [w for w in wallets["wallets"] if w["id"] == "kakaopay"]
        assert kakao["customers"][0]["balance"] == row["balance"]

    in_a_rig(keys, play)


@pytest.mark.parametrize(
    ("asked", "status", "path"),
    [
        ({"wallet": "paypal"}, 422, "$.wallet"),
        ({"customer": "nobody"}, 422, "$.customer"),
        ({"wallet": "gcash", "customer": "kakaopay_minji"}, 422, "$.customer"),
        ({"kind": "swipe"}, 422, "$.kind"),
        ({"kind": "alipay_cn_hk", "wallet": "kakaopay"}, 422, "$.kind"),
        ({"kind": "alipay_cn_hk", "length": 20}, 422, "$.length"),
        ({"kind": "alipay_cn_hk", "wallet": "alipay_hk", "length": 16}, 422, "$.length"),
        ({"length": 23}, 422, "$.length"),
        ({"wallet": 1}, 422, "$.wallet"),
        ({"colour": "red"}, 422, "$.colour"),
        (["list"], 422, "$"),
        (b"{", 400, "$"),
        (b"\xff", 400, "$"),
        (b"[" * 5000, 400, "$"),
    ],
)
def test_bad_input_to_the_control_api_is_named(keys, asked, status, path):
    async def play(rig):
        body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        async with rig.session.post(rig.url + "/sandbox/codes", data=body) as answer:
            assert answer.status == status
            assert answer.content_type == "application/problem+json"
            assert (await answer.json(content_type=None))["path"] == path

    in_a_rig(keys, play)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/sandbox/payments/none", 404),
        ("POST", "/sandbox/payments/none/confirm", 404),
        ("GET", "/nothing", 404),
        ("GET", "/sandbox/codes", 405),
        ("POST", "/sandbox/ledger", 405),
    ],
)
def test_other_addresses_are_problems(keys, method, path, status):
    async def play(rig):
        got_status, body = await rig.control(method, path)
        assert (got_status, body["status"]) == (status, status)

    in_a_rig(keys, play)


def test_a_caller_that_leaves_in_the_middle_of_a_body_is_nobodys_fault(keys, caplog):
    async def play(rig):
        host, port = rig.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST {PAY_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await rig.control("GET", "/healthz"))[0] == 200

    in_a_rig(keys, play)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://h", "/"),
        ("http://h/a/b?c=%2F#f", "/a/b?c=%2F"),
        ("https://h:1/a%20b", "/a%20b"),
        ("http://h?x=1", "/?x=1"),
    ],
)
def test_what_of_a_notification_address_is_signed(url, path):
    assert signed_path(url) == path


def test_digits_are_all_there():
    for count in (1, 5, 17):
        assert len(random_digits(count)) == count
        assert random_digits(count).isdigit()


def test_hundreds_at_once_are_each_paid_once(keys):
    async def play(rig):
        codes = [await rig.code() for _ in range(100)]
        request_each = [rig.pay(code, f"p{i}") for i, code in enumerate(codes * 2)]
        answers = await asyncio.gather(*request_each)
        assert sorted(words(a) for a in answers) == ["F INVALID_CODE"] * 100 + ["S SUCCESS"] * 100
        assert len({a["paymentId"] for a in answers if "paymentId" in a}) == 100
        told = [(await got(rig))[1]["paymentRequestId"] for _ in range(200)]
        assert len(set(told)) == 200

    in_a_rig(keys, play)
