"""A customer as their phone shows it, and the page around it."""

from __future__ import annotations

import asyncio

import pytest

from tillgate.sandbox.plays import PLAYS
from tillgate.sandbox.wallet_page import is_outcome

from .side import running

HANA = "/sandbox/customers/kakaopay_hana"


def play(keys, work, **changes):
    async def run():
        async with running(keys, **changes) as rig:
            return await work(rig)

    return asyncio.run(run())


async def seen(rig, path=HANA):
    status, view = await rig.control("GET", path)
    assert status == 200, view
    return view


def test_a_phone_shows_what_its_customer_is_asked(keys):
    async def work(rig):
        code = await rig.code(customer="kakaopay_hana")
        await rig.pay(code, "pay_1")
        return code, await seen(rig)

    code, view = play(keys, work)
    [payment] = view["payments"]
    assert payment["status"] == "in_process"
    assert payment["amount"] == {"currency": "JPY", "value": 100, "exponent": 0}
    assert payment["pay_to_amount"] == {"currency": "KRW", "value": 920, "exponent": 0}
    assert payment["description"] == "Tea"
    assert payment["merchant_name"] is None
    assert view["customer"]["has_pin"] is True
    assert view["customer"]["balance"] == {"currency": "KRW", "value": 5_000_000, "exponent": 0}
    assert code not in str(view)
    assert "1234" not in str(view)


def test_a_phone_lists_its_customer_s_payments_newest_first_at_all_networks(keys):
    async def work(rig):
        for customer in ("kakaopay_minji", "gcash_maria", "kakaopay_minji"):
            code = await rig.code(customer=customer)
            await rig.pay(code, f"pay_{code[-6:]}")
        return [
            each["payment_request_id"]
            for each in (await rig.control("GET", "/sandbox/payments"))[1]["payments"]
        ], await seen(rig, "/sandbox/customers/kakaopay_minji")

    everybody, view = play(keys, work)
    own = [payment["payment_request_id"] for payment in view["payments"]]
    assert own == [everybody[2], everybody[0]]


def test_a_phone_lists_the_last_fifty(keys):
    async def work(rig):
        for number in range(52):
            await rig.pay(await rig.code(customer="kakaopay_minji"), f"pay_{number}")
        return await seen(rig, "/sandbox/customers/kakaopay_minji")

    ids = [payment["payment_request_id"] for payment in play(keys, work)["payments"]]
    assert ids == [f"pay_{number}" for number in range(51, 1, -1)]


def test_looking_at_a_phone_ends_what_has_expired(keys):
    async def work(rig):
        await rig.pay(await rig.code(customer="kakaopay_hana"))
        await rig.control("PUT", "/sandbox/clock", frozen=True, advance_s=61)
        return await seen(rig)

    view = play(keys, work)
    assert view["payments"][0]["status"] == "closed"
    assert view["is_frozen"] is True


def test_a_phone_shows_the_rules_that_may_meet_its_next_payment(keys):
    async def work(rig):
        for on in (
            {},
            {"wallet": "kakaopay"},
            {"customer": "kakaopay_hana", "api": "pay"},
            {"customer": "kakaopay_minji"},
            {"wallet": "gcash"},
            {"payment_request_id": "another"},
        ):
            await rig.control("POST", "/sandbox/rules", on=on, do={"lose": "reply"})
        before = await seen(rig)
        await rig.control("DELETE", "/sandbox/rules/rule_1")
        await rig.control("DELETE", "/sandbox/rules/rule_3")
        await rig.control("POST", "/sandbox/rules", on={"api": "pay"}, do={"result": "RISK_REJECT"})
        await rig.control("DELETE", "/sandbox/rules/rule_2")
        await rig.pay(await rig.code(customer="kakaopay_hana"))
        return before, await seen(rig)

    before, after = play(keys, work)
    assert [rule["id"] for rule in before["armed"]] == ["rule_1", "rule_2", "rule_3"]
    assert after["armed"] == [], "what is over is armed no more"


def test_each_run_is_told_apart(keys):
    async def work(rig):
        return (await seen(rig))["run_id"], (await seen(rig))["run_id"]

    first, again = play(keys, work)
    assert first == again
    assert play(keys, work)[0] != first


def test_nobody_s_phone_is_not_found(keys):
    async def work(rig):
        page = await rig.session.get(rig.url + "/wallet/nobody")
        return await rig.control("GET", "/sandbox/customers/nobody"), page.status, page.content_type

    (status, problem), page_status, kind = play(keys, work)
    assert (status, problem["code"]) == (404, "not_found")
    assert (page_status, kind) == (404, "text/html")


@pytest.mark.parametrize("path", ["/", "/wallet"])
def test_the_front_door_leads_to_a_phone(keys, path):
    async def work(rig):
        answer = await rig.session.get(rig.url + path, allow_redirects=False)
        return answer.status, answer.headers["Location"]

    assert play(keys, work) == (307, "/wallet/kakaopay_minji")


@pytest.mark.parametrize("framed_by", [(), ("http://127.0.0.1:8080",)])
def test_only_who_is_named_may_frame_a_phone(keys, framed_by):
    async def work(rig):
        answer = await rig.session.get(rig.url + "/wallet/gcash_maria")
        return answer.headers["Content-Security-Policy"]

    policy = play(keys, work, framed_by=framed_by)
    assert f"frame-ancestors {framed_by[0] if framed_by else chr(39) + 'none' + chr(39)}" in policy


def test_an_outcome_only_says_how_a_payment_ends():
    names = {name for name, play in PLAYS.items() if is_outcome(play)}
    assert {"risk_reject", "in_process_then_failure", "late_success"} <= names
    assert not names & {"unknown_but_paid", "reply_lost", "notify_twice", "cancel_lost", "slow"}
