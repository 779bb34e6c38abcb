"""Two nodes over one PostgreSQL database: what one began, the other one reads, awaits and ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.gateway.follower_side import Side, following, opening, paid
from tests.store.store_side import opener
from tests.support import API_KEY, Wallets, gateway, order, sandbox
from tillgate.core.model import CancelRequested, Notified, PayAnswered, Status
from tillgate.gateway import follow
from tillgate.store import KeyHeld
from tillgate.store.postgres_url import read_postgres_url

NOWHERE = "http://127.0.0.1:1"


@contextlib.asynccontextmanager
async def two_nodes(folder: Path, url: str) -> AsyncIterator[tuple[Side, Side]]:
    open_store = opener(url)
    async with following(folder, open_store) as a, following(folder, open_store) as b:
        yield a, b


def test_what_one_node_began_the_other_reads_awaits_and_replays(postgres, tmp_path):
    async def run():
        async with two_nodes(tmp_path, postgres.migrated()) as (a, b):
            payment = await a.sale(1)
            key = payment.payment_request_id
            assert await b.follower.current(key) == payment
            again, taken = opening(2, b.clock.now(), b.sealer)
            repeated = replace(again, idempotency_key=key)
            held = await b.follower.open(repeated, b"", taken)
            assert isinstance(held, KeyHeld)
            assert held.request.payment == payment
            waiting = asyncio.ensure_future(b.follower.wait(payment, 10))
            await a.until(lambda: a.network.calls)
            a.network.calls[0].answer.set_result(PayAnswered(paid(a.network.calls[0])))
            seen = await waiting
            assert seen.status is Status.SUCCEEDED
            assert seen == await a.follower.current(key)
            assert b.network.calls == []

    asyncio.run(run())


def test_what_a_dead_node_left_is_taken_up_and_ended_by_the_other(postgres, tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "LOOK_INTERVAL_S", 0.01)

    async def run():
        async with two_nodes(tmp_path, postgres.migrated()) as (a, b):
            assert await b.follower.recover() == 0
            payment = await a.sale(1)
            await a.until(lambda: a.network.calls)
            await a.die()
            b.clock.ahead = timedelta(seconds=30)  # past the moment that the row names, and grace
            await b.until(lambda: b.network.calls)
            [asked] = b.network.calls  # the same body again, as after a restart
            assert (asked.api, asked.key) == ("pay", payment.payment_request_id)
            asked.answer.set_result(PayAnswered(paid(asked)))
            last = await b.follower.wait(payment, 10)
            assert last.status is Status.SUCCEEDED
            assert await a.store.load(payment.payment_request_id) == last

    asyncio.run(run())


def test_over_http_either_node_answers_for_the_payment_and_there_is_one_debit(postgres, tmp_path):
    async def run():
        async with contextlib.AsyncExitStack() as stack:
            where = read_postgres_url(postgres.migrated())
            network = await stack.enter_async_context(sandbox())
            a = await stack.enter_async_context(gateway(tmp_path, network, store=where))
            b = await stack.enter_async_context(gateway(tmp_path, network, store=where))
            wallets = Wallets(network, a.session)
            body = order(code=await wallets.code())
            (_, first), (_, second) = await asyncio.gather(
                a.post(body, "k", wait=10), b.post(body, "k", wait=10)
            )
            status, read = await b.get(f"/v1/payments/{first['id']}")
            assert first == second == read
            assert (status, read["status"]) == (200, "SUCCEEDED")
            assert await wallets.debits(first["id"]) == (1, 100)
            _, timeline = await a.get(f"/v1/payments/{first['id']}/events")
            assert [row["kind"] for row in timeline["events"]] == ["accepted", "pay_answered"]

    asyncio.run(run())


def test_a_result_that_lands_on_another_node_reaches_the_till_here(postgres, tmp_path):
    """The till waits at A; B is told; A hears it long before its own next inquiry, and asks no
    more.
    """

    async def run():
        async with two_nodes(tmp_path, postgres.migrated()) as (a, b):
            await a.follower.recover()
            payment = await a.sale(1)
            key = payment.payment_request_id
            await a.until(lambda: a.network.calls)
            [asked] = a.network.calls
            waiting = asyncio.ensure_future(a.follower.wait(payment, 10))
            await asyncio.sleep(0)
            assert await b.follower.apply(key, Notified(paid(asked))) is not None
            seen = await waiting
            assert seen.status is Status.SUCCEEDED
            assert seen == await b.follower.current(key)
            assert len(a.network.calls) == 1
            asked.answer.set_result(PayAnswered(paid(asked)))
            await a.until(lambda: a.follower.driven_count == 0)

    asyncio.run(run())


def test_a_stream_at_one_node_hears_what_the_other_one_does(postgres, tmp_path):
    async def run():
        async with contextlib.AsyncExitStack() as stack:
            where = read_postgres_url(postgres.migrated())
            network = await stack.enter_async_context(sandbox())
            a = await stack.enter_async_context(gateway(tmp_path, network, store=where))
            b = await stack.enter_async_context(gateway(tmp_path, network, store=where))
            wallets = Wallets(network, a.session)
            headers = {"Authorization": f"Bearer {API_KEY}"}
            async with b.session.get(f"{b.url}/v1/events", headers=headers) as stream:
                _, payment = await a.post(order(code=await wallets.code()), "k", wait=10)
                async with asyncio.timeout(10):
                    while not (line := await stream.content.readline()).startswith(b"data: "):
                        assert line
            assert json.loads(line.removeprefix(b"data: "))["data"] == payment

    asyncio.run(run())


def test_a_key_that_is_revoked_at_one_node_opens_nothing_at_the_other_within_a_second(
    postgres, tmp_path
):
    async def run():
        async with contextlib.AsyncExitStack() as stack:
            where = read_postgres_url(postgres.migrated())
            a = await stack.enter_async_context(gateway(tmp_path, NOWHERE, store=where))
            b = await stack.enter_async_context(gateway(tmp_path, NOWHERE, store=where))
            assert (await b.get("/v1/payments"))[0] == 200
            assert (await a.admin("POST", "/keys/tg_test_1/revoke"))[0] == 204
            assert (await a.get("/v1/payments"))[0] == 401
            # Looked at twice a second; a busy machine has three tries.
            for _ in range(30):
                status, _ = await b.get("/v1/payments")
                if status == 401:
                    return
                await asyncio.sleep(0.05)
            raise AssertionError("it still opens the other node")

    asyncio.run(run())


def test_what_one_node_told_no_other_one_takes_back(postgres, tmp_path):
    """Both drive the payment; B ends it. A's memory is older than that when A is asked."""

    async def run():
        async with two_nodes(tmp_path, postgres.migrated()) as (a, b):
            payment = await a.sale(1)
            key = payment.payment_request_id
            await a.until(lambda: a.network.calls)
            [asked] = a.network.calls
            told = await b.follower.apply(key, Notified(paid(asked)))
            assert told is not None
            assert told.is_final
            assert a.follower.driven_count == 1
            assert await a.follower.wait(await a.follower.current(key), 0.01) == told
            assert a.follower.driven_count == 0  # it has caught up, and the payment rests
            asked.answer.set_result(PayAnswered(paid(asked)))

    asyncio.run(run())


