"""Webhooks over HTTP, end to end: a real gateway, a real receiver, the reference library."""

from __future__ import annotations

import asyncio
import json

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.support import (
    API_KEY,
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
from tests.webhook_receiver import OK, Got, Receiver, status

ALL = "/v1/webhook_endpoints"


async def pays(call: Call):
    if call.path.endswith("/cancelPayment"):
        return signed_answer(call, {"result": result("S", "SUCCESS")})
    return signed_answer(call, paid(call) | {"paymentId": call.message["paymentRequestId"][-12:]})


def run(tmp_path, work, **changes):
    async def whole():
        async with ScriptedNetwork(pays).running() as network:
            settings = {"webhooks_to_local": True} | changes
            async with gateway(tmp_path, network.url, **settings) as api:
                return await work(api)

    return asyncio.run(whole())


async def ask(api, method, path, body=None, key=API_KEY):
    headers = {"Authorization": f"Bearer {key}"}
    async with api.session.request(
        method, f"{api.url}{ALL}{path}", json=body, headers=headers
    ) as response:
        return response.status, None if response.status == 204 else await response.json()


async def made(api, url, **more):
    code, told = await ask(api, "POST", "", {"url": url} | more)
    assert code == 201, told
    return told["endpoint"]["id"], told["secret"]


async def pay(api, number, key=API_KEY):
    body = order(order=f"order-{number}")
    code, payment = await api.post(body, f"key-{number}", wait=10, Authorization=f"Bearer {key}")
    assert code == 201, payment
    return payment


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def delivery(api, endpoint_id, event_id, wanted="delivered"):
    async with asyncio.timeout(10):
        while True:
            code, told = await ask(api, "GET", f"/{endpoint_id}/deliveries/{event_id}")
            assert code == 200, told
            if told["delivery"]["status"] == wanted:
                return told
            await asyncio.sleep(0.01)


def test_every_delivery_is_verified_by_the_reference_library_and_comes_in_order(tmp_path):
    """Whatever the receiver does at first: it fails, redirects, breaks off, answers nothing."""
    plays = [status(500), status(302, "Location: /elsewhere"), None, b"nonsense\r\n\r\n"]

    def receive(got: Got):
        return plays.pop() if plays else OK

    async def work(api):
        async with Receiver(receive).running() as receiver:
            endpoint_id, secret = await made(api, receiver.url)
            payments = [await pay(api, number) for number in range(6)]
            cancelled = payments[0]["id"]
            await ask_cancel(api, cancelled)
            await until(lambda: len({got.headers["webhook-id"] for got in receiver.got}) == 7)
            last = f"evt_{cancelled.removeprefix('pay_')}_2"
            told = await delivery(api, endpoint_id, last)
            return payments, secret, receiver.got, told

    payments, secret, got, told = run(tmp_path, work)
    events = [Webhook(secret).verify(each.body, each.headers) for each in got]
    by_payment: dict[str, list[int]] = {}
    for event, each in zip(events, got, strict=True):
        assert event["id"] == each.headers["webhook-id"]
        by_payment.setdefault(event["data"]["id"], []).append(event["sequence"])
    assert set(by_payment) == {payment["id"] for payment in payments}
    assert all(sequences == sorted(sequences) for sequences in by_payment.values())
    assert by_payment[payments[0]["id"]][-1] == 2
    first = next(e for e in events if e["data"]["id"] == payments[1]["id"])
    assert first == {
        "id": f"evt_{payments[1]['id'].removeprefix('pay_')}_1",
        "type": "payment.succeeded",
        "timestamp": payments[1]["changed_at"],
        "sequence": 1,
        "data": payments[1],
    }
    assert told["delivery"]["type"] == "payment.cancelled"
    assert [attempt["http_status"] for attempt in told["attempts"]][-1] == 200


async def ask_cancel(api, payment_id):
    url = f"{api.url}/v1/payments/{payment_id}/cancel"
    headers = {"Authorization": f"Bearer {API_KEY}", "Prefer": "wait=10"}
    async with api.session.post(url, headers=headers) as response:
        assert response.status == 200


def test_a_rotation_has_an_overlap(tmp_path):
    async def work(api):
        async with Receiver().running() as receiver:
            endpoint_id, old = await made(api, receiver.url)
            _, told = await ask(api, "POST", f"/{endpoint_id}/rotate")
            await pay(api, 1)
            await until(lambda: len(receiver.got) == 1)
            _, newest = await ask(api, "POST", f"/{endpoint_id}/rotate", {"overlap_s": 0})
            await pay(api, 2)
            await until(lambda: len(receiver.got) == 2)
            return old, told["secret"], newest["secret"], receiver.got

    old, new, newest, (first, second) = run(tmp_path, work)
    for secret in (old, new):
        Webhook(secret).verify(first.body, first.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(second.body, second.headers)
    Webhook(newest).verify(second.body, second.headers)
    assert len({old, new, newest}) == 3


def test_secrets_are_told_once_and_kept_sealed(tmp_path):
    async def work(api):
        endpoint_id, secret = await made(api, "http://127.0.0.1:9009/")
        _, one = await ask(api, "GET", f"/{endpoint_id}")
        _, every = await ask(api, "GET", "")
        return secret, str(one) + str(every)

    secret, told = run(tmp_path, work)
    assert secret.startswith("whsec_")
    assert secret[6:] not in told
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert secret[6:].encode() not in files


def test_a_pause_a_test_and_replays(tmp_path):
    async def work(api):
        async with Receiver().running() as receiver:
            endpoint_id, _ = await made(api, receiver.url, event_types=["payment.succeeded"])
            code, tested = await ask(api, "POST", f"/{endpoint_id}/test")
            assert code == 202
            await delivery(api, endpoint_id, tested["event_id"])
            _, paused = await ask(api, "POST", f"/{endpoint_id}/pause")
            refused = await ask(api, "POST", f"/{endpoint_id}/test")
            payment = await pay(api, 1)
            event_id = f"evt_{payment['id'].removeprefix('pay_')}_1"
            await delivery(api, endpoint_id, event_id, "pending")
            assert len(receiver.got) == 1
            await ask(api, "POST", f"/{endpoint_id}/resume")
            await delivery(api, endpoint_id, event_id)
            code, _ = await ask(api, "POST", f"/{endpoint_id}/deliveries/{event_id}/replay")
            assert code == 202
            await until(lambda: len(receiver.got) == 3)
            await delivery(api, endpoint_id, event_id)
            replayed = await ask(api, "POST", f"/{endpoint_id}/replay")
            await until(lambda: len(receiver.got) == 4)
            told = await delivery(api, endpoint_id, event_id)
            _, page = await ask(api, "GET", f"/{endpoint_id}/deliveries?status=delivered&limit=1")
            query = f"?status=delivered&cursor={page['next_cursor']}"
            _, rest = await ask(api, "GET", f"/{endpoint_id}/deliveries{query}")
            assert (await ask(api, "DELETE", f"/{endpoint_id}"))[0] == 204
            gone = await ask(api, "GET", f"/{endpoint_id}")
            ids = [got.headers["webhook-id"] for got in receiver.got]
            return tested, paused, refused, event_id, replayed, told, page, rest, gone, ids

    tested, paused, refused, event_id, replayed, told, page, rest, gone, ids = run(tmp_path, work)
    assert (paused["status"], paused["paused_reason"]) == ("paused", "merchant")
    assert (refused[0], refused[1]["code"]) == (409, "webhook_endpoint_not_active")
    assert replayed == (202, {"replayed": 1})
    assert ids == [tested["event_id"], event_id, event_id, event_id]
    assert [attempt["attempt"] for attempt in told["attempts"]] == [1, 2, 3]
    assert [each["event_id"] for each in page["deliveries"]] == [event_id]
    assert [each["event_id"] for each in rest["deliveries"]] == [tested["event_id"]]
    assert (gone[0], gone[1]["code"]) == (404, "webhook_endpoint_not_found")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/{}", None),
        ("PATCH", "/{}", {"description": "mine"}),
        ("POST", "/{}/rotate", None),
        ("POST", "/{}/pause", None),
        ("POST", "/{}/resume", None),
        ("POST", "/{}/test", None),
        ("POST", "/{}/replay", {}),
        ("GET", "/{}/deliveries", None),
        ("GET", "/{}/deliveries/evt_1", None),
        ("POST", "/{}/deliveries/evt_1/replay", None),
        ("DELETE", "/{}", None),
    ],
)
def test_another_merchants_endpoint_is_not_there(tmp_path, method, path, body):
    async def work(api):
        endpoint_id, _ = await made(api, "http://127.0.0.1:9009/")
        answers = [
            await ask(api, method, path.format(each), body, OTHER_API_KEY)
            for each in (endpoint_id, "we_unknown")
        ]
        _, left = await ask(api, "GET", f"/{endpoint_id}")
        return answers, left

    [theirs, nobodys], left = run(tmp_path, work)
    assert theirs == nobodys
    assert (theirs[0], theirs[1]["code"]) == (404, "webhook_endpoint_not_found")
    assert (left["status"], left["description"]) == ("active", None)


