"""Merchants, keys and the audit over HTTP: what counts when, and who may do none of it."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from tests.operations import merchant_operations, operator_operations
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
from tillgate.core.access import Permission
from tillgate.core.limits import Limit

pytestmark = pytest.mark.usefixtures("database")


async def pays(call: Call):
    if call.path.endswith("/cancelPayment"):
        return signed_answer(call, {"result": result("S", "SUCCESS")})
    if call.path.endswith("/refund"):
        said = {"refundAmount": call.message["refundAmount"], "refundId": "R-1"}
        times = {"refundTime": "2026-01-31T12:00:00+08:00"}
        return signed_answer(call, {"result": result("S", "SUCCESS")} | said | times)
    answer = paid(call) | {"paymentId": call.message["paymentRequestId"][-12:]}
    return signed_answer(call, answer)


def run(tmp_path, work, **changes):
    async def whole():
        async with ScriptedNetwork(pays).running() as network:
            async with gateway(tmp_path, network.url, **changes) as api:
                return await work(api)

    return asyncio.run(whole())


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


MERCHANT = {
    "id": "M042",
    "name": "cup Hu",
    "mcc": "5814",
    "region": "JP",
    "settlement_currency": "JPY",
}
STORE = {"id": "S1", "name": "Ginza", "mcc": "5814"}


async def new_till(api, **more):
    """A merchant with a store and a till, and the till's key."""
    for path, body in (
        ("/merchants", MERCHANT),
        ("/merchants/M042/stores", STORE),
        ("/merchants/M042/stores/S1/terminals", {"id": "T1"}),
    ):
        status, told = await api.admin("POST", path, body)
        assert status == 201, told
    body = {"roles": ["till"], "merchant_id": "M042", "store_id": "S1", "terminal_id": "T1"}
    status, key = await api.admin("POST", "/keys", body | more)
    assert status == 201, key
    return key


async def pays_with(api, key, number=1):
    status, told = await api.post(
        order(order=f"order-{number}"), f"key-{number}", wait=10, **bearer(key)
    )
    return status, told.get("status") if status == 201 else told["code"]


def test_a_new_merchant_pays_at_once_with_a_key_that_was_just_made(tmp_path):
    async def work(api):
        key = await new_till(api, label="till 1")
        _, merchant = await api.admin("GET", "/merchants/M042")
        return key, merchant, await pays_with(api, key["key"])

    key, merchant, told = run(tmp_path, work)
    assert told == (201, "SUCCEEDED")
    assert key["key"].startswith("tg_test_")
    assert merchant == MERCHANT | {
        "city": None,
        "closed": False,
        "stores": [STORE | {"closed": False, "terminals": [{"id": "T1", "closed": False}]}],
    }


def test_a_key_is_shown_once_and_kept_as_a_hash_only(tmp_path):
    async def work(api):
        key = await new_till(api)
        _, listed = await api.admin("GET", "/keys?merchant_id=M042")
        _, audit = await api.admin("GET", "/audit")
        return key["key"], listed, audit

    key, listed, audit = run(tmp_path, work)
    assert key not in str(listed) + str(audit)
    assert [each["merchant_id"] for each in listed["keys"]] == ["M042"]
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert key.encode() not in files


def test_a_revoked_key_opens_nothing_from_the_next_request_on(tmp_path):
    async def work(api):
        key = await new_till(api)
        before = await pays_with(api, key["key"], 1)
        revoked = await api.admin("POST", f"/keys/{key['id']}/revoke")
        again = await api.admin("POST", f"/keys/{key['id']}/revoke")
        return before, revoked, again, await pays_with(api, key["key"], 2)

    before, revoked, again, after = run(tmp_path, work)
    assert before == (201, "SUCCEEDED")
    assert revoked == again == (204, None)
    assert after == (401, "unauthorized")


def test_a_revocation_ends_open_streams_within_a_second_or_so(tmp_path):
    async def work(api):
        key = await new_till(api)
        url = f"{api.url}/v1/events"
        async with api.session.get(url, headers=bearer(key["key"])) as response:
            assert response.status == 200
            await api.admin("POST", f"/keys/{key['id']}/revoke")
            async with asyncio.timeout(5):
                return await response.content.read()

    assert run(tmp_path, work).startswith(b"retry:")


