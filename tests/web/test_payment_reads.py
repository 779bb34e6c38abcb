"""Finding payments again: by order, by key, by page, by version; and never somebody else's."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.support import (
    API_KEY,
    OFFICE_KEY,
    OPERATOR_KEY,
    OTHER_API_KEY,
    STORE_B_KEY,
    TILL_KEY,
    Call,
    ScriptedNetwork,
    gateway,
    order,
    paid,
    result,
    signed_answer,
)

pytestmark = pytest.mark.usefixtures("database")


async def pays(call: Call):
    """Each under an id of its own, as a network does; a cancel is confirmed."""
    if call.path.endswith("/cancelPayment"):
        return signed_answer(call, {"result": result("S", "SUCCESS")})
    answer = paid(call) | {"paymentId": call.message["paymentRequestId"][-12:]}
    return signed_answer(call, answer)


async def declines_first(call: Call):
    declines_first.count += 1
    if declines_first.count == 1:
        return signed_answer(call, {"result": result("F", "USER_BALANCE_NOT_ENOUGH")})
    return signed_answer(call, paid(call))


async def waits(call: Call):
    return signed_answer(call, {"result": result("U", "PAYMENT_IN_PROCESS")})


def run(tmp_path, work, script=pays):
    async def whole():
        async with ScriptedNetwork(script).running() as network:
            async with gateway(tmp_path, network.url) as api:
                return await work(api)

    return asyncio.run(whole())


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


async def pay(api, number, key=API_KEY, **changes):
    body = order(order=f"order-{number}", **changes)
    status, payment = await api.post(body, f"key-{number}", wait=10, **bearer(key))
    assert status == 201, payment
    return payment


def ids(page):
    return [payment["id"] for payment in page["payments"]]


def test_pages_hold_every_payment_once_newest_first(tmp_path):
    async def work(api):
        opened = [await pay(api, n) for n in range(7)]
        seen, path = [], "/v1/payments?limit=3"
        while path:
            status, page = await api.get(path)
            assert status == 200
            seen.append(ids(page))
            cursor = page["next_cursor"]
            path = cursor and f"/v1/payments?limit=3&cursor={cursor}"
        return opened, seen

    opened, seen = run(tmp_path, work)
    assert [len(page) for page in seen] == [3, 3, 1]
    assert [each for page in seen for each in page] == [p["id"] for p in reversed(opened)]


def test_a_page_that_ends_with_the_last_payment_has_no_next(tmp_path):
    async def work(api):
        for n in range(2):
            await pay(api, n)
        return await api.get("/v1/payments?limit=2")

    _, page = run(tmp_path, work)
    assert len(page["payments"]) == 2
    assert page["next_cursor"] is None


def test_a_till_that_lost_its_answer_finds_its_payment_by_order_and_by_key(tmp_path):
    async def work(api):
        payments = [await pay(api, n) for n in range(3)]
        by_order = await api.get("/v1/payments?merchant_order_id=order-1")
        by_key = await api.get("/v1/payments?idempotency_key=key-1")
        nothing = await api.get("/v1/payments?idempotency_key=key-9")
        return payments[1], by_order, by_key, nothing

    mine, by_order, by_key, nothing = run(tmp_path, work)
    assert by_order == by_key == (200, {"payments": [mine], "next_cursor": None})
    assert nothing == (200, {"payments": [], "next_cursor": None})


def test_filters(tmp_path):
    async def work(api):
        one = await pay(api, 1, TILL_KEY)
        two = await pay(api, 2, STORE_B_KEY, terminal_id="2")
        now = datetime.now(UTC)
        earlier, later = now - timedelta(hours=1), now + timedelta(hours=1)
        asked = {
            "status=SUCCEEDED": [two, one],
            "status=FAILED,PENDING": [],
            "status=FAILED,SUCCEEDED": [two, one],
            "store_id=A": [one],
            "store_id=A&terminal_id=2": [],
            "terminal_id=2": [two],
            f"id={one['id']}": [one],
            f"payment_id={one['payment_id']}": [one],
            "payment_id=nobody": [],
            "wallet=KAKAOPAY": [two, one],
            "wallet=GCASH": [],
            "route=alipay_plus": [two, one],
            "route=elsewhere": [],
            "merchant_id=M00000000003": [two, one],
            f"created_from={earlier:%Y-%m-%dT%H:%M:%SZ}": [two, one],
            f"created_from={later:%Y-%m-%dT%H:%M:%SZ}": [],
            f"created_before={later:%Y-%m-%dT%H:%M:%SZ}": [two, one],
            f"created_before={earlier:%Y-%m-%dT%H:%M:%SZ}": [],
            f"created_from={one['created_at']}&created_before={two['created_at']}": [one],
        }
        told = {}
        for query in asked:
            status, page = await api.get(f"/v1/payments?{query}", key=OFFICE_KEY)
            told[query] = (status, ids(page))
        return {q: (200, [p["id"] for p in want]) for q, want in asked.items()}, told

    asked, told = run(tmp_path, work)
    assert told == asked


def test_nobody_finds_what_is_not_his(tmp_path):
    async def work(api):
        mine = await pay(api, 1, TILL_KEY)
        beside = await pay(api, 2, STORE_B_KEY, terminal_id="1")
        path = f"/v1/payments/{mine['id']}"
        lists = [
            ids((await api.get(f"/v1/payments{query}", key=key))[1])
            for key, query in (
                (OTHER_API_KEY, ""),
                (OTHER_API_KEY, "?merchant_id=M00000000003"),
                (OTHER_API_KEY, f"?id={mine['id']}"),
                (STORE_B_KEY, ""),
                (STORE_B_KEY, "?store_id=A"),
                (TILL_KEY, ""),
                (OPERATOR_KEY, "?merchant_id=M00000000003"),
                (OPERATOR_KEY, "?merchant_id=M00000000001"),
            )
        ]
        reads = [
            (await api.get(path + more, key=key))[0]
            for key in (OTHER_API_KEY, STORE_B_KEY, TILL_KEY, OFFICE_KEY, OPERATOR_KEY)
            for more in ("", "/events")
        ]
        return mine["id"], beside["id"], lists, reads

    mine, beside, lists, reads = run(tmp_path, work)
    assert lists == [[], [], [], [beside], [], [mine], [beside, mine], []]
    assert reads == [404, 404, 404, 404, 200, 200, 200, 200, 200, 200]


@pytest.mark.parametrize(
    ("query", "code", "path"),
    [
        ("colour=red", "unknown_parameter", "?"),
        ("limit=0", "invalid_parameter", "?limit"),
        ("limit=101", "invalid_parameter", "?limit"),
        ("limit=x", "invalid_parameter", "?limit"),
        ("limit=1&limit=2", "invalid_parameter", "?limit"),
        ("status=PAID", "invalid_parameter", "?status"),
        ("status=", "invalid_parameter", "?status"),
        ("created_from=0.5", "invalid_parameter", "?created_from"),
        ("created_from=1767225600", "invalid_parameter", "?created_from"),
        ("limit=5.0", "invalid_parameter", "?limit"),
        ("created_from=yesterday", "invalid_parameter", "?created_from"),
        ("created_from=2026-01-31T00:00:00", "invalid_parameter", "?created_from"),
        ("created_before=9999-12-31T23:59:59.999999Z", "invalid_parameter", "?created_before"),
        ("created_from=0001-01-01T00:00:00%2B01:00", "invalid_parameter", "?created_from"),
        ("cursor=x", "invalid_parameter", "?cursor"),
        ("cursor=%00", "invalid_parameter", "?cursor"),
        ("cursor=pay_1%27%20OR%201=1", "invalid_parameter", "?cursor"),
        ("limit=null", "invalid_parameter", "?limit"),
        ("created_from=null", "invalid_parameter", "?created_from"),
        ("merchant_order_id=%F0%28", "", ""),
    ],
)
def test_a_wrong_parameter_is_named(tmp_path, query, code, path):
    async def work(api):
        return await api.get(f"/v1/payments?{query}")

    status, told = run(tmp_path, work)
    if code:
        assert (status, told["code"], told["path"]) == (422, code, path)
    else:
        assert status == 200


def test_a_known_version_is_not_sent_again(tmp_path):
    async def work(api):
        payment = await pay(api, 1)
        url = f"{api.url}/v1/payments/{payment['id']}"
        told = []
        async with api.session.get(url, headers=bearer(API_KEY)) as response:
            etag = response.headers["ETag"]
        for match in (etag, f'W/{etag}, "x"', "*", '"0"', ""):
            headers = bearer(API_KEY) | {"If-None-Match": match}
            async with api.session.get(url, headers=headers) as response:
                told.append((response.status, response.headers["ETag"], await response.read()))
        return etag, told

    etag, told = run(tmp_path, work)
    assert [status for status, _, _ in told] == [304, 304, 304, 200, 200]
    assert {tag for _, tag, _ in told} == {etag}
    assert [body for _, _, body in told][:3] == [b"", b"", b""]


def test_the_version_changes_with_the_payment(tmp_path):
    async def work(api):
        _, payment = await api.post(order())
        url = f"{api.url}/v1/payments/{payment['id']}"
        async with api.session.get(url, headers=bearer(API_KEY)) as response:
            etag = response.headers["ETag"]
        headers = bearer(API_KEY) | {"If-None-Match": etag, "Prefer": "wait=10"}
        await api.post({}, None, **bearer(API_KEY))
        async with api.session.post(f"{url}/cancel", headers=bearer(API_KEY)):
            pass
        async with api.session.get(url, headers=headers) as response:
            return etag, response.status, response.headers["ETag"]

    before, status, after = run(tmp_path, work)
    assert status == 200
    assert before != after


def test_a_new_attempt_is_linked_to_the_one_that_was_not_paid(tmp_path):
    async def work(api):
        _, first = await api.post(order(), "a", wait=10)
        _, second = await api.post(order(), "b", wait=10)
        third = await api.post(order(), "c", wait=10)
        return first, second, third, await api.get("/v1/payments?merchant_order_id=order-1")

    declines_first.count = 0
    first, second, (status, refused), (_, page) = run(tmp_path, work, declines_first)
    assert (first["status"], first["attempt"], first["previous_payment_id"]) == ("FAILED", 1, None)
    assert (second["status"], second["attempt"]) == ("SUCCEEDED", 2)
    assert second["previous_payment_id"] == first["id"]
    assert (status, refused["code"]) == (409, "order_already_has_a_payment")
    assert refused["payment"] == second
    assert page["payments"] == [second, first]


def test_a_double_scan_gets_the_first_payment_back(tmp_path):
    async def work(api):
        first = await api.post(order(), "a")
        return first, await api.post(order(), "b")

    (_, first), (status, told) = run(tmp_path, work, waits)
    assert status == 409
    assert told["payment_id"] == told["payment"]["id"] == first["id"]


def test_a_till_of_another_store_learns_nothing_of_a_payment(tmp_path):
    async def work(api):
        body = order()
        mine = await api.post(body, "k1", wait=10, **bearer(TILL_KEY))
        other = body | {"terminal_id": "1"}
        return mine, [
            await api.post(other, "k1", **bearer(STORE_B_KEY)),
            await api.post(other, "k2", **bearer(STORE_B_KEY)),
        ]

    (status, mine), ((reused, told), (taken, held)) = run(tmp_path, work)
    assert status == 201
    assert (reused, told["code"]) == (422, "idempotency_key_reused")
    assert "path" not in told
    assert (taken, held["code"]) == (409, "order_already_has_a_payment")
    assert mine["id"] not in str(told) + str(held)


def test_a_key_pays_only_where_it_is_for(tmp_path):
    async def work(api):
        return [
            await api.post(order(**where), key=f"k{n}", wait=10, **bearer(key))
            for n, (key, where) in enumerate(
                [
                    (TILL_KEY, {"order": "1"}),
                    (TILL_KEY, {"order": "2", "store_id": "A", "terminal_id": "1"}),
                    (TILL_KEY, {"order": "3", "store_id": "B"}),
                    (TILL_KEY, {"order": "4", "terminal_id": "2"}),
                    (STORE_B_KEY, {"order": "5"}),
                    (STORE_B_KEY, {"order": "6", "terminal_id": "2"}),
                    (OFFICE_KEY, {"order": "7", "store_id": "A", "terminal_id": "2"}),
                    (OPERATOR_KEY, {"order": "8"}),
                ]
            )
        ]

    answers = run(tmp_path, work)
    told = [(s, a.get("code"), a.get("path"), a.get("terminal_id")) for s, a in answers]
    masked = "281006****************12"
    assert told == [
        (201, masked, None, "1"),
        (201, masked, None, "1"),
        (403, "forbidden", "$.store_id", None),
        (403, "forbidden", "$.terminal_id", None),
        (422, "invalid_request", "$.terminal_id", None),
        (201, masked, None, "2"),
        (403, "forbidden", None, None),
        (403, "forbidden", None, None),
    ]
