"""The open platform over HTTP, asked by two implementations: python-alipay-sdk, which others
maintain, and the gateway's own connector.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from alipay import AliPay
from alipay.exceptions import AliPayException
from yarl import URL

from tests.connectors.test_alipay_cn import ORDER
from tests.support import directory
from tillgate.alipaycn import messages, signing
from tillgate.alipayplus.signing import KeyRing, SigningKey, new_private_key
from tillgate.clock import SystemClock
from tillgate.connectors import ConnectorSettings, NotifyCall
from tillgate.connectors.kinds import build_connector
from tillgate.core.model import CancelAnswered, InquiryAnswered, InquiryRefused, RefundAnswered
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_CN
from tillgate.core.payment import open_payment
from tillgate.core.results import Outcome
from tillgate.sandbox.app import NetworkKeys

from .side import running

APP = "2021000000000001"
OURS, THEIRS = new_private_key(), new_private_key()
APP_KEY, PLATFORM_KEY = SigningKey.load(OURS), SigningKey.load(THEIRS)


def ring(key):
    return KeyRing.load({1: key.public_pem()})


def play(keys, work, **changes):
    """`work` with a sandbox that plays AlipayCN, too."""

    async def whole():
        cn = NetworkKeys(signing_key=PLATFORM_KEY, acquirers={APP: ring(APP_KEY)})
        async with running(keys, direct={"alipay_cn": cn}, **changes) as rig:
            return await work(rig)

    return asyncio.run(whole())


async def code(rig, customer="alipay_cn_wei", kind="alipay_cn_hk"):
    return await rig.code(customer=customer, kind=kind)


async def ledger(rig):
    _, told = await rig.control("GET", "/sandbox/ledger")
    signs = {"debit": 1, "credit": -1}
    return sum(signs[e["kind"]] * e["amount"]["value"] for e in told["entries"])


# --- python-alipay-sdk


def sdk(rig, notify_url=None):
    client = AliPay(
        appid=APP,
        app_notify_url=notify_url,
        app_private_key_string=OURS.decode(),
        alipay_public_key_string=PLATFORM_KEY.public_pem().decode(),
    )
    client._gateway = f"{rig.url}/gateway.do"
    return client


async def asked(call, *args, **kwargs):
    return await asyncio.to_thread(call, *args, **kwargs)


def test_the_other_implementation_pays_queries_refunds_and_queries(keys):
    async def work(rig):
        client = sdk(rig)
        paid = await asked(
            client.api_alipay_trade_pay,
            out_trade_no="sdk_1",
            scene="bar_code",
            auth_code=await code(rig),
            subject="茶",
            total_amount="88.88",
        )
        assert (paid["code"], paid["total_amount"]) == ("10000", "88.88")
        queried = await asked(client.api_alipay_trade_query, out_trade_no="sdk_1")
        assert (queried["trade_status"], queried["trade_no"]) == ("TRADE_SUCCESS", paid["trade_no"])
        assert await ledger(rig) == 8888
        refunded = await asked(
            client.api_alipay_trade_refund, out_trade_no="sdk_1", refund_amount=88.88
        )
        assert (refunded["code"], refunded["fund_change"]) == ("10000", "Y")
        refund = await asked(
            client.api_alipay_trade_fastpay_refund_query, "sdk_1", out_trade_no="sdk_1"
        )
        assert (refund["refund_status"], refund["refund_amount"]) == ("REFUND_SUCCESS", "88.88")
        closed = await asked(client.api_alipay_trade_query, trade_no=paid["trade_no"])
        assert closed["trade_status"] == "TRADE_CLOSED"
        assert await ledger(rig) == 0

    play(keys, work)


def test_the_other_implementation_cancels(keys):
    async def work(rig):
        client = sdk(rig)
        nothing = await asked(client.api_alipay_trade_cancel, out_trade_no="sdk_2")
        assert (nothing["code"], nothing["retry_flag"]) == ("10000", "N")
        assert "action" not in nothing
        waiting = await asked(
            client.api_alipay_trade_pay,
            "sdk_2", "bar_code", await code(rig, "alipay_cn_fang"), "Tea", total_amount=20,
        )  # fmt: skip
        assert waiting["code"] == "10003"
        closed = await asked(client.api_alipay_trade_cancel, out_trade_no="sdk_2")
        assert closed["action"] == "close"
        missing = await asked(client.api_alipay_trade_query, out_trade_no="sdk_3")
        assert missing["sub_code"] == "ACQ.TRADE_NOT_EXIST"

    play(keys, work)


def test_a_signature_that_does_not_fit_is_refused_without_one(keys):
    async def work(rig):
        client = sdk(rig)
        client._app_private_key = AliPay(
            appid=APP,
            app_private_key_string=new_private_key().decode(),
            alipay_public_key_string=PLATFORM_KEY.public_pem().decode(),
        ).app_private_key
        with pytest.raises(AliPayException) as refused:
            await asked(client.api_alipay_trade_query, out_trade_no="sdk_1")
        assert "isv.invalid-signature" in str(refused.value)
        assert '"sign":' not in str(refused.value)

    play(keys, work)


# --- The gateway's own connector


def settings(rig, notify_url=None, **changes):
    given = ConnectorSettings(
        name="alipay_cn",
        kind="alipay_cn",
        takes=("alipay_cn",),
        base_url=f"{rig.url}/gateway.do",
        client_id=APP,
        signing_key=APP_KEY,
        network_keys=ring(PLATFORM_KEY),
        notify_url=notify_url,
        options={},
    )
    return replace(given, **changes)


@contextlib.asynccontextmanager
async def connected(rig, notify_url=None, **changes):
    talks = build_connector(settings(rig, notify_url, **changes), SystemClock())
    await talks.start()
    try:
        yield talks
    finally:
        await talks.close()


def opened(key="pay_1"):
    now = datetime.now(UTC)
    order = replace(ORDER, placed_at=now, expires_at=now + timedelta(seconds=60))
    return open_payment(key, order, ALIPAY_CN).payment


def pay_body(talks, payment, auth_code):
    merchant = directory().merchants["M00000000001"]
    store = merchant.stores["S0000000001"]
    return talks.build_pay(payment.payment_request_id, payment.order, merchant, store, auth_code)


def test_our_connector_pays_asks_and_refunds(keys):
    async def work(rig):
        async with connected(rig) as talks:
            payment = opened()
            body = pay_body(talks, payment, await code(rig))
            first, again = await talks.pay(body), await talks.pay(body)
            assert first.report.outcome is again.report.outcome is Outcome.SUCCESS
            inquiry = await talks.inquire(payment)
            assert isinstance(inquiry, InquiryAnswered)
            assert inquiry.report.amount == Money("CNY", 8888)
            assert inquiry.report.receipt.payment_id == first.report.receipt.payment_id
            assert await ledger(rig) == 8888
            done = RefundAnswered(Outcome.SUCCESS, "SUCCESS")
            assert [await talks.refund(payment), await talks.refund(payment)] == [done, done]
            assert (await talks.inquire(payment)).report.code == "ORDER_IS_CLOSED"
            assert await talks.cancel(payment) == CancelAnswered(Outcome.SUCCESS, "SUCCESS")
            assert await ledger(rig) == 0

    play(keys, work)


def test_our_connector_cancels_what_came_and_what_did_not(keys):
    async def work(rig):
        async with connected(rig) as talks:
            payment = opened()
            missing = CancelAnswered(Outcome.FAILURE, "ORDER_NOT_EXIST")
            assert await talks.cancel(payment) == missing
            assert await talks.inquire(payment) == InquiryRefused("ORDER_NOT_EXIST")
            await talks.pay(pay_body(talks, payment, await code(rig)))
            done = CancelAnswered(Outcome.SUCCESS, "SUCCESS")
            assert [await talks.cancel(payment), await talks.cancel(payment)] == [done, done]
            assert await ledger(rig) == 0

    play(keys, work)


def test_a_refusal_keeps_its_code(keys):
    async def work(rig):
        async with connected(rig) as talks:
            payment = opened()
            event = await talks.pay(pay_body(talks, payment, "28024456785672301"))
            assert event.report.code == "ACQ.PAYMENT_AUTH_CODE_INVALID"

    play(keys, work)


def test_a_notice_is_genuine_to_both_implementations_and_ends_with_success(keys):
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def work(rig):
        answers = ["failure", "SUCCESS", "success"]

        async def receive(request):
            got.put_nowait(await request.read())
            return web.Response(text=answers.pop(0))

        shop = web.Application()
        shop.router.add_post("/notify/alipay_cn", receive)
        runner = web.AppRunner(shop)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/notify/alipay_cn"
        async with connected(rig, url) as talks:
            payment = opened()
            await talks.pay(pay_body(talks, payment, await code(rig)))
            bodies = [await asyncio.wait_for(got.get(), 10) for _ in range(3)]
            assert len(set(bodies)) == 1
            call = NotifyCall(path="/notify/alipay_cn", headers={}, body=bodies[0])
            told = talks.read_notification(call)
            assert told.payment_request_id == payment.payment_request_id
            assert told.report.amount == Money("CNY", 8888)
            fields = {n.decode(): v.decode() for n, v in signing.read_form(bodies[0]).items()}
            assert sdk(rig).verify(fields, fields.pop("sign"))
        for _ in range(200):
            _, shown = await rig.control("GET", f"/sandbox/payments/{payment.payment_request_id}")
            if shown["notification"]["is_acknowledged"]:
                break
            await asyncio.sleep(0.01)
        assert shown["notification"] == {
            "sent_count": 3, "is_acknowledged": True, "problem": None,
        }  # fmt: skip
        assert shown["network"] == "alipay_cn"
        await runner.cleanup()

    play(keys, work)


def test_the_messages_are_shown_in_order(keys):
    async def work(rig):
        async with connected(rig) as talks:
            payment = opened()
            await talks.pay(pay_body(talks, payment, await code(rig)))
            await talks.inquire(payment)
        _, told = await rig.control("GET", "/sandbox/exchanges?payment_request_id=pay_1")
        assert [
            (e["from"], e["to"], e["api"], e["result"], e["payment_result"])
            for e in told["exchanges"]
        ] == [
            ("acquirer", "network", "alipay.trade.pay", None, None),
            ("network", "wallet", "pay", None, None),
            ("wallet", "network", "pay", "S/SUCCESS", None),
            ("network", "acquirer", "alipay.trade.pay", "S/10000", None),
            ("acquirer", "network", "alipay.trade.query", None, None),
            ("network", "acquirer", "alipay.trade.query", "S/10000", "S/TRADE_SUCCESS"),
        ]

    play(keys, work)


# --- What the gateway refuses


GOOD = {
    "app_id": APP,
    "method": "alipay.trade.query",
    "charset": "utf-8",
    "sign_type": "RSA2",
    "timestamp": "2026-11-23 15:45:57",
    "version": "1.0",
    "biz_content": '{"out_trade_no":"x"}',
}


async def posted(rig, body, query="", **kwargs):
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{rig.url}/gateway.do{query}", data=body, **kwargs) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/html;charset=utf-8"
            return json.loads(await answer.read())


@pytest.mark.parametrize(
    ("change", "code", "sub_code", "is_signed"),
    [
        ({}, "40004", "ACQ.TRADE_NOT_EXIST", True),
        ({"app_id": "2021000000000002"}, "40002", "isv.invalid-app-id", False),
        ({"app_id": None}, "40002", "isv.invalid-app-id", False),
        ({"sign_type": "RSA"}, "40002", "isv.invalid-signature-type", False),
        ({"method": "alipay.trade.close"}, "40002", "isv.invalid-method", True),
        ({"charset": "gbk"}, "40002", "isv.invalid-charset", True),
        ({"timestamp": "now"}, "40002", "isv.invalid-timestamp", True),
        ({"biz_content": "{"}, "40002", "isv.invalid-parameter", True),
        ({"biz_content": "{}"}, "40002", "isv.invalid-parameter", True),
        ({"biz_content": None}, "40002", "isv.invalid-parameter", True),
        ({"method": "alipay.trade.pay"}, "40002", "isv.invalid-parameter", True),
        ({"method": "alipay.trade.cancel", "biz_content": "{}"}, "40002",
         "isv.invalid-parameter", True),
        ({"method": "alipay.trade.refund", "biz_content": '{"refund_amount":"1"}'}, "40002",
         "isv.invalid-parameter", True),
    ],
)  # fmt: skip
def test_what_is_refused_before_any_method_sees_it(keys, change, code, sub_code, is_signed):
    fields = {n: v for n, v in (GOOD | change).items() if v is not None}

    async def work(rig):
        return await posted(rig, signing.signed_form(APP_KEY, fields))

    told = play(keys, work)
    answer = told[messages.member_of(fields["method"])]
    assert (answer["code"], answer["sub_code"]) == (code, sub_code)
    assert ("sign" in told) is is_signed


CHINESE = GOOD | {"biz_content": '{"out_trade_no":"订单"}'}


@pytest.mark.parametrize(
    ("query", "in_address", "sub_code"),
    [
        ("?charset=utf-8", {"charset": "utf-8"}, "ACQ.TRADE_NOT_EXIST"),
        ("", {}, "isv.invalid-signature"),
    ],
)
def test_without_charset_in_the_address_a_form_is_read_as_gbk(keys, query, in_address, sub_code):
    in_body = {name: value for name, value in CHINESE.items() if name not in in_address}

    async def work(rig):
        return await posted(rig, signing.signed_form(APP_KEY, in_body, in_address), query=query)

    assert play(keys, work)["alipay_trade_query_response"]["sub_code"] == sub_code


@pytest.mark.parametrize(
    ("body", "code", "sub_code"),
    [
        (signing.signed_form(SigningKey.load(new_private_key()), GOOD), "40002",
         "isv.invalid-signature"),
        (signing.signed_form(APP_KEY, GOOD).partition(b"&sign=")[0], "40001",
         "isv.missing-signature"),
        (signing.signed_form(APP_KEY, GOOD) + b"&app_id=1", "40002", "isv.invalid-parameter"),
        (b"x" * 300_000, "40002", "isv.invalid-parameter"),
        (b"\xff\xfe", "40002", "isv.invalid-app-id"),
    ],
)  # fmt: skip
def test_what_nobody_signed_is_refused_without_a_signature(keys, body, code, sub_code):
    told = play(keys, lambda rig: posted(rig, body))
    [answer] = told.values()
    assert (answer["code"], answer["sub_code"]) == (code, sub_code)


def test_parameters_may_stand_in_the_query_and_the_content_in_the_body(keys):
    query, _, content = signing.signed_form(APP_KEY, GOOD).decode().partition("&biz_content=")
    content, _, signature = content.partition("&sign=")

    async def work(rig):
        async with aiohttp.ClientSession() as session:
            url = URL(f"{rig.url}/gateway.do?{query}&sign={signature}", encoded=True)
            async with session.post(url, data=f"biz_content={content}") as answer:
                return json.loads(await answer.read())

    told = play(keys, work)
    assert told["alipay_trade_query_response"]["sub_code"] == "ACQ.TRADE_NOT_EXIST"
