"""What testers make AlipayCN's open platform do: rules, plays, amounts and conditions reach it."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import parse_qsl

import aiohttp
import pytest
from aiohttp import web

from tillgate.alipaycn import messages, signing
from tillgate.alipayplus.signing import BadSignature
from tillgate.core.results import MEANINGS, Judges, Outcome
from tillgate.sandbox.plays import PAY_CODES

from .test_open_platform_api import APP, APP_KEY, PLATFORM_KEY, code, ledger, play, ring

QUICK = aiohttp.ClientTimeout(total=0.4)
WEI = "alipay_cn_wei"


async def call(rig, method, words, notify_url=None):
    """Send it signed; what came back: the answer's member, and whether its signature fits."""
    fields = {
        "app_id": APP,
        "method": method,
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": "2026-01-31 20:00:00",
        "version": "1.0",
        "biz_content": json.dumps(words),
    }
    if notify_url:
        fields["notify_url"] = notify_url
    body = signing.signed_form(APP_KEY, fields, {"charset": "utf-8"})
    url = f"{rig.url}/gateway.do?charset=utf-8"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with rig.session.post(url, data=body, headers=headers, timeout=QUICK) as answer:
        if answer.status != 200:
            return answer.status, None
        raw = await answer.read()
    content, signature = messages.split(raw, method)
    try:
        signing.verify(ring(PLATFORM_KEY), content, (signature or "").encode())
        is_signed = True
    except BadSignature:
        is_signed = False
    return json.loads(content), is_signed


async def pay(rig, scanned=None, id_="pay_1", amount="1.00", **more):
    words = {
        "out_trade_no": id_,
        "scene": "bar_code",
        "auth_code": scanned or await code(rig),
        "subject": "Tea",
        "total_amount": amount,
    }
    return await call(rig, messages.PAY, words, **more)


async def asked(rig, method, id_="pay_1", **more):
    return await call(rig, method, {"out_trade_no": id_} | more)


async def rule(rig, do, api="pay", **more):
    status, _ = await rig.control("POST", "/sandbox/rules", on={"api": api}, do=do, **more)
    assert status == 201


def test_amounts_codes_and_customers_choose(keys):
    async def work(rig):
        by_amount, _ = await pay(rig, id_="a", amount="777.27")
        played = await rig.code(customer=WEI, kind="alipay_cn_hk", play="risk_reject")
        by_code, _ = await pay(rig, played, id_="b")
        await rig.control("PATCH", f"/sandbox/customers/{WEI}", status="frozen")
        by_condition, _ = await pay(rig, id_="c")
        return [one["sub_code"] for one in (by_amount, by_code, by_condition)], await ledger(rig)

    found, debited = play(keys, work)
    assert found == ["ACQ.PAYMENT_REQUEST_HAS_RISK"] * 2 + ["ACQ.BUYER_ENABLE_STATUS_FORBID"]
    assert debited == 0


@pytest.mark.parametrize("name", PAY_CODES)
def test_every_code_of_pay_has_words_there(keys, name):
    async def work(rig):
        scanned = await rig.code(customer=WEI, kind="alipay_cn_hk", play=name.lower())
        answer, is_signed = await pay(rig, scanned)
        queried, _ = await asked(rig, messages.QUERY)
        return answer, is_signed, queried, await ledger(rig)

    answer, is_signed, queried, debited = play(keys, work)
    meaning = MEANINGS[name]
    assert is_signed
    assert debited == 0
    if name == "PAYMENT_IN_PROCESS":
        assert (answer["code"], queried["trade_status"]) == ("10003", "WAIT_BUYER_PAY")
    elif meaning.outcome is Outcome.UNKNOWN:
        assert (answer["code"], answer["sub_code"]) == ("20000", "ACQ.SYSTEM_ERROR")
    else:
        assert answer["code"] == "40004"
        assert answer["sub_code"] in {*MEANINGS, "ACQ.CONTEXT_INCONSISTENT"}
        if meaning.judges is Judges.MESSAGE:
            assert queried["sub_code"] == "ACQ.TRADE_NOT_EXIST"


