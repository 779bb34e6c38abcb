"""Notifications of several networks at one gateway: each counts for its own payments alone."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import replace

import pytest

from tests import support
from tests.support import (
    CLIENT_ID,
    Call,
    ScriptedNetwork,
    gateway,
    network_key,
    notification,
    order,
    result,
    signed_answer,
)
from tillgate.alipayplus import messages

TIME = "2026-01-31T12:00:00+08:00"


async def in_process(call: Call):
    return signed_answer(call, {"result": result("U", "PAYMENT_IN_PROCESS")})


async def notify_at(api, path, message, key=None):
    body = messages.msgspec.json.encode(message)
    headers = {
        "Client-Id": CLIENT_ID,
        "Request-Time": TIME,
        "Signature": (key or network_key()).sign(path, CLIENT_ID, TIME, body),
        "Content-Type": "application/json",
    }
    async with api.session.post(api.url + path, data=body, headers=headers) as answer:
        return answer.status, await answer.read()


def with_two_networks(tmp_path, work):
    """Both sign with one key, so that only the address tells them apart."""

    async def whole():
        async with ScriptedNetwork(in_process).running() as network:
            alipay_plus = support.alipay_plus_settings(network.url)
            direct = replace(alipay_plus, name="other", kind="aps_direct", takes=("777",))
            both = (alipay_plus, direct)
            async with gateway(tmp_path, network.url, connectors=both) as api:
                _, payment = await api.post(order())
                return await work(api, payment)

    return asyncio.run(whole())


def test_a_genuine_word_of_one_network_moves_no_payment_of_another(tmp_path):
    async def work(api, payment):
        told = await notify_at(api, "/notify/other", notification(payment["id"]))
        _, after = await api.get(f"/v1/payments/{payment['id']}")
        return told, after["status"]

    (status, body), after = with_two_networks(tmp_path, work)
    # Acknowledged, so that it stops repeating it, and kept for a person.
    assert (status, json.loads(body)["result"]["resultStatus"]) == (200, "S")
    assert after == "PENDING"
    with sqlite3.connect(tmp_path / "tillgate.sqlite3") as connection:
        rows = connection.execute("SELECT count(*) FROM unmatched_notification").fetchone()
    assert rows == (1,)


def test_each_network_has_an_address_of_its_own(tmp_path):
    async def work(api, payment):
        message = notification(payment["id"])
        nobody = await notify_at(api, "/notify/nobody", message)
        own = await notify_at(api, "/notify/alipay_plus", message)
        return nobody[0], own[0], (await api.get(f"/v1/payments/{payment['id']}"))[1]["status"]

    assert with_two_networks(tmp_path, work) == (404, 200, "SUCCEEDED")


@pytest.mark.parametrize("path", ["/notify/other", "/notify/alipay_plus"])
def test_what_its_network_did_not_sign_is_refused_at_every_address(tmp_path, path):
    async def work(api, payment):
        stranger = support.acquirer_key()
        told = await notify_at(api, path, notification(payment["id"]), stranger)
        return told[0], (await api.get(f"/v1/payments/{payment['id']}"))[1]["status"]

    assert with_two_networks(tmp_path, work) == (401, "PENDING")
