"""Wallets that the sandbox lets an acquirer call directly, asked by the gateway's own connector."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.core.payment_cases import order
from tests.support import directory
from tillgate.alipayplus.signing import KeyRing
from tillgate.clock import SystemClock
from tillgate.connectors import ConnectorSettings, NotifyCall
from tillgate.connectors.aps_direct import build
from tillgate.core.model import (
    CancelAnswered,
    InquiryAnswered,
    InquiryRefused,
    PayAnswered,
    RefundAnswered,
)
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.core.payment import open_payment
from tillgate.core.results import Outcome
from tillgate.sandbox.app import NetworkKeys

from .side import running

CLIENTS = {"alipay_hk": "SANDBOX_HK", "kakaopay": "SANDBOX_KP"}
FOLDERS = {"alipay_hk": "/aps/hk/payments", "kakaopay": "/aps/kakaopay/payments"}


def direct(keys):
    """Both wallets, each with keys of its own: what Alipay+ signs with is a stranger here."""
    return {
        name: NetworkKeys(
            signing_key=keys.stranger,
            acquirers={client_id: KeyRing.load({1: keys.acquirer.public_pem()})},
        )
        for name, client_id in CLIENTS.items()
    }


def settings(rig, name, **changes):
    given = ConnectorSettings(
        name=name,
        kind="aps_direct",
        takes=(name,),
        base_url=rig.url,
        client_id=CLIENTS[name],
        signing_key=rig.keys.acquirer,
        network_keys=KeyRing.load({1: rig.keys.stranger.public_pem()}),
        notify_url=None,
        options={"path": FOLDERS[name], "code_consult": str(name == "alipay_hk").lower()},
    )
    return replace(given, **changes)


@contextlib.asynccontextmanager
async def connected(rig, name, **changes):
    connector = build(settings(rig, name, **changes), SystemClock())
    await connector.start()
    yield connector
    await connector.close()


def play(keys, work):
    async def whole():
        async with running(keys, direct=direct(keys)) as rig:
            return await work(rig)

    return asyncio.run(whole())


def opened(key="pay_1"):
    now = datetime.now(UTC)
    asked = replace(order(), placed_at=now, expires_at=now + timedelta(seconds=60))
    return open_payment(key, asked, ALIPAY_PLUS).payment


def body(connector, payment, code):
    merchant = next(iter(directory().merchants.values()))
    store = next(iter(merchant.stores.values()))
    return connector.build_pay(payment.payment_request_id, payment.order, merchant, store, code)


@pytest.mark.parametrize("name", ["alipay_hk", "kakaopay"])
def test_a_wallet_is_paid_asked_cancelled_and_refunded_directly(keys, name):
    async def work(rig):
        code = await rig.code(wallet=name)
        payment = opened()
        async with connected(rig, name) as connector:
            before = await connector.inquire(payment)
            paid = await connector.pay(body(connector, payment, code))
            asked = await connector.inquire(payment)
            refunded = await connector.refund(payment)
            second = opened("pay_2")
            code = await rig.code(wallet=name)
            await connector.pay(body(connector, second, code))
            cancelled = await connector.cancel(second)
        _, listed = await rig.control("GET", "/sandbox/payments")
        return before, paid, asked, refunded, cancelled, listed["payments"]

    before, paid, asked, refunded, cancelled, listed = play(keys, work)
    assert before == InquiryRefused("ORDER_NOT_EXIST")
    assert isinstance(paid, PayAnswered)
    assert paid.report.outcome is Outcome.SUCCESS
    assert isinstance(asked, InquiryAnswered)
    assert refunded == RefundAnswered(Outcome.SUCCESS, "SUCCESS")
    assert cancelled == CancelAnswered(Outcome.SUCCESS, "SUCCESS")
    assert [(each["network"], each["net_debit"], each["debits"]) for each in listed] == [
        (name, 0, 1),
        (name, 0, 1),
    ]


def test_a_code_of_another_wallet_means_nothing_there_and_stays_good(keys):
    async def work(rig):
        code = await rig.code(wallet="gcash")
        async with connected(rig, "kakaopay") as connector:
            refused = await connector.pay(body(connector, opened(), code))
        elsewhere = await rig.pay(code, "pay_2")
        return refused, elsewhere

    refused, elsewhere = play(keys, work)
    assert (refused.report.outcome, refused.report.code) == (Outcome.FAILURE, "INVALID_CODE")
    assert elsewhere["result"]["resultStatus"] == "S"


def test_one_customer_has_one_purse_whichever_way_the_money_is_asked_for(keys):
    async def work(rig):
        code = await rig.code(wallet="kakaopay", customer="kakaopay_minji")
        async with connected(rig, "kakaopay") as connector:
            await connector.pay(body(connector, opened(), code))
        await rig.pay(await rig.code(wallet="kakaopay", customer="kakaopay_minji"), "pay_2")
        _, ledger = await rig.control("GET", "/sandbox/ledger")
        ids = {entry["payment_id"] for entry in ledger["entries"]}
        balance = next(b for b in ledger["balances"] if b["customer"] == "kakaopay_minji")
        taken = sum(entry["pay_to_amount"]["value"] for entry in ledger["entries"])
        return len(ids), balance["opening"] - balance["balance"] == taken

    assert play(keys, work) == (2, True)


def test_the_keys_of_one_network_open_no_other(keys):
    async def work(rig):
        answer, headers = await rig.send("/aps/kakaopay/payments/inquiryPayment", b"{}")
        return answer["result"]["resultCode"], "Signature" in headers

    # Alipay+'s own client id is nobody at KakaoPay.
    assert play(keys, work) == ("INVALID_CLIENT", False)


def test_a_network_is_told_apart_by_its_folder(keys):
    async def work(rig):
        async with connected(rig, "kakaopay") as connector:
            return await connector._client.call(
                replace(connector._apis.inquiry, path="/aps/kakaopay/payments/nothing"), b"{}"
            )

    answered = play(keys, work)
    assert answered.message.result.result_code == "NO_INTERFACE_DEF"


@pytest.mark.parametrize(
    ("asked", "whose"),
    [
        ({"wallet": "alipay_hk", "kind": "alipay_cn_hk"}, "ALIPAY_HK"),
        ({"wallet": "alipay_cn", "kind": "alipay_cn_hk", "length": 16}, "ALIPAY_CN"),
        ({"wallet": "gcash"}, "GCASH"),
    ],
)
def test_alipay_hk_tells_whose_a_code_is_and_uses_nothing_up(keys, asked, whose):
    async def work(rig):
        code = await rig.code(**asked)
        async with connected(rig, "alipay_hk") as connector:
            told = [await connector.consult(code) for _ in range(2)]
        paid = await rig.pay(code)
        async with connected(rig, "alipay_hk") as connector:
            told.append(await connector.consult(code))
        return told, paid["result"]["resultStatus"]

    assert play(keys, work) == ([whose, whose, ""], "S")


def test_nobody_knows_a_code_that_was_never_issued(keys):
    async def work(rig):
        async with connected(rig, "alipay_hk") as connector:
            return await connector.consult("280000000000000000")

    assert play(keys, work) == ""


def test_kakaopay_has_no_code_consult(keys):
    async def work(rig):
        async with connected(rig, "kakaopay") as connector:
            return hasattr(connector, "consult")

    assert not play(keys, work)


def test_a_direct_wallet_notifies_with_its_own_keys(keys):
    async def work(rig):
        code = await rig.code(wallet="kakaopay", customer="kakaopay_junho")
        rig.shop.keys = replace(rig.keys, network=rig.keys.stranger)
        async with connected(rig, "kakaopay", notify_url=rig.shop.url + "/notify/kakaopay") as it:
            waiting = await it.pay(body(it, opened(), code))
            await rig.control("POST", "/sandbox/payments/pay_1/confirm")
            _, told = await asyncio.wait_for(rig.shop.got.get(), 5)
        return waiting.report.code, told["paymentRequestId"], told["paymentResult"]["resultStatus"]

    assert play(keys, work) == ("PAYMENT_IN_PROCESS", "pay_1", "S")


def test_a_notification_of_a_direct_wallet_is_read_with_its_keys_alone(keys):
    async def work(rig):
        raw = (
            b'{"paymentResult":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"ok"},'
            b'"paymentRequestId":"pay_1","paymentId":"1",'
            b'"paymentAmount":{"currency":"JPY","value":"100"}}'
        )
        time = "2026-01-31T12:00:00+08:00"
        connector = build(settings(rig, "kakaopay"), SystemClock())

        def call(key):
            signature = key.sign("/notify/kakaopay", CLIENTS["kakaopay"], time, raw)
            headers = {
                "client-id": CLIENTS["kakaopay"],
                "request-time": time,
                "signature": signature,
            }
            return NotifyCall(path="/notify/kakaopay", headers=headers, body=raw)

        told = connector.read_notification(call(rig.keys.stranger))
        with pytest.raises(Exception, match="its signature") as refused:
            connector.read_notification(call(rig.keys.network))
        return told.payment_request_id, refused.value.answer.status

    assert play(keys, work) == ("pay_1", 401)