def test_a_stream_ends_and_is_kept_open_whatever_others_do(tmp_path):
    """News of another merchant is neither a heartbeat nor a reason to forget it."""

    async def work(api):
        key = await new_till(api)
        is_over = False

        async def others():
            number = 0
            while not is_over:
                number += 1
                await pays_with(api, OTHER_API_KEY, number)

        url = f"{api.url}/v1/events"
        async with api.session.get(url, headers=bearer(key["key"])) as response:
            assert response.status == 200
            busy = asyncio.create_task(others())
            await api.admin("POST", f"/keys/{key['id']}/revoke")
            try:
                async with asyncio.timeout(5):
                    return await response.content.read()
            finally:
                is_over = True
                await busy

    assert b"data" not in run(tmp_path, work)


def test_a_rotated_key_opens_until_its_end_and_the_new_one_for_the_same(tmp_path):
    async def work(api):
        key = await new_till(api)
        _, new = await api.admin("POST", f"/keys/{key['id']}/rotate", {"overlap_s": 3600})
        both = [await pays_with(api, key["key"], 1), await pays_with(api, new["key"], 2)]
        _, newest = await api.admin("POST", f"/keys/{new['id']}/rotate", {"overlap_s": 0})
        ended = [await pays_with(api, new["key"], 3), await pays_with(api, newest["key"], 4)]
        refused = await api.admin("POST", f"/keys/{new['id']}/rotate")
        _, listed = await api.admin("GET", "/keys?merchant_id=M042")
        return both, ended, refused, listed["keys"]

    both, ended, (status, refused), keys = run(tmp_path, work)
    assert both == [(201, "SUCCEEDED")] * 2
    assert ended == [(401, "unauthorized"), (201, "SUCCEEDED")]
    assert (status, refused["code"]) == (404, "not_there")
    assert {(each["store_id"], each["terminal_id"]) for each in keys} == {("S1", "T1")}
    until = sorted(each["expires_at"] or "" for each in keys)
    assert until[0] == ""
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    assert abs(datetime.fromisoformat(until[2]) - in_an_hour) < timedelta(minutes=1)


def test_a_rotation_never_makes_a_key_live_longer(tmp_path):
    soon = datetime.now(UTC) + timedelta(minutes=5)

    async def work(api):
        key = await new_till(api, expires_at=soon.isoformat())
        await api.admin("POST", f"/keys/{key['id']}/rotate", {"overlap_s": 3600})
        return await api.admin("GET", "/keys?merchant_id=M042")

    _, listed = run(tmp_path, work)
    for key in listed["keys"]:
        assert abs(datetime.fromisoformat(key["expires_at"]) - soon) < timedelta(seconds=1)


def test_what_is_closed_takes_no_new_payments_and_shows_the_old_ones(tmp_path):
    async def work(api):
        key = (await new_till(api))["key"]
        _, payment = await api.post(order(), wait=10, **bearer(key))
        told = []
        for number, (path, is_closed) in enumerate(
            (
                ("/merchants/M042/stores/S1/terminals/T1", True),
                ("/merchants/M042/stores/S1/terminals/T1", False),
                ("/merchants/M042/stores/S1", True),
                ("/merchants/M042/stores/S1", False),
                ("/merchants/M042", True),
            )
        ):
            status, _ = await api.admin("PATCH", path, {"closed": is_closed})
            told.append((status, await pays_with(api, key, number + 9)))
        return told, await api.get(f"/v1/payments/{payment['id']}", key=key)

    told, (status, payment) = run(tmp_path, work)
    refused, taken = (422, "invalid_request"), (201, "SUCCEEDED")
    assert told == [(200, each) for each in (refused, taken, refused, taken, refused)]
    assert (status, payment["status"]) == (200, "SUCCEEDED")


