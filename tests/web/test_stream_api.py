"""Server-sent events: what happened comes, once, in order, and from where a client left off."""

from __future__ import annotations

import asyncio
import contextlib
import json

import aiohttp
import pytest

from tests.support import (
    API_KEY,
    OTHER_API_KEY,
    STORE_B_KEY,
    TILL_KEY,
    Call,
    ScriptedNetwork,
    gateway,
    order,
    paid,
    signed_answer,
)
from tillgate.gateway.streams import LISTENERS_OF_A_KEY_MAX

pytestmark = pytest.mark.usefixtures("database")


async def pays(call: Call):
    return signed_answer(call, paid(call) | {"paymentId": call.message["paymentRequestId"][-12:]})


def run(tmp_path, work):
    async def whole():
        async with ScriptedNetwork(pays).running() as network:
            async with gateway(tmp_path, network.url) as api:
                return await work(api)

    return asyncio.run(whole())


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


class Stream:
    """A client of the stream: as WHATWG HTML 9.2 has it."""

    def __init__(self, response: aiohttp.ClientResponse, begin: str) -> None:
        self.response = response
        self.begin = begin

    async def next(self) -> dict[str, str]:
        """The next event, its fields as text."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while True:
                line = (await self.response.content.readline()).decode()
                assert line, "the stream ended"
                if line == "\n" and "data" in fields:
                    return fields
                name, _, value = line.rstrip("\n").partition(": ")
                if name:
                    fields[name] = value


@contextlib.asynccontextmanager
async def listening(api, key=API_KEY, query="", **headers):
    sent = {**(bearer(key) if key else {}), **headers}
    async with api.session.get(f"{api.url}/v1/events{query}", headers=sent) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        first = await response.content.readline()
        assert first.startswith(b"retry:")
        begin = (await response.content.readline()).decode()
        assert begin.startswith("id: ")
        assert await response.content.readline() == b"\n"
        yield Stream(response, begin.removeprefix("id: ").strip())


async def pay(api, number, key=API_KEY, **more):
    body = order(order=f"order-{number}", **more)
    _, payment = await api.post(body, f"key-{number}", wait=10, **bearer(key))
    return payment


def test_a_payment_that_ends_is_told_with_the_whole_resource(tmp_path):
    async def work(api):
        async with listening(api) as stream:
            payment = await pay(api, 1)
            return payment, await stream.next()

    payment, event = run(tmp_path, work)
    data = json.loads(event["data"])
    assert event["event"] == data["type"] == "payment.succeeded"
    assert data["data"] == payment
    assert (data["sequence"], data["timestamp"]) == (1, payment["changed_at"])
    assert data["id"] == f"evt_{payment['id'].removeprefix('pay_')}_1"


def test_it_resumes_behind_the_last_event_and_skips_nothing(tmp_path):
    async def work(api):
        async with listening(api) as stream:
            payments = [await pay(api, n) for n in range(5)]
            seen = [await stream.next() for _ in range(2)]
        headers = {"Last-Event-ID": seen[-1]["id"]}
        async with listening(api, **headers) as stream:
            seen += [await stream.next() for _ in range(3)]
        async with listening(api, query="?last_event_id=0") as stream:
            again = [await stream.next() for _ in range(5)]
        return payments, seen, again

    payments, seen, again = run(tmp_path, work)
    assert [json.loads(e["data"])["data"]["id"] for e in seen] == [p["id"] for p in payments]
    assert again == seen


def test_who_is_cut_off_before_the_first_event_resumes_where_it_began(tmp_path):
    async def work(api):
        await pay(api, 1)
        async with listening(api) as stream:
            begin = stream.begin
        payment = await pay(api, 2)
        async with listening(api, **{"Last-Event-ID": begin}) as stream:
            return payment, stream.begin == begin, await stream.next()

    payment, is_same, event = run(tmp_path, work)
    assert is_same
    assert json.loads(event["data"])["data"] == payment


def test_nobody_hears_of_what_is_not_his(tmp_path):
    async def work(api):
        async with (
            listening(api, OTHER_API_KEY) as other,
            listening(api, STORE_B_KEY) as beside,
        ):
            await pay(api, 1)
            await pay(api, 2, TILL_KEY)
            await pay(api, 3, STORE_B_KEY, terminal_id="2")
            await pay(api, 4, OTHER_API_KEY)
            return await other.next(), await beside.next()

    other, beside = run(tmp_path, work)
    assert json.loads(other["data"])["data"]["merchant_order_id"] == "order-4"
    assert json.loads(beside["data"])["data"]["merchant_order_id"] == "order-3"


def test_a_ticket_opens_one_stream_once(tmp_path):
    async def work(api):
        url = f"{api.url}/v1/events/tickets"
        async with api.session.post(url, headers=bearer(API_KEY)) as response:
            assert response.status == 201
            ticket = (await response.json())["ticket"]
        async with listening(api, None, f"?ticket={ticket}") as stream:
            await pay(api, 1)
            event = await stream.next()
        again = await api.get(f"/v1/events?ticket={ticket}")
        return event, again, ticket

    event, (status, told), ticket = run(tmp_path, work)
    assert event["event"] == "payment.succeeded"
    assert (status, told["code"], told["path"]) == (401, "unauthorized", "?ticket")
    assert ticket.encode() not in b"".join(
        path.read_bytes() for path in tmp_path.iterdir() if path.is_file()
    )


def test_a_ticket_opens_one_of_many_streams_at_once(tmp_path):
    async def work(api):
        async with api.session.post(
            f"{api.url}/v1/events/tickets", headers=bearer(API_KEY)
        ) as response:
            ticket = (await response.json())["ticket"]

        async def opens():
            async with api.session.get(f"{api.url}/v1/events?ticket={ticket}") as response:
                return response.status

        return await asyncio.gather(*(opens() for _ in range(10)))

    assert sorted(run(tmp_path, work)) == [200] + [401] * 9


def test_a_head_answers_and_is_no_stream(tmp_path):
    async def work(api):
        told = []
        for _ in range(3):  # on one connection
            async with asyncio.timeout(5):
                url = f"{api.url}/v1/events"
                async with api.session.head(url, headers=bearer(API_KEY)) as response:
                    told.append((response.status, response.headers["Content-Type"]))
        return told, (await api.get("/v1/payments"))[0]

    told, after = run(tmp_path, work)
    assert [(status, kind.split(";")[0]) for status, kind in told] == [
        (200, "text/event-stream")
    ] * 3
    assert after == 200


def test_nor_by_asking_for_them_all_at_once(tmp_path):
    async def work(api):
        async def opens():
            url = f"{api.url}/v1/events"
            async with api.session.get(url, headers=bearer(API_KEY)) as response:
                if response.status == 200:
                    await api_is_full.wait()
                return response.status

        api_is_full = asyncio.Event()
        tries = [asyncio.create_task(opens()) for _ in range(LISTENERS_OF_A_KEY_MAX + 20)]
        while sum(each.done() for each in tries) < 20:
            await asyncio.sleep(0.01)
        api_is_full.set()
        told = await asyncio.gather(*tries)
        async with asyncio.timeout(10):  # and the places are free again
            while True:
                async with api.session.get(f"{api.url}/v1/events", headers=bearer(API_KEY)) as got:
                    if got.status == 200:
                        return told

    told = run(tmp_path, work)
    assert sorted(told) == [200] * LISTENERS_OF_A_KEY_MAX + [429] * 20


def test_one_key_never_takes_every_stream(tmp_path):
    async def work(api):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(LISTENERS_OF_A_KEY_MAX):
                await stack.enter_async_context(listening(api))
            more = await api.get("/v1/events")
            async with listening(api, TILL_KEY) as stream:
                await pay(api, 1, TILL_KEY)
                return more, await stream.next()

    (status, told), event = run(tmp_path, work)
    assert (status, told["code"]) == (429, "too_many_requests")
    assert event["event"] == "payment.succeeded"


def test_without_a_key_or_with_a_strange_place_there_is_no_stream(tmp_path):
    async def work(api):
        told = []
        for headers, query in (
            ({}, ""),
            (bearer("tg_test_nobody"), ""),
            ({}, "?ticket=nobody"),
            ({}, f"?ticket={API_KEY}"),
            (bearer(API_KEY) | {"Last-Event-ID": "abc"}, ""),
            (bearer(API_KEY), "?last_event_id=-1"),
            (bearer(API_KEY), "?key=" + API_KEY),
        ):
            async with api.session.get(f"{api.url}/v1/events{query}", headers=headers) as response:
                told.append((response.status, (await response.json(content_type=None))["code"]))
        return told

    assert run(tmp_path, work) == [
        (401, "unauthorized"),
        (401, "unauthorized"),
        (401, "unauthorized"),
        (401, "unauthorized"),
        (422, "invalid_parameter"),
        (422, "invalid_parameter"),
        (422, "unknown_parameter"),
    ]


def test_a_stop_ends_open_streams(tmp_path):
    """A gateway that stops must not wait for whoever only listens."""

    async def whole():
        async with ScriptedNetwork(pays).running() as network:
            async with gateway(tmp_path, network.url) as api:
                async with listening(api) as stream:
                    api.on_stop()
                    return await stream.response.content.read()

    assert asyncio.run(whole()) == b""
