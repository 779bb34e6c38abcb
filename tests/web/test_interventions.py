"""What people ask of a payment that exists: a till cancels it, an operator resolves it."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.left_behind import UNDECIDED, UNRESOLVED, leave
from tests.support import (
    API_KEY,
    CODE,
    OPERATOR_KEY,
    OTHER_API_KEY,
    Call,
    ScriptedNetwork,
    gateway,
    order,
    paid,
    result,
    signed_answer,
)
from tillgate.core.model import Status

SILENT = "http://127.0.0.1:1"
IN_PROCESS = {"result": result("U", "PAYMENT_IN_PROCESS")}
STILL = {"result": result("S", "SUCCESS"), "paymentResult": result("U", "PAYMENT_IN_PROCESS")}


def network_that(pay: str, cancel: str):
    """A script: how it answers pays and cancels; inquiries are in process."""

    async def answer(call: Call):
        match call.path.rpartition("/")[2]:
            case "pay":
                if pay == "declines":
                    return signed_answer(call, {"result": result("F", "RISK_REJECT")})
                return signed_answer(
                    call,
                    paid(call, call.message["paymentRequestId"][-16:])
                    if pay == "pays"
                    else IN_PROCESS,
                )
            case "cancelPayment" if cancel == "silent":
                await asyncio.sleep(1.5)
                return None
            case "cancelPayment":
                return signed_answer(call, {"result": result("S", "SUCCESS")})
            case _:
                return signed_answer(call, STILL)

    return answer


def run(tmp_path, script, work):
    async def whole():
        async with (
            ScriptedNetwork(script).running() as network,
            gateway(tmp_path, network.url) as api,
        ):
            return await work(api, network)

    return asyncio.run(whole())


async def ask(api, path, body=None, key=API_KEY, wait=0):
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    if wait:
        headers["Prefer"] = f"wait={wait}"
    data = None if body is None else json.dumps(body)
    async with api.session.post(api.at(path), data=data, headers=headers) as response:
        return response.status, await response.json(content_type=None)


# A till cancels
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pay", ["pays", "in process"])
def test_a_till_cancels_at_any_moment_and_is_told_once_the_network_confirmed(tmp_path, pay):
    async def work(api, network):
        _, payment = await api.post(order(), wait=5 if pay == "pays" else 0)
        path = f"/v1/payments/{payment['id']}/cancel"
        first = await ask(api, path, wait=5)
        again = await ask(api, path, {}, wait=5)
        return first, again, network.count("cancelPayment")

    (status, told), again, cancels = run(tmp_path, network_that(pay, "answers"), work)
    assert (status, told["status"], told["final"]) == (200, "CANCELLED", True)
    assert told["next_step"] == "none"
    assert again == (200, told)
    assert cancels == 1


def test_a_cancel_that_is_not_confirmed_yet_is_202_and_never_called_done(tmp_path):
    async def work(api, network):
        _, payment = await api.post(order(), wait=5)
        return await ask(api, f"/v1/payments/{payment['id']}/cancel", wait=1)

    status, told = run(tmp_path, network_that("pays", "silent"), work)
    assert (status, told["status"], told["final"]) == (202, "CANCELLING", True)
    assert told["next_step"] == "wait_do_not_charge_again"


def test_a_failed_payment_has_nothing_to_cancel(tmp_path):
    async def work(api, network):
        _, payment = await api.post(order(), wait=5)
        told = await ask(api, f"/v1/payments/{payment['id']}/cancel")
        return told, network.count("cancelPayment")

    (status, told), cancels = run(tmp_path, network_that("declines", "answers"), work)
    assert (status, told["status"], cancels) == (200, "FAILED", 0)


def test_a_cancelled_order_may_be_paid_with_another_code(tmp_path):
    async def work(api, network):
        _, payment = await api.post(order(), wait=5)
        await ask(api, f"/v1/payments/{payment['id']}/cancel", wait=5)
        return await api.post(order(), key="second", wait=5)

    status, second = run(tmp_path, network_that("pays", "answers"), work)
    assert (status, second["status"]) == (201, "SUCCEEDED")


def test_an_operator_may_cancel_any_payment_and_the_timeline_says_who(tmp_path):
    async def work(api, network):
        _, payment = await api.post(order(), wait=5)
        path = f"/v1/payments/{payment['id']}"
        told = await ask(api, f"{path}/cancel", key=OPERATOR_KEY, wait=5)
        _, timeline = await api.get(f"{path}/events", key=OPERATOR_KEY)
        return told, timeline["events"]

    (status, told), events = run(tmp_path, network_that("pays", "answers"), work)
    assert (status, told["status"]) == (200, "CANCELLED")
    assert [e["detail"]["by"] for e in events if e["kind"] == "cancel_requested"] == ["operator"]


def test_only_its_merchant_may_cancel_a_payment(tmp_path):
    async def work(api, network):
        _, payment = await api.post(order(), wait=5)
        path = f"/v1/payments/{payment['id']}/cancel"
        refused = [
            await ask(api, path, key=OTHER_API_KEY),
            await ask(api, "/v1/payments/pay_unknown/cancel"),
            await ask(api, path, {"amount": 5}),
            await ask(api, path, []),
        ]
        return refused, network.count("cancelPayment")

    refused, cancels = run(tmp_path, network_that("pays", "answers"), work)
    assert [(status, told["code"]) for status, told in refused] == [
        (404, "payment_not_found"),
        (404, "payment_not_found"),
        (422, "unknown_field"),
        (422, "invalid_field"),
    ]
    assert cancels == 0


# Payments that an earlier process left
# -------------------------------------------------------------------------------------------------


def with_left(tmp_path, facts, age_s, work):
    async def whole():
        payment = await leave(tmp_path, facts, age_s)
        async with gateway(tmp_path, SILENT) as api:
            return payment, await work(api)

    return asyncio.run(whole())


def test_a_paid_payment_whose_window_is_over_is_refunded_instead(tmp_path):
    async def work(api):
        return await ask(api, "/v1/payments/pay_01/cancel")

    _, (status, told) = with_left(tmp_path, [(1, "pay S")], 2 * 86400, work)
    assert (status, told["code"]) == (409, "refund_instead")
    assert "refund" in told["detail"]


def test_a_till_cannot_cancel_what_only_a_person_can_decide(tmp_path):
    async def work(api):
        return await ask(api, "/v1/payments/pay_01/cancel")

    left, (status, told) = with_left(tmp_path, UNDECIDED, 1000, work)
    assert left.status is Status.UNRESOLVED
    assert (status, told["code"]) == (409, "cannot_cancel")


# An operator resolves
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["SUCCEEDED", "FAILED", "CANCELLED"])
def test_an_operator_ends_an_unresolved_payment_and_is_remembered(tmp_path, word):
    why = f"clearing file, line 812; code {CODE}"

    async def work(api):
        body = {"status": word, "why": why}
        path = "/admin/v1/payments/pay_01"
        told = await ask(api, f"{path}/resolve", body, key=OPERATOR_KEY)
        again = await ask(api, f"{path}/resolve", body, key=OPERATOR_KEY)
        shown = await api.get(path, key=OPERATOR_KEY)
        _, timeline = await api.get("/v1/payments/pay_01/events")
        return told, again, shown, timeline["events"][-1]

    _, (told, again, shown, last) = with_left(tmp_path, UNDECIDED, 1000, work)
    assert (told[0], told[1]["status"], told[1]["final"]) == (200, word, True)
    assert (again[0], again[1]["code"]) == (409, "cannot_resolve")
    assert shown == (200, told[1])
    assert (last["kind"], last["status"]) == ("resolved", word)
    assert last["detail"]["by"] == "alice"
    assert last["detail"]["why"].startswith("clearing file, line 812")
    assert CODE not in json.dumps(last)


def test_a_paid_payment_whose_cancel_came_to_nothing_may_be_called_paid_again(tmp_path):
    """The till was told SUCCEEDED; its cancel was never confirmed, and the money stands."""

    async def work(api):
        body = {"status": "SUCCEEDED", "why": "the network says so"}
        return await ask(api, "/admin/v1/payments/pay_01/resolve", body, key=OPERATOR_KEY)

    left, (status, told) = with_left(tmp_path, UNRESOLVED, 1000, work)
    assert (left.status, left.is_final) == (Status.UNRESOLVED, True)
    assert (status, told["status"]) == (200, "SUCCEEDED")


def test_bad_words_change_nothing(tmp_path):
    good = {"status": "FAILED", "why": "ticket 1"}
    asked = [
        ("pay_01", good, API_KEY, 403, "forbidden"),
        ("pay_01", good, "tg_test_nobody", 401, "unauthorized"),
        ("pay_02", good, OPERATOR_KEY, 404, "payment_not_found"),
        ("pay_01", good | {"status": "PENDING"}, OPERATOR_KEY, 422, "invalid_field"),
        ("pay_01", good | {"status": "failed"}, OPERATOR_KEY, 422, "invalid_field"),
        ("pay_01", good | {"why": ""}, OPERATOR_KEY, 422, "invalid_field"),
        ("pay_01", good | {"why": "  "}, OPERATOR_KEY, 422, "invalid_field"),
        ("pay_01", good | {"why": "x" * 501}, OPERATOR_KEY, 422, "invalid_field"),
        ("pay_01", {"status": "FAILED"}, OPERATOR_KEY, 422, "missing_field"),
        ("pay_01", good | {"by": "bob"}, OPERATOR_KEY, 422, "unknown_field"),
    ]

    async def work(api):
        told = [
            await ask(api, f"/admin/v1/payments/{name}/resolve", body, key=key)
            for name, body, key, _, _ in asked
        ]
        return told, await api.get("/admin/v1/payments/pay_01", key=OPERATOR_KEY)

    _, (told, (_, after)) = with_left(tmp_path, UNDECIDED, 1000, work)
    assert [(status, body["code"]) for status, body in told] == [row[3:] for row in asked]
    assert after["status"] == "UNRESOLVED"


def test_a_payment_that_still_has_its_chance_is_not_resolved(tmp_path):
    async def work(api, network):
        _, payment = await api.post(order())
        body = {"status": "FAILED", "why": "the queue is long"}
        path = f"/admin/v1/payments/{payment['id']}/resolve"
        return await ask(api, path, body, key=OPERATOR_KEY)

    status, told = run(tmp_path, network_that("in process", "answers"), work)
    assert (status, told["code"]) == (409, "cannot_resolve")
    assert "PENDING" in told["detail"]
