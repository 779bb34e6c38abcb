"""From till to wallet and back: real HTTP on three hops, real signatures, the sandbox's ledger
as truth.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.proxy import Proxy, flip
from tests.support import Api, Wallets, gateway, order, sandbox


def whole(tmp_path, work, *, network=None, notify=None, **sandbox_settings):
    """Run `work(api, wallets, proxy)` with a proxy between gateway and sandbox."""

    async def run():
        async with contextlib.AsyncExitStack() as stack:
            url = await stack.enter_async_context(sandbox(**sandbox_settings))
            proxy = Proxy(url, *(network or ()))
            await stack.enter_async_context(proxy.running())
            api: Api = await stack.enter_async_context(gateway(tmp_path, proxy.url))
            return await work(api, Wallets(url, api.session), proxy)

    return asyncio.run(run())


def untouched(number, raw):
    return raw


@pytest.mark.parametrize(
    ("wallet", "kind", "brand", "rule"),
    [
        ("kakaopay", "cgcp", "KAKAOPAY", "4"),
        ("gcash", "cgcp", "GCASH", "4"),
        ("alipay_hk", "alipay_plus_19", "ALIPAY_HK", "1"),
        ("alipay_cn", "alipay_plus_19", "ALIPAY_CN", "1"),
        ("tng", "cgcp", "TNG", "4"),
        ("truemoney", "cgcp", "TRUEMONEY", "4"),
    ],
)
def test_a_scanned_code_of_each_wallet_is_paid_once(tmp_path, wallet, kind, brand, rule):
    async def work(api, wallets, proxy):
        code = await wallets.code(wallet=wallet, kind=kind)
        status, payment = await api.post(order(code=code), wait=10)
        return status, payment, await wallets.debits(payment["id"])

    status, payment, debits = whole(tmp_path, work)
    assert (status, payment["status"], payment["wallet"]) == (201, "SUCCEEDED", brand)
    assert payment["rule"] == rule
    assert debits == (1, 100)


def test_a_code_works_once(tmp_path):
    async def work(api, wallets, proxy):
        code = await wallets.code()
        first = await api.post(order(code=code), "k1", wait=10)
        second = await api.post(order(code=code, order="order-2"), "k2", wait=10)
        return first[1], second[1], await wallets.debits(second[1]["id"])

    first, second, debits = whole(tmp_path, work)
    assert first["status"] == "SUCCEEDED"
    assert (second["status"], second["next_step"]) == ("FAILED", "show_new_code")
    assert second["result"]["code"] == "INVALID_CODE"
    assert debits == (0, 0)


def test_a_payment_that_the_customer_confirms_is_found_by_the_notification(tmp_path):
    """Notified at once, long before the first inquiry is due: the till hears it then."""

    async def work(api, wallets, proxy):
        slow = await always_asks(wallets)
        code = await wallets.code(wallet="gcash", customer=slow)
        status, payment = await api.post(order(code=code), wait=1)
        path = f"{wallets.url}/sandbox/payments/{payment['id']}/confirm"
        async with api.session.post(path) as response:
            assert response.status < 300
        return status, payment, (await api.get(f"/v1/payments/{payment['id']}", wait=10))[1]

    status, first, later = whole(tmp_path, work, notify_delay_s=0.05)
    assert (status, first["status"]) == (202, "PENDING")
    assert first["next_step"] == "ask_customer_to_confirm"
    assert later["status"] == "SUCCEEDED"


def test_a_payment_that_the_customer_confirms_is_found_by_the_inquiry(tmp_path):
    async def work(api, wallets, proxy):
        code = await wallets.code(wallet="gcash", customer=await always_asks(wallets))
        _, payment = await api.post(order(code=code), wait=1)
        path = f"{wallets.url}/sandbox/payments/{payment['id']}/confirm"
        async with api.session.post(path):
            pass
        _, later = await api.get(f"/v1/payments/{payment['id']}", wait=10)
        _, timeline = await api.get(f"/v1/payments/{payment['id']}/events")
        return later, [row["kind"] for row in timeline["events"]]

    later, kinds = whole(tmp_path, work, notify_delay_s=3600)
    assert later["status"] == "SUCCEEDED"
    assert kinds == ["accepted", "pay_answered", "timer_due", "inquiry_answered"]


def test_a_payment_that_the_customer_declines_fails_with_what_to_do(tmp_path):
    async def work(api, wallets, proxy):
        code = await wallets.code(wallet="gcash", customer=await always_asks(wallets))
        _, payment = await api.post(order(code=code), wait=1)
        path = f"{wallets.url}/sandbox/payments/{payment['id']}/decline"
        async with api.session.post(path):
            pass
        _, later = await api.get(f"/v1/payments/{payment['id']}", wait=10)
        return later, await wallets.debits(payment["id"])

    later, debits = whole(tmp_path, work, notify_delay_s=0.05)
    assert (later["status"], later["next_step"]) == ("FAILED", "show_new_code")
    assert debits == (0, 0)


def test_a_payment_that_nobody_confirms_is_cancelled_after_its_expiry(tmp_path):
    async def work(api, wallets, proxy):
        code = await wallets.code(wallet="gcash", customer=await always_asks(wallets))
        body = order(code=code, expires_in_s=1)
        _, payment = await api.post(body, wait=15)
        return payment, await wallets.debits(payment["id"])

    payment, debits = whole(tmp_path, work, notify_delay_s=3600)
    # The network may close it first (FAILED) or be asked to (CANCELLED): both mean "not charged".
    assert payment["final"]
    assert payment["status"] in ("CANCELLED", "FAILED")
    assert payment["next_step"] == "show_new_code"
    assert debits == (0, 0)


async def always_asks(wallets: Wallets) -> str:
    listed = (await wallets.get("/wallets"))["wallets"]
    gcash = next(wallet for wallet in listed if wallet["id"] == "gcash")
    return next(c["id"] for c in gcash["customers"] if c["confirm_above"] == 0)


@pytest.mark.parametrize(
    ("what", "on_request", "on_response"),
    [
        ("the first request is lost", lambda n, raw: None if n == 1 else raw, untouched),
        ("the first reply is lost", untouched, lambda n, raw: None if n == 1 else raw),
        ("two replies are lost", untouched, lambda n, raw: None if n <= 2 else raw),
        ("the first reply is cut", untouched, lambda n, raw: raw[:-9] if n == 1 else raw),
        ("a byte of the first reply flips", untouched, lambda n, r: flip(r, 40) if n == 1 else r),
    ],
)
def test_whatever_is_lost_on_the_way_the_customer_is_charged_once(
    tmp_path, what, on_request, on_response
):
    async def work(api, wallets, proxy):
        code = await wallets.code()
        status, payment = await api.post(order(code=code), wait=20)
        return status, payment, await wallets.debits(payment["id"]), proxy.bodies

    lossy = (on_request, on_response)
    # No notification settles it before it is sent again, however slow the machine is.
    status, payment, debits, bodies = whole(tmp_path, work, network=lossy, notify_delay_s=3600)
    assert (status, payment["status"]) == (201, "SUCCEEDED"), what
    assert debits == (1, 100)
    # What was sent again was the very same request.
    assert len(bodies) >= 2
    assert len(set(bodies)) == 1


@pytest.mark.parametrize("position", [0, 17, 90, 200, -1])
def test_one_flipped_byte_of_the_request_is_refused_by_the_network(tmp_path, position):
    async def work(api, wallets, proxy):
        code = await wallets.code()
        _, payment = await api.post(order(code=code), wait=1)
        return payment, await wallets.debits(payment["id"])

    spoil = (lambda number, raw: flip(raw, position), untouched)
    payment, debits = whole(tmp_path, work, network=spoil)
    # Unsigned, so it proves nothing: the gateway goes on asking, and calls for help.
    assert (payment["status"], payment["next_step"]) == ("PENDING", "call_support")
    assert debits == (0, 0)


def test_a_spoiled_notification_changes_nothing_and_comes_again(tmp_path):
    """What the network sends to us goes through a proxy that flips a byte of the first one."""

    async def run():
        async with contextlib.AsyncExitStack() as stack:
            retries = {"notify_delay_s": 0.05, "notify_retries_s": (0.1, 0.1)}
            url = await stack.enter_async_context(sandbox(**retries))
            spoil = Proxy("", lambda n, raw: flip(raw, 30) if n == 1 else raw)
            await stack.enter_async_context(spoil.running())
            api = await stack.enter_async_context(gateway(tmp_path, url, public_url=spoil.url))
            spoil.upstream = api.url
            wallets = Wallets(url, api.session)
            code = await wallets.code(wallet="gcash", customer=await always_asks(wallets))
            _, payment = await api.post(order(code=code), wait=1)
            async with api.session.post(f"{url}/sandbox/payments/{payment['id']}/confirm"):
                pass
            _, later = await api.get(f"/v1/payments/{payment['id']}", wait=10)
            _, timeline = await api.get(f"/v1/payments/{payment['id']}/events")
            return later, spoil.seen, [row["kind"] for row in timeline["events"]]

    later, seen, kinds = asyncio.run(run())
    assert later["status"] == "SUCCEEDED"
    assert seen == 2
    assert kinds == ["accepted", "pay_answered", "notified"]
