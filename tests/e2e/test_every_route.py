"""One order on each route in turn: real HTTP, real signatures, the settings that `tillgate keys new
--direct` writes, the sandbox's ledger as truth.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest

from tests.proxy import Proxy
from tests.support import Wallets, serving
from tillgate.cli.keys import Addresses, write_folder
from tillgate.cli.serve import sandbox_settings
from tillgate.clock import SystemClock
from tillgate.config import load_gateway, load_sandbox
from tillgate.sandbox.app import create_app
from tillgate.server import Address, listen, url_of
from tillgate.wiring import build_gateway

AMOUNT = {"currency": "CNY", "value": 1000}


@dataclass(frozen=True)
class Route:
    """A route's connector, a wallet behind it, how its code looks, and its pay on the wire."""

    connector: str
    wallet: str
    kind: str
    pay: bytes = b"/pay HTTP"


ROUTES = [
    Route("alipay_plus", "gcash", "cgcp"),
    Route("alipay_hk", "alipay_hk", "alipay_cn_hk"),
    Route("kakaopay", "kakaopay", "cgcp"),
    Route("alipay_cn", "alipay_cn", "alipay_cn_hk", b"method=alipay.trade.pay&"),
]
DIRECT = ("alipay_cn", "alipay_hk", "kakaopay")


class Shop:
    """A till of the merchant, and the customers."""

    def __init__(
        self, url: str, key: str, wallets: Wallets, proxy: Proxy, reload: Callable[[], object]
    ) -> None:
        self.url = url
        self.wallets = wallets
        self.proxy = proxy
        self.reload = reload
        self._key = key
        self._count = 0

    async def ask(
        self, method: str, path: str, body: Any = None, wait: int = 0
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self._key}", "Prefer": f"wait={wait}"}
        if path == "/v1/payments":
            self._count += 1
            headers["Idempotency-Key"] = f"key-{self._count}"
        async with self.wallets.session.request(
            method, self.url + path, json=body, headers=headers
        ) as response:
            return response.status, await response.json(content_type=None)

    async def pay(self, route: Route, order: str, *, asks: bool = False) -> dict[str, Any]:
        listed = (await self.wallets.get("/wallets"))["wallets"]
        wallet = next(each for each in listed if each["id"] == route.wallet)
        limit = 0 if asks else None
        customer = next(c["id"] for c in wallet["customers"] if c["confirm_above"] == limit)
        code = await self.wallets.code(wallet=route.wallet, kind=route.kind, customer=customer)
        body = {"code": code, "order": {"merchant_order_id": order, "amount": AMOUNT}}
        status, payment = await self.ask("POST", "/v1/payments", body, wait=1 if asks else 20)
        assert status < 300, payment
        assert payment["route"] == route.connector
        return payment

    async def thumb(self, payment: dict[str, Any], act: str) -> None:
        url = f"{self.wallets.url}/sandbox/payments/{payment['id']}/{act}"
        async with self.wallets.session.post(url) as response:
            assert response.status == 200, await response.text()

    async def after(self, payment: dict[str, Any], wait: int = 20) -> dict[str, Any]:
        return (await self.ask("GET", f"/v1/payments/{payment['id']}", wait=wait))[1]

    async def acknowledged(self, payment: dict[str, Any]) -> dict[str, Any]:
        """The payment at the wallets' side, once we have acknowledged its notification."""
        for _ in range(1000):
            there = await self.wallets.get(f"/payments/{payment['id']}")
            if there["notification"] and there["notification"]["is_acknowledged"]:
                return there
            await asyncio.sleep(0.01)
        raise AssertionError(f"not acknowledged: {there}")

    async def cancel(self, payment: dict[str, Any]) -> dict[str, Any]:
        return (await self.ask("POST", f"/v1/payments/{payment['id']}/cancel", wait=20))[1]

    async def books(self) -> list[tuple[str, int, int]]:
        """Of each payment at the wallets' side: its network, debits and net debit."""
        listed = (await self.wallets.get("/payments"))["payments"]
        return [(each["network"], each["debits"], each["net_debit"]) for each in listed]


def in_a_shop(tmp_path, work, **environ):
    async def whole():
        async with contextlib.AsyncExitStack() as stack:
            listener = listen(Address("127.0.0.1", 0))
            proxy = Proxy(url_of(listener))
            await stack.enter_async_context(proxy.running())
            there = proxy.url.removeprefix("http://")
            write_folder(tmp_path, Addresses(gateway="127.0.0.1:0", sandbox=there), DIRECT)
            file = tmp_path / "tillgate.toml"
            sandbox = create_app(sandbox_settings(load_sandbox(environ, file)), SystemClock())
            network = await stack.enter_async_context(serving(sandbox, listener))
            door = listen(Address("127.0.0.1", 0))
            settings = load_gateway({"TILLGATE_ROUTING_CN_HK_FIRST": "consult"} | environ, file)
            built = build_gateway(settings, url_of(door))
            url = await stack.enter_async_context(serving(built.app, door))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            key = (tmp_path / "till.toml").read_text().partition('api_key = "')[2].split('"')[0]
            return await work(Shop(url, key, Wallets(network, session), proxy, built.on_hangup))

    return asyncio.run(whole())