def test_every_act_is_in_the_audit_with_who_and_from_where(tmp_path):
    async def work(api):
        key = await new_till(api)
        await api.admin("PATCH", "/merchants/M042", {"name": "cup Hu 2"})
        await api.admin("POST", f"/keys/{key['id']}/revoke")
        await api.admin("POST", "/merchants", MERCHANT)  # refused: it is there
        _, page = await api.admin("GET", "/audit?limit=4")
        _, rest = await api.admin("GET", f"/audit?cursor={page['next_cursor']}")
        return key["id"], page["acts"], rest["acts"]

    key_id, newest, rest = run(tmp_path, work)
    assert [(each["act"], each["subject"]) for each in newest + rest] == [
        ("key.revoke", key_id),
        ("merchant.change", "M042"),
        ("key.add", key_id),
        ("terminal.add", "M042/S1/T1"),
        ("store.add", "M042/S1"),
        ("merchant.add", "M042"),
        ("registry.import", ""),
    ]
    assert newest[1]["detail"] == {"name": {"before": "cup Hu", "after": "cup Hu 2"}}
    assert {(each["operator_id"], each["address"]) for each in newest} == {("alice", "127.0.0.1")}


def test_what_is_done_with_webhooks_and_payments_is_in_the_audit_too(tmp_path):
    async def work(api):
        names = await things_of_merchant_3(api)
        why = {"status": "SUCCEEDED", "why": "seen"}
        refused = await api.admin("POST", f"/payments/{names['id']}/resolve", why)
        _, page = await api.admin("GET", "/audit?limit=3")
        return names, refused[0], page["acts"]

    names, status, acts = run(tmp_path, work, webhooks_to_local=True)
    assert status == 409  # noted all the same: somebody tried
    assert [(each["act"], each["subject"], each["key_id"]) for each in acts] == [
        ("payment.resolve", names["id"], "tg_test_a"),
        ("webhook.test", names["endpoint"], "tg_test_office"),
        ("webhook.create", names["endpoint"], "tg_test_office"),
    ]
    assert acts[0]["detail"] == {"status": "SUCCEEDED"}


WRONG = [
    # method, path, body, status, code, path of the fault
    ("POST", "/merchants", MERCHANT | {"mcc": "58"}, 422, "invalid_field", "$.mcc"),
    ("POST", "/merchants", MERCHANT | {"region": "jp"}, 422, "invalid_field", "$.region"),
    (
        "POST",
        "/merchants",
        MERCHANT | {"settlement_currency": "XXX"},
        422,
        "invalid_field",
        "$.settlement_currency",
    ),
    ("POST", "/merchants", MERCHANT | {"id": "a/b"}, 422, "invalid_field", "$.id"),
    ("POST", "/merchants", MERCHANT | {"id": ".."}, 422, "invalid_field", "$.id"),
    ("POST", "/merchants", MERCHANT | {"id": "M00000000001"}, 409, "already_there", None),
    ("GET", "/merchants/M9", None, 404, "not_there", None),
    ("PATCH", "/merchants/M9", {"closed": True}, 404, "not_there", None),
    ("PATCH", "/merchants/M00000000001", {}, 422, "missing_field", "$"),
    ("PATCH", "/merchants/M00000000001", {"id": "x"}, 422, "unknown_field", "$.id"),
    ("POST", "/merchants/M9/stores", STORE, 404, "not_there", None),
    ("POST", "/merchants/M00000000001/stores/S9/terminals", {"id": "1"}, 404, "not_there", None),
    ("POST", "/keys", {"roles": []}, 422, "invalid_field", "$.roles"),
    ("POST", "/keys", {"roles": ["king"]}, 422, "invalid_field", "$.roles[0]"),
    ("POST", "/keys", {"roles": ["till"]}, 422, "missing_field", "$.merchant_id"),
    (
        "POST",
        "/keys",
        {"roles": ["operator"], "operator_id": "x", "merchant_id": "M00000000001"},
        422,
        "invalid_field",
        "$.merchant_id",
    ),
    ("POST", "/keys", {"roles": ["operator"]}, 422, "missing_field", "$.operator_id"),
    (
        "POST",
        "/keys",
        {"roles": ["operator", "till"], "operator_id": "x"},
        422,
        "invalid_field",
        "$.roles",
    ),
    (
        "POST",
        "/keys",
        {"roles": ["till"], "merchant_id": "M00000000001", "terminal_id": "122222"},
        422,
        "invalid_field",
        "$.terminal_id",
    ),
    ("POST", "/keys", {"roles": ["till"], "merchant_id": "M9"}, 404, "not_there", None),
    (
        "POST",
        "/keys",
        {
            "roles": ["till"],
            "merchant_id": "M00000000001",
            "expires_at": "2020-01-01T00:00:00Z",
        },
        422,
        "invalid_field",
        "$.expires_at",
    ),
    *(
        (
            "POST",
            "/keys",
            {"roles": ["operator"], "operator_id": "x", "expires_at": at},
            422,
            "invalid_field",
            "$.expires_at",
        )
        for at in ("9999-12-31T23:59:59-01:00", "2200-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00")
    ),
    ("PATCH", "/merchants/%00", {"closed": True}, 404, "not_there", None),
    ("POST", "/merchants/a%00/stores", STORE, 404, "not_there", None),
    ("POST", "/keys/%00/revoke", None, 404, "not_there", None),
    ("POST", "/keys/%7f/rotate", None, 404, "not_there", None),
    ("POST", "/payments/%00/resolve", None, 404, "payment_not_found", None),
    ("POST", "/keys/tg_test_nobody/rotate", None, 404, "not_there", None),
    ("POST", "/keys/tg_test_nobody/revoke", None, 404, "not_there", None),
    ("POST", "/keys/tg_test_1/rotate", {"overlap_s": -1}, 422, "invalid_field", "$.overlap_s"),
]


