"""Two nodes at once: whatever they do in whatever order, one of them wins and both know who."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.store_side import history, opener, opening, order, paid, told
from tillgate.core.errors import StaleVersion
from tillgate.core.model import PaymentRequestId
from tillgate.store import KeyHeld, Opened, OrderHeld, Sql, Store
from tillgate.store.sqlite import SqliteStore

examples = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
numbers = count(1)


@contextlib.asynccontextmanager
async def two_nodes(open_store) -> AsyncIterator[list[Store]]:
    """Two stores over one database; on SQLite one process has both callers."""
    first = open_store()
    second = first if isinstance(first, SqliteStore) else open_store()
    try:
        yield [first, second]
    finally:
        for store in {id(each): each for each in (first, second)}.values():
            await store.close()


def asked(key: int, of_order: int, merchant: str):
    """A request with this key and order."""
    number = next(numbers)
    given = opening(number, key=f"key-{key}", merchant_id=merchant)
    name = order(of_order, merchant_id=merchant)
    return replace(given, payment=replace(given.payment, order=name))


@examples
@given(
    requests=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 2)), min_size=2, max_size=16
    )
)
def test_of_one_key_and_of_one_order_one_payment_is_opened(open_store, requests):
    async def run():
        merchant = f"M{next(numbers)}"
        async with two_nodes(open_store) as nodes:
            openings = [(node, asked(key, name, merchant)) for node, key, name in requests]
            results = await asyncio.gather(*(nodes[node].open(each) for node, each in openings))
            opened = [
                each
                for (_, each), result in zip(openings, results, strict=True)
                if result == Opened()
            ]
            assert len({each.idempotency_key for each in opened}) == len(opened)
            assert len({each.payment.order.merchant_order_id for each in opened}) == len(opened)
            payments = [each.payment for each in opened]
            for (_, each), result in zip(openings, results, strict=True):
                match result:
                    case KeyHeld(request):
                        assert request.payment in payments
                    case OrderHeld(payment):
                        assert payment in payments
                        name = each.payment.order.merchant_order_id
                        assert payment.order.merchant_order_id == name
                    case Opened():
                        assert await nodes[0].load(each.payment.payment_request_id) == each.payment

    asyncio.run(run())


@examples
@given(rivals=st.lists(st.integers(0, 1), min_size=2, max_size=12))
def test_of_one_version_one_save_wins_with_its_history_and_what_is_told(open_store, rivals):
    async def run():
        merchant = f"M{next(numbers)}"
        async with two_nodes(open_store) as nodes:
            given = asked(0, 0, merchant)
            await nodes[0].open(given)
            versions = [
                replace(paid(given.payment, f"{merchant}-{n}"), result_message=str(n))
                for n in range(len(rivals))
            ]
            results = await asyncio.gather(
                *(
                    nodes[node].save(
                        each,
                        history(each, f"by-{each.result_message}"),
                        keep_body=False,
                        told=told(each, 1, event_id=f"evt_{each.receipt.payment_id}"),
                    )
                    for node, each in zip(rivals, versions, strict=True)
                ),
                return_exceptions=True,
            )
            assert results.count(None) == 1
            assert sum(isinstance(each, StaleVersion) for each in results) == len(rivals) - 1
            won = versions[results.index(None)]
            assert await nodes[1].load(won.payment_request_id) == won
            kinds = [row.kind for row in await nodes[1].load_history(won.payment_request_id)]
            assert kinds == ["accepted", f"by-{won.result_message}"]
            [placed] = await nodes[1].load_events(merchant, after=0, limit=9)
            assert placed.event.event_id == f"evt_{won.receipt.payment_id}"

    asyncio.run(run())


@examples
@given(sums=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 60)), min_size=2, max_size=12))
def test_transactions_that_read_first_never_take_more_than_there_is(open_store, sums):
    """As refunds do: read what is reserved, compare, reserve more."""

    def reserve(key: PaymentRequestId, amount: int):
        def work():
            [row] = yield Sql(
                "SELECT amount, reserved FROM payment WHERE payment_request_id = ?", (key,)
            )
            if row["reserved"] + amount > row["amount"]:
                return 0
            yield Sql(
                "UPDATE payment SET reserved = ? WHERE payment_request_id = ?",
                (row["reserved"] + amount, key),
            )
            return amount

        return work

    async def run():
        merchant = f"M{next(numbers)}"
        async with two_nodes(open_store) as nodes:
            given = asked(0, 0, merchant)
            await nodes[0].open(given)
            key = given.payment.payment_request_id
            taken = await asyncio.gather(
                *(nodes[node].transact(reserve(key, amount)) for node, amount in sums)
            )
            saved = await nodes[1].load(key)
            assert saved is not None
            assert saved.reserved == sum(taken) <= 100
            first = sums[0][1]
            assert sum(taken) >= min(first, 1)

    asyncio.run(run())


def test_batches_of_two_nodes_over_the_same_payments_never_wait_in_a_circle(postgres):
    url = postgres.migrated()

    async def run():
        async with two_nodes(opener(url)) as nodes:
            openings = [asked(n, n, "M") for n in range(40)]
            await asyncio.gather(*(nodes[0].open(each) for each in openings))
            payments = [each.payment for each in openings]
            for turn in range(20):
                payments = [replace(each, version=each.version + 1) for each in payments]
                orders = (payments, payments[::-1]) if turn % 2 else (payments[::-1], payments)
                results = await asyncio.gather(
                    *(
                        node.save(each, history(each, "x"), keep_body=True)
                        for node, batch in zip(nodes, orders, strict=True)
                        for each in batch
                    ),
                    return_exceptions=True,
                )
                assert results.count(None) == len(payments)

    asyncio.run(run())
    name = url.split("@/")[1].split("?")[0]
    [row] = postgres.sql(f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{name}'")
    assert row["deadlocks"] == 0