def test_a_late_word_is_taken_of_the_payment_as_another_node_left_it(postgres, tmp_path):
    """A remembers how it ended the payment; B has cancelled it since."""

    async def run():
        async with two_nodes(tmp_path, postgres.migrated()) as (a, b):
            payment = await a.sale(1)
            key = payment.payment_request_id
            await a.until(lambda: a.network.calls)
            [asked] = a.network.calls
            asked.answer.set_result(PayAnswered(paid(asked)))
            assert (await a.follower.wait(payment, 10)).status is Status.SUCCEEDED
            again = await a.follower.apply(key, Notified(paid(asked)))
            assert again is not None
            assert again.version == 2
            await b.follower.apply(key, CancelRequested("till"))
            late = await a.follower.apply(key, Notified(paid(asked)))
            assert late is not None
            assert late.status is Status.CANCELLING

    asyncio.run(run())


def test_payments_at_rest_are_remembered_up_to_a_number(postgres, tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "REMEMBERED_MAX", 2)

    async def run():
        async with two_nodes(tmp_path, postgres.migrated()) as (a, _):
            for number in range(1, 5):
                payment = await a.sale(number)
                await a.until(lambda: len(a.network.calls) == number)  # noqa: B023
                asked = a.network.calls[-1]
                asked.answer.set_result(PayAnswered(paid(asked)))
                await a.follower.wait(payment, 10)
            assert len(a.follower._remembered) == 2

    asyncio.run(run())


@pytest.mark.parametrize(("ahead_s", "taken_up"), [(0, 0), (30, 1)])
def test_a_node_that_begins_takes_up_what_is_overdue_and_leaves_the_rest_to_the_others(
    postgres, tmp_path, ahead_s, taken_up
):
    async def run():
        async with two_nodes(tmp_path, postgres.migrated()) as (a, b):
            payment = await a.sale(1)
            await a.until(lambda: a.network.calls)
            b.clock.ahead = timedelta(seconds=ahead_s)
            assert await b.follower.recover() == taken_up
            await b.until(lambda: len(b.network.calls) == taken_up)
            for asked in (*b.network.calls, *a.network.calls):  # whoever asked is told
                asked.answer.set_result(PayAnswered(paid(asked)))
            last = await b.follower.wait(payment, 10)
            assert last.status is Status.SUCCEEDED

    asyncio.run(run())


def test_what_is_sold_while_a_stop_has_begun_is_sent_and_not_left_until_it_is_overdue(
    postgres, tmp_path
):
    async def run():
        async with two_nodes(tmp_path, postgres.migrated()) as (a, b):
            a.follower.release_waiters()
            payment = await a.sale(1)
            await a.until(lambda: a.network.calls)
            [asked] = a.network.calls
            stop = asyncio.ensure_future(a.follower.stop())
            asked.answer.set_result(PayAnswered(paid(asked)))
            await stop
            last = await b.follower.current(payment.payment_request_id)
            assert last is not None
            assert last.status is Status.SUCCEEDED

    asyncio.run(run())


def test_what_a_node_left_that_drove_many_is_taken_up_in_one_go(postgres, tmp_path, monkeypatch):
    """A pause after each batch would leave the last of thousands for minutes."""
    monkeypatch.setattr(follow, "LOOK_INTERVAL_S", 0.01)
    monkeypatch.setattr(follow, "BATCH_ROWS", 2)

    async def run():
        async with two_nodes(tmp_path, postgres.migrated()) as (a, b):
            await b.follower.recover()
            for number in range(7):
                await a.sale(number)
            await a.until(lambda: len(a.network.calls) == 7)
            await a.die()
            load = b.store.load_waiting

            async def load_once_more(*args, **more):
                batch = await load(*args, **more)
                if batch:
                    monkeypatch.setattr(follow, "LOOK_INTERVAL_S", 3600)
                return batch

            monkeypatch.setattr(b.store, "load_waiting", load_once_more)
            b.clock.ahead = timedelta(seconds=30)
            await b.until(lambda: len(b.network.calls) == 7)

    asyncio.run(run())
