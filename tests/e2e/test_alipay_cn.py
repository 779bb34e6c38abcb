"""From till to AlipayCN and back: real HTTP on three hops, RSA2 both ways, the sandbox's ledger as
truth.
"""

from __future__ import annotations

import asyncio
import contextlib

from tests.proxy import Proxy
from tests.sandbox.test_open_platform_api import APP, APP_KEY, PLATFORM_KEY, ring
from tests.support import API_KEY, Wallets, alipay_plus_settings, gateway, order, sandbox
from tillgate.connectors import ConnectorSettings
from tillgate.sandbox.app import NetworkKeys


def connector(url):
    return ConnectorSettings(
        name="alipay_cn",
        kind="alipay_cn",
        takes=("alipay_cn",),
        base_url=f"{url}/gateway.do",
        client_id=APP,
        signing_key=APP_KEY,
        network_keys=ring(PLATFORM_KEY),
        notify_url=None,
        options={},
    )


def whole(tmp_path, work, on_response=lambda number, raw: raw, **sandbox_settings):
    """Run `work(api, wallets, proxy)` with a proxy between the gateway and AlipayCN."""

    async def run():
        cn = NetworkKeys(signing_key=PLATFORM_KEY, acquirers={APP: ring(APP_KEY)})
        async with contextlib.AsyncExitStack() as stack:
            url = await stack.enter_async_context(
                sandbox(direct={"alipay_cn": cn}, **sandbox_settings)
            )
            proxy = Proxy(url, on_response=on_response)
            await stack.enter_async_context(proxy.running())
            both = (alipay_plus_settings(url), connector(proxy.url))
            api = await stack.enter_async_context(gateway(tmp_path, url, connectors=both))
            return await work(api, Wallets(url, api.session), proxy)

    return asyncio.run(run())


def sale(code, **changes):
    return order(code=code, currency="CNY", value=8888, **changes)


async def cancelled(api, payment_id):
    headers = {"Authorization": f"Bearer {API_KEY}", "Prefer": "wait=10"}
    url = f"{api.url}/v1/payments/{payment_id}/cancel"
    async with api.session.post(url, headers=headers) as answer:
        return await answer.json()


def methods(told):
    return [
        e["api"].rpartition(".")[2]
        for e in told["exchanges"]
        if e["kind"] == "request" and e["api"].startswith("alipay.")
    ]


def test_a_code_of_alipay_cns_is_paid_once_and_given_back_by_a_refund(tmp_path):
    async def work(api, wallets, proxy):
        code = await wallets.code(wallet="alipay_cn", kind="alipay_cn_hk")
        _, paid = await api.post(sale(code), wait=10)
        assert (paid["status"], paid["route"]) == ("SUCCEEDED", "alipay_cn")
        assert paid["wallet"] == "ALIPAY_CN"
        assert await wallets.debits(paid["id"]) == (1, 8888)
        done = await cancelled(api, paid["id"])
        assert done["status"] == "CANCELLED"
        assert await wallets.debits(paid["id"]) == (1, 0)
        told = await wallets.get(f"/exchanges?payment_request_id={paid['id']}")
        assert methods(told) == ["pay", "query", "refund"]

    whole(tmp_path, work)


def test_a_notice_settles_what_the_customer_confirms_and_is_acknowledged(tmp_path):
    async def work(api, wallets, proxy):
        code = await wallets.code(customer="alipay_cn_fang", kind="alipay_cn_hk")
        _, waiting = await api.post(sale(code))
        for _ in range(200):
            _, waiting = await api.get(f"/v1/payments/{waiting['id']}")
            if waiting["next_step"] == "ask_customer_to_confirm":
                break
            await asyncio.sleep(0.01)
        async with api.session.post(f"{wallets.url}/sandbox/payments/{waiting['id']}/confirm"):
            pass
        _, paid = await api.get(f"/v1/payments/{waiting['id']}", wait=4)
        assert paid["status"] == "SUCCEEDED"
        told = await wallets.get(f"/exchanges?payment_request_id={paid['id']}")
        notices = [e["signature"] for e in told["exchanges"] if e["api"] == "notify_url"]
        assert notices == ["signed by the network", "valid"]
        assert methods(told) == ["pay"], "nobody had to ask"

    whole(tmp_path, work, notify_delay_s=0.0)


def test_a_lost_answer_charges_nobody_twice(tmp_path):
    def lose_the_first(number, raw):
        return None if number == 1 else raw

    async def work(api, wallets, proxy):
        code = await wallets.code(wallet="alipay_cn", kind="alipay_cn_hk")
        _, paid = await api.post(sale(code), wait=10)
        assert paid["status"] == "SUCCEEDED"
        assert await wallets.debits(paid["id"]) == (1, 8888)

    whole(tmp_path, work, lose_the_first)


def test_another_currency_is_refused_before_anything_exists(tmp_path):
    async def work(api, wallets, proxy):
        code = await wallets.code(wallet="alipay_cn", kind="alipay_cn_hk")
        status, refused = await api.post(order(code=code, currency="JPY", value=100), wait=10)
        assert (status, refused["code"]) == (422, "invalid_amount")
        assert refused["path"] == "$.order.amount.currency"
        assert proxy.seen == 0

    whole(tmp_path, work)