def test_the_same_order_is_paid_and_cancelled_on_each_route_in_turn(tmp_path):
    async def work(shop):
        told = []
        for route in ROUTES:
            paid = await shop.pay(route, "order-1")
            _, again = await shop.ask(
                "POST",
                "/v1/payments",
                {
                    "code": await shop.wallets.code(),
                    "order": {"merchant_order_id": "order-1", "amount": AMOUNT},
                },
            )
            cancelled = await shop.cancel(paid)
            told.append((paid["status"], again["code"], cancelled["status"], cancelled["route"]))
        last = await shop.pay(ROUTES[0], "order-1")
        return told, last["status"], await shop.books()

    told, last, books = in_a_shop(tmp_path, work)
    for route, seen in zip(ROUTES, told, strict=True):
        refusal = "order_already_has_a_payment"
        assert seen == ("SUCCEEDED", refusal, "CANCELLED", route.connector)
    assert last == "SUCCEEDED"
    expected = [(route.connector, 1, 0) for route in ROUTES]
    assert books == [*expected, (ROUTES[0].connector, 1, AMOUNT["value"])]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.connector)
def test_in_process_then_confirmed(tmp_path, route):
    async def work(shop):
        waiting = await shop.pay(route, "order-1", asks=True)
        await shop.thumb(waiting, "confirm")
        return waiting["status"], (await shop.after(waiting))["status"], await shop.books()

    assert in_a_shop(tmp_path, work) == (
        "PENDING",
        "SUCCEEDED",
        [(route.connector, 1, AMOUNT["value"])],
    )


NOTIFIED = [
    *((route, "confirm") for route in ROUTES),
    *((route, "decline") for route in ROUTES if route.connector != "alipay_cn"),
]
"""AlipayCN tells of what was paid only (ADR 0016)."""


@pytest.mark.parametrize(("route", "act"), NOTIFIED, ids=lambda it: getattr(it, "connector", it))
def test_one_notification_ends_it_and_is_acknowledged(tmp_path, route, act):
    """At each connector's own address, with its own keys; nobody has to ask."""

    async def work(shop):
        waiting = await shop.pay(route, "order-1", asks=True)
        await shop.thumb(waiting, act)
        there = await shop.acknowledged(waiting)
        ended = await shop.after(waiting)
        _, told = await shop.ask("GET", f"/v1/payments/{waiting['id']}/events")
        kinds = [event["kind"] for event in told["events"]]
        return ended["status"], kinds, there["notification"]["sent_count"], there["net_debit"]

    is_paid = act == "confirm"
    assert in_a_shop(tmp_path, work, TILLGATE_SANDBOX_NOTIFY_DELAY_S="0") == (
        "SUCCEEDED" if is_paid else "FAILED",
        ["accepted", "pay_answered", "notified"],
        1,
        AMOUNT["value"] if is_paid else 0,
    )


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.connector)
def test_cancelled_while_the_customer_thinks(tmp_path, route):
    async def work(shop):
        waiting = await shop.pay(route, "order-1", asks=True)
        cancelled = await shop.cancel(waiting)
        return cancelled["status"], cancelled["final"], await shop.books()

    assert in_a_shop(tmp_path, work) == ("CANCELLED", True, [(route.connector, 0, 0)])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.connector)
def test_a_lost_reply_costs_the_customer_nothing_twice(tmp_path, route):
    async def work(shop):
        pays = []

        def seen(number, raw):
            if route.pay in raw:
                pays.append(number)
            return raw

        def lost(number, raw):
            return None if pays[:1] == [number] else raw

        shop.proxy.on_request, shop.proxy.on_response = seen, lost
        paid = await shop.pay(route, "order-1")
        return paid["status"], len(pays) >= 1, await shop.books()

    assert in_a_shop(tmp_path, work) == (
        "SUCCEEDED",
        True,
        [(route.connector, 1, AMOUNT["value"])],
    )


def test_a_payment_goes_back_the_way_it_went_after_the_table_changed(tmp_path):
    table = tmp_path / "ours.toml"

    def write(version, leads_to):
        table.write_text(
            f"""
version = "{version}"
default = "alipay_plus"
[[rule]]
id = "kakao"
pattern = '^281006\\d{{18}}$'
to = "{leads_to}"
"""
        )

    async def work(shop):
        first = await shop.pay(ROUTES[2], "order-1")
        write("ours-2", "alipay_plus")
        assert shop.reload()
        second = await shop.pay(replace(ROUTES[2], connector="alipay_plus"), "order-2")
        write("ours-2", "mpp")
        assert not shop.reload()  # other rules under the same version
        return first, second, await shop.cancel(first), await shop.books()

    write("ours-1", "mpp")
    first, second, cancelled, books = in_a_shop(tmp_path, work, TILLGATE_ROUTING_TABLE=str(table))
    assert [(one["route"], one["rule"], one["table"]) for one in (first, second, cancelled)] == [
        ("kakaopay", "kakao", "ours-1"),
        ("alipay_plus", "kakao", "ours-2"),
        ("kakaopay", "kakao", "ours-1"),
    ]
    assert cancelled["status"] == "CANCELLED"
    assert sorted(books) == [("alipay_plus", 1, AMOUNT["value"]), ("kakaopay", 1, 0)]