def test_wrong_input_is_named_and_changes_nothing(tmp_path):
    async def work(api):
        _, before = await api.admin("GET", "/audit")
        told = [await api.admin(method, path, body) for method, path, body, *_ in WRONG]
        _, after = await api.admin("GET", "/audit")
        return before, told, after

    before, told, after = run(tmp_path, work)
    assert [(s, b["code"], b.get("path")) for s, b in told] == [tuple(row[3:]) for row in WRONG]
    assert before == after


def test_operators_are_not_reached_where_tills_are_and_tills_not_there(tmp_path):
    async def work(api):
        told = []
        for url in (
            f"{api.url}/admin/v1/merchants",
            f"{api.url}/admin/openapi.json",
            f"{api.admin_url}/v1/payments",
            f"{api.admin_url}/alipayplus/v1/notifyPayment",
            f"{api.url}/healthz",
            f"{api.admin_url}/healthz",
            f"{api.admin_url}/readyz",
            f"{api.admin_url}/admin/openapi.json",
            f"{api.admin_url}/admin/docs",
        ):
            async with api.session.get(url, headers=bearer(OPERATOR_KEY)) as response:
                told.append(response.status)
        return told

    assert run(tmp_path, work) == [404, 404, 404, 404, 200, 200, 200, 200, 200]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "operation",
    [each for each in (*merchant_operations(), *operator_operations()) if each.permission],
    ids=lambda operation: operation.name,
)
def test_every_operation_wants_a_key_and_its_permission(tmp_path, operation):
    """Each of them, with every role: 401 without a key, 403 without the permission, else neither;
    and what is another merchant's is not there.
    """

    async def work(api):
        names = await things_of_merchant_3(api)
        if "webhook" in operation.path:
            names["id"] = names["endpoint"]
        path = operation.path.format_map(names)
        told = {}
        for who in (None, "tg_test_nobody", OTHER_API_KEY, TILL_KEY, OFFICE_KEY, OPERATOR_KEY):
            headers = bearer(who) if who else {}
            headers |= {each.name: each.example for each in operation.headers if each.is_required}
            body = None if operation.body is None else {}
            async with api.session.request(
                operation.method, api.at(path), json=body, headers=headers
            ) as response:
                told[who] = response.status
        return told

    told = run(tmp_path, work, webhooks_to_local=True)
    assert told[None] == told["tg_test_nobody"] == 401
    may_till = operation.permission in (Permission.PAY, Permission.READ, Permission.CANCEL)
    may_office = operation.permission in (
        Permission.READ,
        Permission.CANCEL,
        Permission.REFUND,
        Permission.WEBHOOKS,
    )
    assert (told[TILL_KEY] != 403) is may_till
    assert (told[OFFICE_KEY] != 403) is may_office
    assert (told[OPERATOR_KEY] != 403) is (operation.permission is not Permission.PAY)
    if "{id}" in operation.path and operation.permission is not Permission.ADMIN:
        assert told[OTHER_API_KEY] == 404
        # It is there, for whom it belongs to.
        owner = OFFICE_KEY if may_office else TILL_KEY
        assert told[owner] != 404


