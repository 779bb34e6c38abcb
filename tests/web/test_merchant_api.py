"""The merchant's API at its edge: bad input, idempotency, waiting, access. Real HTTP, real
store.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3

import aiohttp
import pytest

from tests.support import (
    API_KEY,
    CODE,
    OTHER_API_KEY,
    Call,
    ScriptedNetwork,
    gateway,
    merchant_document,
    order,
    paid,
    result,
    signed_answer,
)
from tillgate.merchants import read_directory

SILENT = "http://127.0.0.1:1"


def rows(tmp_path, table: str = "payment") -> int:
    with sqlite3.connect(tmp_path / "tillgate.sqlite3") as connection:
        count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    connection.close()
    return count


def with_gateway(tmp_path, work, script=None):
    """Run `work(api, network)` against a gateway whose network follows the script."""

    async def run():
        if script is None:
            async with gateway(tmp_path, SILENT) as api:
                return await work(api, None)
        async with ScriptedNetwork(script).running() as network:
            async with gateway(tmp_path, network.url) as api:
                return await work(api, network)

    return asyncio.run(run())


async def pays(call: Call):
    return signed_answer(call, paid(call))


async def never_answers(call: Call):
    # Longer than any till waits here; a stopping gateway lets a running call end.
    await asyncio.sleep(1.5)


BAD_BODIES = [
    # what, body, status, code, path
    ("letters", order(code="abcdefghijklmnop"), 422, "code_not_recognised", "$.code"),
    ("15 digits", order(code="281006020000000"), 422, "code_not_recognised", "$.code"),
    ("33 digits", order(code="28" + "1" * 31), 422, "code_not_recognised", "$.code"),
    ("32 digits: carried, no rule", order(code="28" + "1" * 30), 422, "no_route", "$.code"),
    ("prefix 24", order(code="24" + CODE[2:]), 422, "code_not_recognised", "$.code"),
    ("prefix 31", order(code="31" + CODE[2:]), 422, "code_not_recognised", "$.code"),
    ("a space before it", order(code=" " + CODE), 422, "code_not_recognised", "$.code"),
    ("empty code", order(code=""), 422, "code_not_recognised", "$.code"),
    ("other scripts' digits", order(code="２８" + CODE[2:]), 422, "code_not_recognised", "$.code"),
    ("a number as code", order(code=int(CODE)), 422, "invalid_field", "$.code"),
    ("amount 0", order(value=0), 422, "invalid_amount", "$.order.amount.value"),
    ("amount -1", order(value=-1), 422, "invalid_amount", "$.order.amount.value"),
    ("amount 1.5", order(value=1.5), 422, "invalid_field", "$.order.amount.value"),
    ("amount 100.0", order(value=100.0), 422, "invalid_field", "$.order.amount.value"),
    ('amount "100"', order(value="100"), 422, "invalid_field", "$.order.amount.value"),
    ("amount true", order(value=True), 422, "invalid_field", "$.order.amount.value"),
    ("amount null", order(value=None), 422, "invalid_field", "$.order.amount.value"),
    ("13 digits", order(value=10**12), 422, "invalid_amount", "$.order.amount.value"),
    ("20 digits", order(value=10**20), 422, "invalid_amount", "$.order.amount.value"),
    ("no such currency", order(currency="ABC"), 422, "invalid_amount", "$.order.amount.currency"),
    ("small letters", order(currency="jpy"), 422, "invalid_amount", "$.order.amount.currency"),
    ("gold", order(currency="XAU"), 422, "invalid_amount", "$.order.amount.currency"),
    ("order id of 65", order(order="x" * 65), 422, "invalid_field", "$.order.merchant_order_id"),
    ("empty order id", order(order=""), 422, "invalid_field", "$.order.merchant_order_id"),
    ("long text", order(description="x" * 257), 422, "invalid_field", "$.order.description"),
    ("U+0000", order(order="a\0b"), 422, "invalid_field", "$.order.merchant_order_id"),
    ("a new line", order(description="a\nb"), 422, "invalid_field", "$.order.description"),
    ("unknown field", order(colour="red"), 422, "unknown_field", "$.colour"),
    ("expiry 0", order(expires_in_s=0), 422, "invalid_field", "$.expires_in_s"),
    ("expiry 61", order(expires_in_s=61), 422, "invalid_field", "$.expires_in_s"),
    ("somebody's store", order(store_id="S2"), 422, "invalid_request", "$.store_id"),
    ("no such till", order(terminal_id="T9"), 422, "invalid_request", "$.terminal_id"),
    ("no order", {"code": CODE}, 422, "missing_field", "$.order"),
    ("a list", [order()], 422, "invalid_field", "$"),
    ("null", None, 422, "invalid_field", "$"),
    ("broken JSON", b'{"code": ', 400, "malformed_json", "$"),
    ("nothing", b"", 400, "malformed_json", "$"),
    ("not UTF-8", b'{"code": "\xff"}', 400, "malformed_json", "$"),
    ("UTF-16", json.dumps(order()).encode("utf-16"), 400, "malformed_json", "$"),
    ("deep nesting", b"[" * 60_000, 400, "malformed_json", "$"),
    ("endless digits", b'{"code": ' + b"9" * 60_000 + b"}", 422, "invalid_field", "$.code"),
    ("5000 digits", order(value=10**4000), 422, "invalid_amount", "$.order.amount.value"),
    ("a lone surrogate", b'{"code": "\\ud800"}', 422, "invalid_field", "$.code"),
    ("a surrogate as key", b'{"\\ud800": 1}', 422, "unknown_field", "$"),
    ("deep in a list", b'{"order": [{"a\\u0000": 1}]}', 422, "unknown_field", "$.order[0]"),
    ("the code as key", b'{"%s": 1}' % CODE.encode(), 422, "unknown_field", "$"),
    ("a path as key", b'{"a`b - at `$.x": 1}', 422, "unknown_field", "$"),
    ("an endless key", b'{"' + b"k" * 60_000 + b'": 1}', 422, "unknown_field", "$"),
    ("key twice", b'{"code": "1", "code": "2"}', 400, "duplicate_key", "$.code"),
    ("key twice, inside", b'{"order": {"a": {"b": 1, "b": 1}}}', 400, "duplicate_key",
     "$.order.a.b"),
    ("not a number", b'{"code": NaN}', 422, "invalid_field", "$.code"),
    ("over 64 KiB", b'{"code": "' + b"9" * 65_536 + b'"}', 413, "body_too_large", None),
]  # fmt: skip


def test_bad_bodies_get_their_code_and_path_and_leave_no_row(tmp_path):
    async def work(api, _):
        wrong = []
        for number, (what, body, status, code, path) in enumerate(BAD_BODIES):
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            got, problem = await api.post(sent, f"key-{number}")
            if (got, problem["code"], problem.get("path")) != (status, code, path):
                wrong.append((what, got, problem))
            if CODE in json.dumps(problem):
                wrong.append((what, "shows the code"))
        return wrong

    assert with_gateway(tmp_path, work) == []
    assert rows(tmp_path) == 0


def test_a_problem_is_rfc_9457(tmp_path):
    async def work(api, _):
        headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": "k"}
        async with api.session.post(
            f"{api.url}/v1/payments", data=b"{", headers=headers
        ) as response:
            return response.headers["Content-Type"], await response.json(content_type=None)

    content_type, problem = with_gateway(tmp_path, work)
    assert content_type == "application/problem+json"
    assert problem == {
        "type": "urn:tillgate:problem:malformed_json",
        "title": "Bad Request",
        "status": 400,
        "code": "malformed_json",
        "detail": "The body is not JSON in UTF-8.",
        "path": "$",
    }


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Idempotency-Key": None}, 400, "idempotency_key_missing"),
        ({"Idempotency-Key": "x" * 256}, 400, "idempotency_key_invalid"),
        ({"Idempotency-Key": "a b"}, 400, "idempotency_key_invalid"),
        ({"Authorization": None}, 401, "unauthorized"),
        ({"Authorization": "Bearer tg_test_wrong"}, 401, "unauthorized"),
        ({"Authorization": f"Basic {API_KEY}"}, 401, "unauthorized"),
    ],
)
def test_bad_headers_are_refused_and_leave_no_row(tmp_path, headers, status, code):
    async def work(api, _):
        sent = {
            "Authorization": f"Bearer {API_KEY}",
            "Idempotency-Key": "k",
            "Content-Type": "application/json",
        } | headers
        sent = {name: value for name, value in sent.items() if value is not None}
        async with api.session.post(
            f"{api.url}/v1/payments", data=json.dumps(order()), headers=sent
        ) as response:
            return response.status, (await response.json(content_type=None))["code"]

    assert with_gateway(tmp_path, work) == (status, code)
    assert rows(tmp_path) == 0


def test_a_key_given_twice_is_refused(tmp_path):
    async def work(api, _):
        headers = [("Authorization", f"Bearer {API_KEY}"), *[("Idempotency-Key", k) for k in "ab"]]
        async with api.session.post(
            f"{api.url}/v1/payments", data=json.dumps(order()), headers=headers
        ) as response:
            return (await response.json(content_type=None))["code"]

    assert with_gateway(tmp_path, work) == "idempotency_key_invalid"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/v1/payments/", 404, "not_found"),
        ("GET", "/healthz/", 404, "not_found"),
        ("DELETE", "/v1/payments", 405, "method_not_allowed"),
        ("GET", "/v1/payments/pay_unknown", 404, "payment_not_found"),
        ("GET", "/v1/payments/pay_unknown/events", 404, "payment_not_found"),
        ("GET", "/v1/payments/%00", 404, "payment_not_found"),
    ],
)
def test_what_is_not_there(tmp_path, method, path, status, code):
    async def work(api, _):
        headers = {"Authorization": f"Bearer {API_KEY}"}
        async with api.session.request(method, api.url + path, headers=headers) as response:
            return response.status, (await response.json(content_type=None))["code"]

    assert with_gateway(tmp_path, work) == (status, code)


def test_a_paid_payment_is_201_with_the_whole_resource(tmp_path):
    async def work(api, _):
        return await api.post(order(description="tea"), wait=10)

    status, payment = with_gateway(tmp_path, work, pays)
    assert status == 201
    times = {name: payment.pop(name) for name in ("created_at", "expires_at", "changed_at")}
    assert all(value.endswith("Z") for value in times.values())
    assert payment.pop("id").startswith("pay_")
    assert payment == {
        "status": "SUCCEEDED",
        "final": True,
        "next_step": "none",
        "merchant_order_id": "order-1",
        "attempt": 1,
        "previous_payment_id": None,
        "description": "tea",
        "amount": {"currency": "JPY", "value": 100},
        "amount_refunded": 0,
        "amount_reserved": 0,
        "store_id": "S0000000001",
        "terminal_id": "122222",
        "code": "281006****************12",
        "route": "alipay_plus",
        "rule": "4",
        "table": "guide",
        "wallet": "KAKAOPAY",
        "payment_id": "2026010100000001",
        "result": {"code": "SUCCESS", "message": "success"},
        "paid_at": "2021-04-08T06:48:50.000Z",
    }


def test_without_wait_the_answer_is_202_at_once_and_the_payment_ends_without_the_till(tmp_path):
    async def work(api, _):
        status, opened = await api.post(order())
        later = await api.get(f"/v1/payments/{opened['id']}", wait=10)
        return status, opened["status"], later

    status, first, (got, payment) = with_gateway(tmp_path, work, pays)
    assert (status, first) == (202, "PENDING")
    assert (got, payment["status"]) == (200, "SUCCEEDED")


def test_wait_ends_after_its_seconds_with_202_and_what_to_do(tmp_path):
    async def work(api, _):
        return await api.post(order(), wait=1)

    status, payment = with_gateway(tmp_path, work, never_answers)
    assert status == 202
    assert (payment["status"], payment["final"], payment["next_step"]) == ("PENDING", False, "wait")


@pytest.mark.parametrize("prefer", ["wait=x", "respond-async", "", "wait=-1", "await=5"])
def test_a_preference_that_cannot_be_read_is_ignored(tmp_path, prefer):
    async def work(api, _):
        return await api.post(order(), Prefer=prefer)

    assert with_gateway(tmp_path, work, pays)[0] == 202


@pytest.mark.parametrize("prefer", ["wait=10", "respond-async, wait=10", 'wait="10"', "Wait = 10"])
def test_the_forms_of_wait_that_rfc_7240_allows(tmp_path, prefer):
    async def work(api, _):
        return await api.post(order(), Prefer=prefer)

    assert with_gateway(tmp_path, work, pays)[0] == 201


def test_the_same_request_a_hundred_times_at_once_is_one_payment(tmp_path):
    async def work(api, network):
        answers = await asyncio.gather(*(api.post(order(), "k", wait=10) for _ in range(100)))
        return answers, network.count("/pay")

    answers, pays_sent = with_gateway(tmp_path, work, pays)
    assert sorted(status for status, _ in answers) == [200] * 99 + [201]
    assert len({json.dumps(payment) for _, payment in answers}) == 1
    assert pays_sent == 1
    assert rows(tmp_path) == 1


def test_a_replay_after_a_restart_is_the_payment_as_it_is_now(tmp_path):
    async def work(api, _):
        return await api.post(order(), "k", wait=10)

    first = with_gateway(tmp_path, work, pays)
    second = with_gateway(tmp_path, work)
    assert (first[0], second[0]) == (201, 200)
    assert first[1] == second[1]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"code": CODE[:-1] + "3"}, "$.code"),
        ({"order": "order-2"}, "$.order.merchant_order_id"),
        ({"description": "x"}, "$.order.description"),
        ({"currency": "USD"}, "$.order.amount.currency"),
        ({"value": 101}, "$.order.amount.value"),
        ({"value": 101, "code": CODE[:-1] + "3"}, "$.code"),
        ({"expires_in_s": 60}, "$.expires_in_s"),
    ],
)
def test_a_key_with_another_body_is_422_and_names_the_first_difference(tmp_path, change, path):
    async def work(api, network):
        await api.post(order(), "k", wait=10)
        status, problem = await api.post(order(**change), "k", wait=10)
        return status, problem, network.count("/pay")

    status, problem, pays_sent = with_gateway(tmp_path, work, pays)
    assert (status, problem["code"], problem["path"]) == (422, "idempotency_key_reused", path)
    assert path in problem["detail"]
    assert pays_sent == 1
    assert rows(tmp_path) == 1


def test_naming_the_only_store_is_the_same_request_as_leaving_it_out(tmp_path):
    async def work(api, _):
        await api.post(order(), "k", wait=10)
        return await api.post(order(store_id="S0000000001", terminal_id="122222"), "k", wait=10)

    assert with_gateway(tmp_path, work, pays)[0] == 200


def test_a_replay_is_answered_whatever_became_of_the_merchants_tills(tmp_path):
    async def work(api, _):
        return await api.post(order(), "k", wait=10)

    async def later(api, _):
        again = await api.post(order(), "k", wait=10)
        other = await api.post(order(store_id="elsewhere"), "k", wait=10)
        return again, other

    first = with_gateway(tmp_path, work, pays)
    two_tills = merchant_document()
    two_tills["store"][0]["terminal"].append({"id": "2"})

    async def run():
        known = read_directory({"merchant": [two_tills]}, "m.toml")
        async with gateway(tmp_path, SILENT, seed=known) as api:
            return await later(api, None)

    again, other = asyncio.run(run())
    assert again == (200, first[1])
    assert (other[0], other[1]["code"], other[1]["path"]) == (
        422, "idempotency_key_reused", "$.store_id",
    )  # fmt: skip


def test_what_the_network_says_of_a_code_is_masked_for_everybody(tmp_path):
    async def chatty(call: Call):
        answer = {
            "result": {
                "resultCode": "INVALID_CODE",
                "resultStatus": "F",
                "resultMessage": f"code {CODE} is invalid\u0000\u001b[31m",
            }
        }
        return signed_answer(call, answer)

    async def work(api, _):
        _, payment = await api.post(order(), wait=10)
        _, events = await api.get(f"/v1/payments/{payment['id']}/events")
        return payment, events

    payment, events = with_gateway(tmp_path, work, chatty)
    assert payment["result"]["message"] == "code 281006****************12 is invalid  [31m"
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert CODE not in json.dumps([payment, events])
    assert CODE.encode() not in stored


def test_a_second_scan_of_a_live_or_paid_order_is_409_and_names_the_payment(tmp_path):
    async def work(api, network):
        _, first = await api.post(order(), "k1", wait=10)
        status, problem = await api.post(order(code=CODE[:-1] + "3"), "k2", wait=10)
        return first, status, problem, network.count("/pay")

    first, status, problem, pays_sent = with_gateway(tmp_path, work, pays)
    assert (status, problem["code"]) == (409, "order_already_has_a_payment")
    assert problem["payment_id"] == first["id"]
    assert pays_sent == 1


def test_after_a_failure_the_order_may_be_tried_again(tmp_path):
    async def refuses_once(call: Call):
        is_first = call.message["paymentMethod"]["paymentMethodId"] == CODE
        answer = {"result": result("F", "USER_BALANCE_NOT_ENOUGH")} if is_first else paid(call)
        return signed_answer(call, answer)

    async def work(api, _):
        first = await api.post(order(), "k1", wait=10)
        return first, await api.post(order(code=CODE[:-1] + "3"), "k2", wait=10)

    (s1, failed), (s2, succeeded) = with_gateway(tmp_path, work, refuses_once)
    assert (s1, failed["status"], failed["next_step"]) == (201, "FAILED", "use_other_method")
    assert (s2, succeeded["status"]) == (201, "SUCCEEDED")


def test_another_merchant_sees_nothing(tmp_path):
    async def work(api, _):
        _, payment = await api.post(order(), "k", wait=10)
        path = f"/v1/payments/{payment['id']}"
        return [await api.get(p, OTHER_API_KEY) for p in (path, f"{path}/events")]

    for status, problem in with_gateway(tmp_path, work, pays):
        assert (status, problem["code"]) == (404, "payment_not_found")


def test_two_merchants_may_use_one_key_and_one_order_id(tmp_path):
    async def work(api, _):
        first = await api.post(order(), "k", wait=10)
        second = await api.post(order(), "k", wait=10, Authorization=f"Bearer {OTHER_API_KEY}")
        return first, second

    async def pays_each(call: Call):
        return signed_answer(call, paid(call, call.message["paymentRequestId"]))

    (s1, one), (s2, two) = with_gateway(tmp_path, work, pays_each)
    assert (s1, s2) == (201, 201)
    assert one["id"] != two["id"]


def test_a_till_that_hangs_up_never_stops_a_payment(tmp_path):
    release = None

    async def slow(call: Call):
        await release.wait()
        return signed_answer(call, paid(call))

    async def work(api, network):
        nonlocal release
        release = asyncio.Event()
        with pytest.raises((asyncio.TimeoutError, aiohttp.ClientError)):
            async with asyncio.timeout(0.3):
                await api.post(order(), "k", wait=10)
        release.set()
        return await api.post(order(), "k", wait=10), network.count("/pay")

    (status, payment), pays_sent = with_gateway(tmp_path, work, slow)
    assert (status, payment["status"], pays_sent) == (200, "SUCCEEDED", 1)


def test_the_timeline_tells_what_happened(tmp_path):
    async def work(api, _):
        _, payment = await api.post(order(), "k", wait=10)
        return await api.get(f"/v1/payments/{payment['id']}/events")

    status, body = with_gateway(tmp_path, work, pays)
    assert status == 200
    told = [(row["version"], row["kind"], row["status"]) for row in body["events"]]
    assert told == [(1, "accepted", "PENDING"), (2, "pay_answered", "SUCCEEDED")]
    assert body["events"][1]["detail"]["payment_id"] == "2026010100000001"
    assert CODE not in json.dumps(body)


def test_healthz_answers_without_a_key(tmp_path):
    async def work(api, _):
        async with api.session.get(f"{api.url}/healthz") as response:
            return response.status, await response.json()

    assert with_gateway(tmp_path, work) == (200, {"status": "ok"})


def test_the_code_reaches_neither_the_log_nor_the_plain_database(tmp_path, caplog):
    async def work(api, _):
        return await api.post(order(), "k", wait=1)

    with_gateway(tmp_path, work, never_answers)
    assert CODE not in caplog.text
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"order-1" in stored
    assert CODE.encode() not in stored