def test_who_may_make_an_endpoint_and_for_whom(tmp_path):
    async def work(api):
        told = []
        for key, more in (
            (TILL_KEY, {}),
            (STORE_B_KEY, {}),
            (API_KEY, {"merchant_id": "M00000000002"}),
            (API_KEY, {"merchant_id": "M00000000001"}),
            (OPERATOR_KEY, {}),
            (OPERATOR_KEY, {"merchant_id": "M404"}),
            (OPERATOR_KEY, {"merchant_id": "M00000000002"}),
        ):
            code, body = await ask(api, "POST", "", {"url": "http://127.0.0.1:9009/"} | more, key)
            told.append((code, body.get("code")))
        mine = await ask(api, "GET", "")
        foreign = await ask(api, "GET", "?merchant_id=M00000000002")
        every = await ask(api, "GET", "", key=OPERATOR_KEY)
        return told, [len(each[1]["webhook_endpoints"]) for each in (mine, foreign, every)]

    told, counts = run(tmp_path, work)
    assert told == [
        (403, "forbidden"),
        (403, "forbidden"),
        (422, "invalid_field"),
        (201, None),
        (422, "missing_field"),
        (422, "invalid_field"),
        (201, None),
    ]
    assert counts == [1, 0, 2]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "http://93.184.216.34/"}, "webhook_url_refused"),
        ({"url": "https://127.0.0.1/"}, "webhook_url_refused"),
        ({"url": "https://169.254.169.254/latest"}, "webhook_url_refused"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "webhook_url_refused"),
        ({"url": "https://user:hunter2@93.184.216.34/"}, "webhook_url_refused"),
        ({"url": "https://93.184.216.34/", "event_types": []}, "invalid_field"),
        ({"url": "https://93.184.216.34/", "event_types": ["webhook.test"]}, "invalid_field"),
        ({"url": "https://93.184.216.34/", "secret": "mine"}, "unknown_field"),
        ({}, "missing_field"),
    ],
)
def test_outside_development_only_public_https_is_taken(tmp_path, body, code):
    async def work(api):
        refused = await ask(api, "POST", "", body)
        _, good = await ask(api, "POST", "", {"url": "https://93.184.216.34/"})
        moved = await ask(api, "PATCH", f"/{good['endpoint']['id']}", body)
        return refused, moved, await ask(api, "POST", "", {"url": "https://93.184.216.34/"})

    refused, moved, again = run(tmp_path, work, webhooks_to_local=False)
    assert (refused[0], refused[1]["code"]) == (422, code)
    assert "hunter2" not in json.dumps(refused)
    if body.get("url") != "https://93.184.216.34/" and body:
        assert (moved[0], moved[1]["code"]) == (422, code)
    assert (again[0], again[1]["code"]) == (409, "webhook_endpoint_exists")


def test_a_merchant_has_at_most_sixteen(tmp_path):
    async def work(api):
        for number in range(16):
            await made(api, f"http://127.0.0.1:{9000 + number}/")
        return await ask(api, "POST", "", {"url": "http://127.0.0.1:8999/"})

    code, told = run(tmp_path, work)
    assert (code, told["code"]) == (409, "too_many_webhook_endpoints")


def test_a_change_leaves_what_it_does_not_name(tmp_path):
    async def work(api):
        endpoint_id, _ = await made(
            api, "http://127.0.0.1:9009/", description="d", event_types=["refund.failed"]
        )
        _, same = await ask(api, "PATCH", f"/{endpoint_id}", {})
        _, other = await ask(
            api, "PATCH", f"/{endpoint_id}", {"event_types": None, "description": None}
        )
        return same, other

    same, other = run(tmp_path, work)
    assert (same["description"], same["event_types"]) == ("d", ["refund.failed"])
    assert (other["description"], other["event_types"]) == (None, None)
    assert same["url"] == other["url"] == "http://127.0.0.1:9009/"