async def things_of_merchant_3(api):
    """One of each thing that an address can name, by the name that paths have for it."""
    _, payment = await api.post(order(), wait=10, **bearer(TILL_KEY))
    office = bearer(OFFICE_KEY)
    url = f"{api.url}/v1/payments/{payment['id']}/refunds"
    keyed = office | {"Idempotency-Key": "r", "Prefer": "wait=10"}
    part = {"amount": {"currency": "JPY", "value": 1}}
    async with api.session.post(url, json=part, headers=keyed) as response:
        refund = await response.json()
    hooks = f"{api.url}/v1/webhook_endpoints"
    where = {"url": "http://127.0.0.1:18999/hooks"}
    async with api.session.post(hooks, json=where, headers=office) as response:
        endpoint = (await response.json())["endpoint"]
    async with api.session.post(f"{hooks}/{endpoint['id']}/test", headers=office) as response:
        event = await response.json()
    return {
        "id": payment["id"],
        "refund_id": refund["id"],
        "endpoint": endpoint["id"],
        "event_id": event["event_id"],
        "merchant_id": "M00000000003",
        "store_id": "A",
        "terminal_id": "1",
        "key_id": "tg_test_till",
        "name": "ann",
    }


def test_the_file_begins_an_empty_registry_once(tmp_path, caplog):
    async def revokes(api):
        _, listed = await api.admin("GET", "/keys?merchant_id=M00000000001")
        [key] = listed["keys"]
        await api.admin("POST", f"/keys/{key['id']}/revoke")

    async def pays_again(api):
        return await pays_with(api, API_KEY), await pays_with(api, OTHER_API_KEY)

    run(tmp_path, revokes)
    told = run(tmp_path, pays_again)
    assert told == ((401, "unauthorized"), (201, "SUCCEEDED"))


def test_a_key_of_the_file_that_is_not_in_the_registry_is_told(tmp_path, caplog):
    from tests.support import directory
    from tillgate.merchants import Directory

    async def nothing(api):
        return None

    whole = directory()
    run(tmp_path, nothing, seed=Directory(whole.merchants, whole.keys[:1]))
    with caplog.at_level("WARNING"):
        run(tmp_path, nothing)
    assert "begins an empty registry" in caplog.text or "is not read again" in caplog.text


def test_a_test_key_opens_nothing_where_money_is_real(tmp_path):
    async def work(api):
        return await pays_with(api, API_KEY)

    assert run(tmp_path, work, is_live=True) == (401, "unauthorized")


def test_where_money_is_real_new_keys_are_live(tmp_path):
    from tests.support import directory
    from tillgate.core.access import Caller, Role
    from tillgate.merchants import ApiKey, Directory, hash_key

    caller = Caller(
        key_id="tg_live_1",
        roles=frozenset({Role.OPERATOR}),
        merchant_id=None,
        operator_id="ann",
    )
    key = ApiKey(caller=caller, key_hash=hash_key("tg_live_operator"))
    seed = Directory(directory().merchants, (key,))

    async def work(api):
        body = {"roles": ["till"], "merchant_id": "M00000000001"}
        _, made = await api.admin("POST", "/keys", body, key="tg_live_operator")
        return made["key"], await pays_with(api, made["key"])

    made, told = run(tmp_path, work, seed=seed, is_live=True)
    assert made.startswith("tg_live_")
    assert told == (201, "SUCCEEDED")


