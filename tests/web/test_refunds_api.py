"""Refunds at the edge that merchants touch: real HTTP, a real store, a scripted network."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.support import (
    API_KEY,
    CODE,
    OFFICE_KEY,
    OPERATOR_KEY,
    OTHER_API_KEY,
    TILL_KEY,
    Call,
    ScriptedNetwork,
    Wallets,
    gateway,
    order,
    paid,
    result,
    sandbox,
    signed_answer,
)

pytestmark = pytest.mark.usefixtures("database")


class Network:
    """Pays, cancels and refunds; `refunds` says how."""

    def __init__(self, refunds: str = "done"):
        self.refunds = refunds
        self.bodies: list[bytes] = []

    async def __call__(self, call: Call):
        api = call.path.rpartition("/")[2]
        if api == "pay":
            return signed_answer(call, paid(call, call.message["paymentRequestId"][-16:]))
        if api == "cancelPayment":
            return signed_answer(call, {"result": result("S", "SUCCESS")})
        if api == "refund":
            self.bodies.append(call.body)
            return await self._refund(call)
        told = {"result": result("S", "SUCCESS"), "paymentResult": result("S", "SUCCESS")}
        return signed_answer(call, told)

    async def _refund(self, call: Call):
        done = {
            "result": result("S", "SUCCESS"),
            "refundId": "R-1",
            "refundAmount": call.message["refundAmount"],
            "refundTime": "2026-01-31T12:00:00+08:00",
        }
        match self.refunds:
            case "done":
                return signed_answer(call, done)
            case "another amount":
                other = {"currency": "JPY", "value": "29"}
                return signed_answer(call, done | {"refundAmount": other})
            case "refused":
                return signed_answer(call, {"result": result("F", "REFUND_AMOUNT_EXCEED")})
            case "lost once" if len(self.bodies) == 1:
                return None
            case "lost once":
                return signed_answer(call, done)
            case _:
                await asyncio.sleep(1.5)
                return None


async def call(api, method, path, body=None, key="r1", as_=API_KEY, wait=0, **headers):
    sent = {"Authorization": f"Bearer {as_}"}
    if key is not None:
        sent["Idempotency-Key"] = key
    if wait:
        sent["Prefer"] = f"wait={wait}"
    data = None if body is None else json.dumps(body)
    async with api.session.request(
        method, f"{api.url}/v1/payments/{path}", data=data, headers=sent | headers
    ) as response:
        text = await response.read()
        return response.status, json.loads(text) if text else None, response.headers


async def pay(api, number=1, **changes):
    body = order(order=f"order-{number}", value=100)
    status, told = await api.post(body, f"key-{number}", wait=10, **changes)
    assert (status, told["status"]) == (201, "SUCCEEDED"), told
    return told["id"]


def run(tmp_path, work, refunds="done"):
    async def whole():
        script = Network(refunds)
        async with ScriptedNetwork(script).running() as network:
            async with gateway(tmp_path, network.url) as api:
                return await work(api, script)

    return asyncio.run(whole())


def yen(value):
    return {"amount": {"currency": "JPY", "value": value}}


def test_a_part_and_then_the_rest_without_a_body(tmp_path):
    async def work(api, network):
        key = await pay(api)
        status, part, headers = await call(
            api, "POST", f"{key}/refunds", yen(30) | {"reason": "one cup less"}, wait=10
        )
        again = await call(
            api, "POST", f"{key}/refunds", yen(30) | {"reason": "one cup less"}, wait=10
        )
        rest = await call(api, "POST", f"{key}/refunds", key="r2", wait=10)
        _, payment, _ = await call(api, "GET", key)
        _, listed, _ = await call(api, "GET", f"{key}/refunds")
        return status, part, headers, again, rest, payment, listed, network.bodies

    status, part, headers, again, rest, payment, listed, bodies = run(tmp_path, work)
    assert (status, part["status"], part["final"]) == (201, "SUCCEEDED", True)
    assert part["amount"] == {"currency": "JPY", "value": 30}
    assert (part["refund_id"], part["refunded_at"]) == ("R-1", "2026-01-31T04:00:00.000Z")
    assert headers["Location"] == f"/v1/payments/{payment['id']}/refunds/{part['id']}"
    assert (again[0], again[1]) == (200, part)
    assert (rest[0], rest[1]["amount"]["value"]) == (201, 70)
    assert (payment["amount_refunded"], payment["amount_reserved"]) == (100, 100)
    assert [each["id"] for each in listed["refunds"]] == [rest[1]["id"], part["id"]]
    assert json.loads(bodies[0]) == {
        "refundRequestId": part["id"],
        "paymentRequestId": payment["id"],
        "refundAmount": {"currency": "JPY", "value": "30"},
        "refundReason": "one cup less",
    }


def test_a_refund_whose_reply_is_lost_is_sent_again_byte_for_byte(tmp_path):
    async def work(api, network):
        key = await pay(api)
        status, told, _ = await call(api, "POST", f"{key}/refunds", yen(30), wait=10)
        return status, told["status"], network.bodies

    status, word, bodies = run(tmp_path, work, "lost once")
    assert (status, word) == (201, "SUCCEEDED")
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


def test_a_refund_under_way_is_202_and_can_be_waited_for(tmp_path):
    async def work(api, network):
        key = await pay(api)
        status, told, headers = await call(api, "POST", f"{key}/refunds", yen(30))
        network.refunds = "done"
        path = f"{key}/refunds/{told['id']}"
        later = await call(api, "GET", path, wait=10)
        etag = {"If-None-Match": later[2]["ETag"]}
        return status, told, headers, later, await call(api, "GET", path, **etag)

    status, told, headers, later, unchanged = run(tmp_path, work, "silent")
    assert (status, told["status"], told["final"]) == (202, "PENDING", False)
    assert (later[0], later[1]["status"]) == (200, "SUCCEEDED")
    assert later[2]["ETag"] != headers["ETag"]
    assert (unchanged[0], unchanged[1]) == (304, None)


def test_a_refused_refund_is_final_and_free_again(tmp_path):
    async def work(api, network):
        key = await pay(api)
        status, told, _ = await call(api, "POST", f"{key}/refunds", yen(30), wait=10)
        _, payment, _ = await call(api, "GET", key)
        return status, told, payment

    status, told, payment = run(tmp_path, work, "refused")
    assert (status, told["status"], told["result"]["code"]) == (
        201,
        "FAILED",
        "REFUND_AMOUNT_EXCEED",
    )
    assert payment["amount_reserved"] == 0


BAD = [
    (yen(101), 409, "cannot_refund", None),
    ({"amount": {"currency": "USD", "value": 1}}, 409, "cannot_refund", None),
    (yen(0), 422, "invalid_amount", "$.amount.value"),
    (yen(-1), 422, "invalid_amount", "$.amount.value"),
    (yen(1.5), 422, "invalid_field", "$.amount.value"),
    ({"amount": {"currency": "XYZ", "value": 1}}, 422, "invalid_amount", "$.amount.currency"),
    ({"reason": ""}, 422, "invalid_field", "$.reason"),
    ({"reason": "x" * 257}, 422, "invalid_field", "$.reason"),
    ({"value": 1}, 422, "unknown_field", "$.value"),
]


@pytest.mark.parametrize(("body", "status", "code", "path"), BAD)
def test_what_cannot_be_refunded_is_said_before_the_network(tmp_path, body, status, code, path):
    async def work(api, network):
        key = await pay(api)
        got, told, _ = await call(api, "POST", f"{key}/refunds", body)
        return got, told["code"], told.get("path"), network.bodies

    expected = (status, code, path, [])
    got = run(tmp_path, work)
    assert (got[0], got[1], got[3]) == (status, code, [])
    assert path is None or got == expected


def test_a_key_is_needed_and_belongs_to_one_request(tmp_path):
    async def work(api, network):
        key = await pay(api)
        missing = await call(api, "POST", f"{key}/refunds", yen(30), key=None)
        await call(api, "POST", f"{key}/refunds", yen(30), wait=10)
        other = await call(api, "POST", f"{key}/refunds", yen(31))
        # The key of a payment is another matter.
        as_payment = await call(api, "POST", f"{key}/refunds", yen(1), key="key-1", wait=10)
        return missing, other, as_payment

    missing, other, as_payment = run(tmp_path, work)
    assert (missing[0], missing[1]["code"]) == (400, "idempotency_key_missing")
    assert (other[0], other[1]["code"], other[1]["path"]) == (
        422,
        "idempotency_key_reused",
        "$.amount.value",
    )
    assert as_payment[0] == 201


def test_cancel_and_refund_name_each_other(tmp_path):
    async def work(api, network):
        refunded, cancelled = await pay(api, 1), await pay(api, 2)
        await call(api, "POST", f"{refunded}/refunds", yen(30), wait=10)
        no_cancel = await call(api, "POST", f"{refunded}/cancel")
        await call(api, "POST", f"{cancelled}/cancel", wait=10)
        no_refund = await call(api, "POST", f"{cancelled}/refunds", yen(30), key="r2")
        return no_cancel, no_refund

    no_cancel, no_refund = run(tmp_path, work)
    assert (no_cancel[0], no_cancel[1]["code"]) == (409, "refund_instead")
    assert "refund the JPY 70 that is left" in no_cancel[1]["detail"]
    assert (no_refund[0], no_refund[1]["code"]) == (409, "cannot_refund")
    assert "is cancelled" in no_refund[1]["detail"]


def test_a_payment_code_in_a_reason_is_masked_everywhere(tmp_path):
    async def work(api, network):
        key = await pay(api)
        body = yen(30) | {"reason": f"wrong code {CODE}"}
        _, told, _ = await call(api, "POST", f"{key}/refunds", body, wait=10)
        again = await call(api, "POST", f"{key}/refunds", body)
        return told, again[0], network.bodies

    told, again, bodies = run(tmp_path, work)
    assert CODE not in told["reason"]
    assert CODE.encode() not in bodies[0]
    assert again == 200


def test_what_nobody_can_decide_is_found_and_ended_by_an_operator(tmp_path):
    async def work(api, network):
        key = await pay(api)
        _, refund, _ = await call(api, "POST", f"{key}/refunds", yen(30), wait=10)
        path = f"/payments/{key}/refunds/{refund['id']}/resolve"

        async def find(query):
            return [
                each["refund"]["id"]
                for each in (await api.admin("GET", f"/refunds?{query}"))[1]["refunds"]
            ]

        _, waiting = await api.admin("GET", "/refunds?status=UNRESOLVED")
        version = waiting["refunds"][0]["version"]
        said = {"status": "SUCCEEDED", "why": "the network's books"}
        told = [
            await api.admin("POST", path, said),
            await api.admin("POST", path, said | {"version": version - 1}),
            await api.admin("POST", path, said | {"version": version, "status": "FAILED"}),
            await api.admin("POST", path, said | {"version": version}),
        ]
        found = [
            await find("status=SUCCEEDED"),
            await find(f"payment_id={key}&merchant_id=M00000000001&limit=1"),
            await find("status=UNRESOLVED"),
            await find("merchant_id=M00000000002"),
            await find(f"cursor={refund['id']}"),
        ]
        async with api.session.get(f"{api.admin_url}/metrics") as response:
            metrics = await response.text()
        return refund, waiting, told, found, metrics

    refund, waiting, told, found, metrics = run(tmp_path, work, "another amount")
    [listed] = waiting["refunds"]
    assert refund["status"] == listed["refund"]["status"] == "UNRESOLVED"
    assert (listed["merchant_id"], listed["sends"]) == ("M00000000001", 1)
    assert listed["next_action_at"] > listed["sent_at"]
    said = [(status, body.get("code") or body["status"]) for status, body in told]
    assert said == [
        (422, "missing_field"),
        (409, "cannot_resolve"),
        (409, "cannot_resolve"),
        (200, "SUCCEEDED"),
    ]
    assert told[0][1]["path"] == "$.version"
    assert "look at the network once more" in told[1][1]["detail"]
    assert "sent to the network" in told[2][1]["detail"]
    assert found == [[refund["id"]], [refund["id"]], [], [], []]
    assert 'tillgate_refunds_total{connector="alipay_plus",status="UNRESOLVED"} 1.0' in metrics


async def pay_as(api, bearer, number, **place):
    body = order(order=f"order-{number}", value=100, **place)
    headers = {"Authorization": f"Bearer {bearer}"}
    status, told = await api.post(body, f"key-{number}", wait=10, **headers)
    assert status == 201, told
    return told["id"]


def test_a_till_may_read_refunds_and_not_open_them(tmp_path):
    async def work(api, network):
        key = await pay_as(api, TILL_KEY, 1)
        no = await call(api, "POST", f"{key}/refunds", yen(30), as_=TILL_KEY)
        yes = await call(api, "POST", f"{key}/refunds", yen(30), as_=OFFICE_KEY, wait=10)
        path = f"{key}/refunds/{yes[1]['id']}"
        reads = [
            (await call(api, "GET", path, as_=who))[0]
            for who in (TILL_KEY, OFFICE_KEY, OPERATOR_KEY, OTHER_API_KEY)
        ]
        return no, yes[0], reads

    no, yes, reads = run(tmp_path, work)
    assert (no[0], no[1]["code"]) == (403, "forbidden")
    assert (yes, reads) == (201, [200, 200, 200, 404])


def test_another_merchant_is_told_that_there_is_no_such_payment(tmp_path):
    async def work(api, network):
        key = await pay(api)
        _, told, _ = await call(api, "POST", f"{key}/refunds", yen(30), wait=10)
        other = await pay_as(api, OTHER_API_KEY, 2)
        answers = [
            await call(api, "POST", f"{key}/refunds", yen(30), as_=OTHER_API_KEY),
            await call(api, "GET", f"{key}/refunds", as_=OTHER_API_KEY),
            # Through a payment of their own, with the other's refund.
            await call(api, "GET", f"{other}/refunds/{told['id']}", as_=OTHER_API_KEY),
        ]
        # The same Idempotency-Key is theirs to use.
        own = await call(api, "POST", f"{other}/refunds", yen(5), as_=OTHER_API_KEY, wait=10)
        return [(status, body["code"]) for status, body, _ in answers], own[0]

    answers, own = run(tmp_path, work)
    assert answers == [(404, "payment_not_found")] * 2 + [(404, "refund_not_found")]
    assert own == 201


def test_refunds_are_listed_page_by_page(tmp_path):
    async def work(api, network):
        key = await pay(api)
        for number in range(5):
            await call(api, "POST", f"{key}/refunds", yen(1), key=f"r{number}", wait=10)
        seen, cursor = [], ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            _, page, _ = await call(api, "GET", f"{key}/refunds?limit=2{more}")
            seen += [each["id"] for each in page["refunds"]]
            cursor = page["next_cursor"]
        return seen

    seen = run(tmp_path, work)
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)


def test_the_sandboxs_customer_gets_back_exactly_what_was_refunded(tmp_path):
    """The whole path: a real refund at the other side of the network, in two parts."""

    async def whole():
        async with sandbox() as url, gateway(tmp_path, url) as api:
            wallets = Wallets(url, api.session)
            code = await wallets.code(wallet="kakaopay")
            status, told = await api.post(order(code=code, value=100), wait=10)
            assert status == 201, told
            parts = [
                await call(api, "POST", f"{told['id']}/refunds", yen(value), key=key, wait=10)
                for key, value in (("a", 30), ("b", 20))
            ]
            return [part[1]["status"] for part in parts], await wallets.debits(told["id"])

    words, debits = asyncio.run(whole())
    assert words == ["SUCCEEDED", "SUCCEEDED"]
    assert debits == (1, 50)
