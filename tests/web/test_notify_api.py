"""Notifications at the gateway's edge: what is believed, what is kept, and what is answered."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3

import pytest

from tests.support import (
    CLIENT_ID,
    Call,
    ScriptedNetwork,
    acquirer_key,
    gateway,
    network_key,
    notification,
    notify,
    order,
    result,
    ring,
    signed_answer,
)

PATH = "/alipayplus/v1/notifyPayment"


async def in_process(call: Call):
    """The network knows of the payment and nobody has decided."""
    if call.path.endswith("/pay"):
        return signed_answer(call, {"result": result("U", "PAYMENT_IN_PROCESS")})
    answer = {
        "result": result("S", "SUCCESS"),
        "paymentResult": result("U", "PAYMENT_IN_PROCESS"),
    }
    return signed_answer(call, answer)


def with_pending(tmp_path, work, script=in_process):
    """Run `work(api, payment)` with a payment that waits for its customer."""

    async def run():
        async with ScriptedNetwork(script).running() as network:
            async with gateway(tmp_path, network.url) as api:
                _, payment = await api.post(order())
                return await work(api, payment)

    return asyncio.run(run())


async def status_of(api, payment) -> str:
    return (await api.get(f"/v1/payments/{payment['id']}"))[1]["status"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "SUCCEEDED"),
        ({"paymentResult": result("F", "RISK_REJECT")}, "FAILED"),
        ({"paymentResult": result("F", "ORDER_IS_CLOSED"), "paymentAmount": None}, "FAILED"),
    ],
)
def test_a_final_result_ends_the_payment_and_is_acknowledged_with_a_signed_s(
    tmp_path, changes, status
):
    async def work(api, payment):
        http, body, headers = await notify(api, notification(payment["id"], **changes))
        return http, body, headers, await status_of(api, payment)

    http, body, headers, after = with_pending(tmp_path, work)
    assert (http, after) == (200, status)
    assert json.loads(body) == {"result": result("S", "SUCCESS")}
    time = headers["Response-Time"]
    ring(acquirer_key()).verify(headers["Signature"], PATH, CLIENT_ID, time, body)
    assert headers["Client-Id"] == CLIENT_ID


def test_the_same_notification_again_is_acknowledged_and_changes_nothing(tmp_path):
    async def work(api, payment):
        message = notification(payment["id"])
        answers = [(await notify(api, message))[0] for _ in range(3)]
        return answers, (await api.get(f"/v1/payments/{payment['id']}/events"))[1]

    answers, timeline = with_pending(tmp_path, work)
    assert answers == [200] * 3
    assert [row["kind"] for row in timeline["events"]].count("notified") == 1


@pytest.mark.parametrize(
    ("what", "amount"),
    [
        ("another amount", {"currency": "JPY", "value": "99"}),
        ("another currency", {"currency": "USD", "value": "100"}),
        ("no amount", None),
    ],
)
def test_a_success_with_another_amount_is_never_a_success(tmp_path, caplog, what, amount):
    async def work(api, payment):
        http, *_ = await notify(api, notification(payment["id"], paymentAmount=amount))
        return http, await status_of(api, payment)

    with caplog.at_level(logging.WARNING):
        assert with_pending(tmp_path, work) == (200, "PENDING"), what
    assert ("alert" in caplog.text) is (amount is not None)


def test_of_two_payments_only_one_may_have_a_network_id(tmp_path, caplog):
    async def work(api, payment):
        await notify(api, notification(payment["id"]))
        _, other = await api.post(order(order="order-2"), "key-2")
        http, *_ = await notify(api, notification(other["id"]))
        return http, await status_of(api, payment), await status_of(api, other)

    with caplog.at_level(logging.WARNING):
        assert with_pending(tmp_path, work) == (200, "SUCCEEDED", "PENDING")
    assert "another payment holds" in caplog.text


def test_an_unknown_payment_is_kept_alerted_and_acknowledged(tmp_path, caplog):
    async def work(api, payment):
        return (await notify(api, notification("pay_of_nobody")))[0]

    with caplog.at_level(logging.WARNING):
        assert with_pending(tmp_path, work) == 200
    assert "fits no payment" in caplog.text
    connection = sqlite3.connect(tmp_path / "tillgate.sqlite3")
    kept = connection.execute(
        "SELECT payment_request_id, outcome, amount FROM unmatched_notification"
    ).fetchall()
    connection.close()
    assert kept == [("pay_of_nobody", "S", "JPY 100")]


def refused(tmp_path, send):
    async def work(api, payment):
        http, body, headers = await send(api, payment)
        return http, json.loads(body), headers.get("Signature"), await status_of(api, payment)

    return with_pending(tmp_path, work)


@pytest.mark.parametrize("position", [0, 1, 60, 100, 200, -1])
def test_one_flipped_byte_is_refused_and_changes_nothing(tmp_path, position):
    def flip(body: bytes) -> bytes:
        changed = bytearray(body)
        changed[position] ^= 1
        return bytes(changed)

    async def send(api, payment):
        return await notify(api, notification(payment["id"]), tamper=flip)

    http, body, signature, status = refused(tmp_path, send)
    assert (http, body["result"]["resultStatus"], signature) == (401, "F", None)
    assert status == "PENDING"


def test_a_notification_signed_by_anybody_else_is_refused(tmp_path):
    async def send(api, payment):
        return await notify(api, notification(payment["id"]), key=acquirer_key())

    assert refused(tmp_path, send)[0] == 401


def test_a_notification_for_another_acquirer_is_refused(tmp_path):
    async def send(api, payment):
        return await notify(api, notification(payment["id"]), client_id="SANDBOX_OTHER")

    assert refused(tmp_path, send)[0] == 401


def test_a_notification_without_headers_is_refused(tmp_path):
    async def send(api, payment):
        async with api.session.post(api.url + PATH, data=b"{}") as response:
            return response.status, await response.read(), response.headers

    assert refused(tmp_path, send)[0] == 401


@pytest.mark.parametrize(
    "message",
    [
        b"<html>",
        b"[" * 50_000,
        b'{"paymentResult": null}',
        {"paymentResult": result("U", "PAYMENT_IN_PROCESS"), "paymentRequestId": "x"},
    ],
)
def test_a_signed_message_that_is_no_notification_is_refused(tmp_path, message):
    async def send(api, payment):
        return await notify(api, message)

    http, body, *_ = refused(tmp_path, send)
    assert (http, body["result"]["resultStatus"]) == (400, "F")


def test_a_notification_that_overtakes_the_pay_answer_wins_once(tmp_path):
    """The peers' race: the notification commits while the pay answer is still on its way."""
    held = None

    async def slow_pay(call: Call):
        await held.wait()
        return signed_answer(call, {"result": result("U", "PAYMENT_IN_PROCESS")})

    async def run():
        nonlocal held
        held = asyncio.Event()
        async with ScriptedNetwork(slow_pay).running() as network:
            async with gateway(tmp_path, network.url) as api:
                _, payment = await api.post(order())
                await notify(api, notification(payment["id"]))
                held.set()
                # The late answer has been applied once its connection serves the next payment.
                await api.post(order(order="order-2"), "key-2")
                return await status_of(api, payment)

    assert asyncio.run(run()) == "SUCCEEDED"


def test_the_query_of_the_notify_address_is_part_of_what_is_signed(tmp_path):
    async def work(api, payment):
        body = json.dumps(notification(payment["id"])).encode()
        time = "2026-02-01T00:00:00+08:00"
        answers = []
        for signed, sent in (("?tenant=a%20b", "?tenant=a%20b"), ("?tenant=a", "?tenant=b")):
            headers = {
                "client-id": CLIENT_ID,
                "request-time": time,
                "signature": network_key().sign(PATH + signed, CLIENT_ID, time, body),
            }
            import yarl

            url = yarl.URL(api.url + PATH + sent, encoded=True)
            async with api.session.post(url, data=body, headers=headers) as response:
                answers.append(response.status)
        return answers

    assert with_pending(tmp_path, work) == [200, 401]