def test_the_last_use_is_kept_over_a_restart(tmp_path):
    async def work(api):
        return await pays_with(api, API_KEY)

    async def look(api):
        return await api.admin("GET", "/keys")

    run(tmp_path, work)
    _, listed = run(tmp_path, look)
    used = {each["merchant_id"]: each["last_used_at"] for each in listed["keys"]}
    assert used["M00000000001"] is not None
    assert used["M00000000002"] is None


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_another_process_change_counts_within_a_second(tmp_path):
    """As another node does it: straight in the database."""

    async def work(api):
        before = await pays_with(api, API_KEY, 1)
        with sqlite3.connect(tmp_path / "tillgate.sqlite3") as connection:
            connection.execute("UPDATE api_key SET revoked_at = 1 WHERE key_id = 'tg_test_1'")
            connection.execute("UPDATE registry_version SET version = version + 1")
        connection.close()
        async with asyncio.timeout(1.5):
            while (await api.get("/v1/payments"))[0] == 200:
                await asyncio.sleep(0.05)
        return before, await pays_with(api, API_KEY, 2)

    before, after = run(tmp_path, work)
    assert before == (201, "SUCCEEDED")
    assert after == (401, "unauthorized")


def test_a_till_may_take_back_its_own_sale(tmp_path):
    async def work(api):
        _, own = await api.post(order(order="1"), "1", wait=10, **bearer(TILL_KEY))
        beside = order(order="2", store_id="B", terminal_id="2")
        _, other = await api.post(beside, "2", wait=10, **bearer(STORE_B_KEY))
        told = []
        for payment, key in ((other, TILL_KEY), (own, TILL_KEY), (other, OFFICE_KEY)):
            url = f"{api.url}/v1/payments/{payment['id']}/cancel"
            headers = bearer(key) | {"Prefer": "wait=10"}
            async with api.session.post(url, headers=headers) as response:
                told.append((response.status, (await response.json()).get("status")))
        return told

    assert run(tmp_path, work) == [(404, 404), (200, "CANCELLED"), (200, "CANCELLED")]


def test_revoking_while_a_hundred_requests_come_never_lets_one_in_afterwards(tmp_path):
    async def work(api):
        key = await new_till(api)
        gone = asyncio.Event()

        async def hammer(number):
            async with aiohttp.ClientSession() as session:
                came_after = []
                for _ in range(10):
                    was_gone = gone.is_set()
                    url = f"{api.url}/v1/payments"
                    async with session.get(url, headers=bearer(key["key"])) as response:
                        if was_gone:
                            came_after.append(response.status)
                return came_after

        async def revoke():
            await api.admin("POST", f"/keys/{key['id']}/revoke")
            gone.set()

        after = await asyncio.gather(*(hammer(n) for n in range(10)), revoke())
        return [status for each in after if each for status in each]

    told = run(tmp_path, work)
    assert set(told) <= {401}


def test_a_key_that_sends_too_much_waits_and_no_other_does(tmp_path):
    async def work(api):
        told = []
        for key in (API_KEY, API_KEY, API_KEY, OTHER_API_KEY):
            async with api.session.get(f"{api.url}/v1/payments", headers=bearer(key)) as response:
                told.append((response.status, response.headers.get("Retry-After")))
        return told

    told = run(tmp_path, work, limit=Limit(per_second=1, burst=2))
    assert told == [(200, None), (200, None), (429, "1"), (200, None)]


def test_metrics_count_what_happened_and_name_nobody(tmp_path):
    async def work(api):
        _, payment = await api.post(order(), wait=10)
        await api.get("/v1/payments/nothing")
        async with api.session.get(f"{api.admin_url}/metrics") as response:
            told = response.headers["Content-Type"], await response.text()
        async with api.session.get(f"{api.url}/metrics") as response:
            return payment, told, response.status

    payment, (kind, text), elsewhere = run(tmp_path, work)
    assert kind.startswith("text/plain")
    for line in (
        'tillgate_payments_total{connector="alipay_plus",status="SUCCEEDED"} 1.0',
        'tillgate_network_call_seconds_count{call="pay",connector="alipay_plus",outcome="S"} 1.0',
        'tillgate_http_requests_total{operation="createPayment",status="201"} 1.0',
        'tillgate_http_requests_total{operation="getPayment",status="404"} 1.0',
        "tillgate_network_up_alipay_plus 1.0",
        "tillgate_payments_driven 0.0",
    ):
        assert line in text
    for name in (payment["id"], "M00000000001", "tg_test_1", API_KEY):
        assert name not in text
    assert elsewhere == 404