@pytest.mark.parametrize(
    ("do", "debited"),
    [
        ({"lose": "request"}, 0),
        ({"lose": "reply"}, 100),
        ({"reset": True}, 100),
        ({"delay_s": 2}, 100),
        ({"drip_s": 2}, 100),
    ],
)
def test_what_never_arrives_is_found_out_by_asking(keys, do, debited):
    async def work(rig):
        await rule(rig, do)
        with pytest.raises((aiohttp.ClientError, TimeoutError)):
            await pay(rig)
        queried, _ = await asked(rig, messages.QUERY)
        return queried, await ledger(rig)

    queried, found = play(keys, work)
    assert found == debited
    assert queried.get("trade_status") == ("TRADE_SUCCESS" if debited else None)


@pytest.mark.parametrize("signature", ["bad", "none", "wrong_key"])
def test_signatures_that_do_not_fit(keys, signature):
    async def work(rig):
        await rule(rig, {"signature": signature})
        first, again = await pay(rig), await asked(rig, messages.QUERY)
        return first[1], again[1]

    assert play(keys, work) == (False, True)


def test_lies_doubles_and_lags(keys):
    async def work(rig):
        await rule(rig, {"result": "SUCCESS", "effect": False})
        lie, _ = await pay(rig, id_="a")
        await rule(rig, {"duplicate": True, "amount": 1, "unknown_for_s": 60})
        doubled, _ = await pay(rig, id_="b")
        hidden, _ = await asked(rig, messages.QUERY, "b")
        await rig.control("PUT", "/sandbox/clock", advance_s=61)
        await rule(rig, {"payment_result": "PAYMENT_IN_PROCESS"}, "inquiryPayment")
        waiting, _ = await asked(rig, messages.QUERY, "b")
        await rule(rig, {"result": "UNKNOWN_EXCEPTION"}, "cancelPayment")
        undone, _ = await asked(rig, messages.CANCEL, "b")
        await rule(rig, {"result": "REFUND_AMOUNT_EXCEED"}, "refund")
        refused, _ = await asked(rig, messages.REFUND, "b", refund_amount="1.00")
        await rule(rig, {"http_status": 503}, "cancelPayment")
        down, _ = await asked(rig, messages.CANCEL, "b")
        seen = lie["code"], doubled["total_amount"], hidden["sub_code"], waiting["trade_status"]
        return seen, (undone["code"], refused["sub_code"], down), await ledger(rig)

    seen, later, debited = play(keys, work)
    assert seen == ("10000", "0.01", "ACQ.TRADE_NOT_EXIST", "WAIT_BUYER_PAY")
    assert later == ("20000", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", 503)
    assert debited == 100


def test_a_later_word_of_the_wallet(keys):
    async def work(rig):
        await rule(
            rig, {"result": "PAYMENT_IN_PROCESS", "then": {"result": "SUCCESS", "after_s": 2}}
        )
        first, _ = await pay(rig)
        await rig.control("PUT", "/sandbox/clock", advance_s=3)
        then, _ = await asked(rig, messages.QUERY)
        return first["code"], then["trade_status"]

    assert play(keys, work) == ("10003", "TRADE_SUCCESS")


def test_notices_twice_wrong_and_wrongly_signed(keys):
    async def work(rig):
        await rule(rig, {"notify": {"copies": 2}})
        for do in ({"amount": 1}, {"signature": "bad"}):
            await rule(rig, do, "notifyPayment")
        got = asyncio.Queue()

        async def heard(request):
            got.put_nowait(await request.read())
            return web.Response(text="success")

        app = web.Application()
        app.router.add_post("/notify", heard)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/notify"
            await pay(rig, notify_url=url)
            return [await asyncio.wait_for(got.get(), 10) for _ in range(2)]
        finally:
            await runner.cleanup()

    got = play(keys, work, notify_delay_s=0.0)
    forms = [dict(parse_qsl(one.decode(), keep_blank_values=True)) for one in got]
    assert sorted(form["total_amount"] for form in forms) == ["0.01", "1.00"]
    fits = []
    for form in forms:
        fields = {name.encode(): value.encode() for name, value in form.items()}
        signature = form["sign"].encode()
        content = signing.notice_contents(fields)[0]
        try:
            signing.verify(ring(PLATFORM_KEY), content, signature)
            fits.append(True)
        except BadSignature:
            fits.append(False)
    assert sorted(fits) == [False, True]
