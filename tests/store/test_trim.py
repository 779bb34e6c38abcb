"""What merchants were told long ago is removed; what waits, and what money hangs on, stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.store.store_side import NOW, history, open_store, opening, paid, told, with_store  # noqa: F401
from tillgate.core.errors import StoreError
from tillgate.store import KeyHeld, Sql
from tillgate.store import trim as trimming
from tillgate.store.trim import trim

OLD, CUT = NOW - timedelta(days=40), NOW - timedelta(days=30)
MICROSECOND = timedelta(microseconds=1)


def quiet(table, rows):
    pass


async def filled(store, count=6):
    """Payments with an event each, all but the last two old; one endpoint that all went to."""

    def endpoint():
        yield Sql(
            "INSERT INTO webhook_endpoint (endpoint_id, merchant_id, url, secrets, status,"
            " active_since, created_at, changed_at) VALUES ('whe_1', 'M1', 'https://x', ?,"
            " 'active', 0, 0, 0)",
            (b"s",),
        )

    await store.transact(endpoint)
    for number in range(1, count + 1):
        given = opening(number)
        await store.open(given)
        done = paid(given.payment, f"p{number}")
        at = NOW if number > count - 2 else OLD
        await store.save(
            done,
            history(done, "x"),
            keep_body=False,
            told=told(done, 1, event_id=f"evt_{number}", at=at),
        )

    def delivered():
        yield Sql("UPDATE webhook_delivery SET state = 'delivered' WHERE event_id <> 'evt_2'")
        for number in range(1, count + 1):
            yield Sql(
                "INSERT INTO webhook_attempt (endpoint_id, event_id, attempt, at, duration_ms)"
                " VALUES ('whe_1', ?, 1, 0, 1)",
                (f"evt_{number}",),
            )

    await store.transact(delivered)


async def keys(store, table, column="event_id"):
    rows = await store.read(Sql(f"SELECT {column} AS it FROM {table}"))
    return sorted(row["it"] for row in rows)


def test_old_and_settled_goes_and_all_else_stays(open_store):  # noqa: F811
    async def work(store):
        await filled(store)
        gone = await trim(store, CUT, quiet)
        # evt_2 waits to be sent; evt_5 and evt_6 are young.
        left = ["evt_2", "evt_5", "evt_6"]
        for table in ("merchant_event", "webhook_delivery", "webhook_attempt"):
            assert await keys(store, table) == left
        assert gone == {"webhook_delivery": 3, "webhook_attempt": 3, "merchant_event": 3}
        assert len(await keys(store, "payment", "payment_request_id")) == 6
        assert len(await keys(store, "payment_event", "payment_request_id")) == 12
        assert isinstance(await store.open(opening(1)), KeyHeld)
        assert await trim(store, CUT, quiet) == dict.fromkeys(gone, 0)

    with_store(open_store, work)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_batches_reach_the_end_past_what_stays(open_store, monkeypatch, batch):  # noqa: F811
    monkeypatch.setattr(trimming, "BATCH", batch)

    async def work(store):
        await filled(store)
        await trim(store, CUT, quiet)
        assert await keys(store, "merchant_event") == ["evt_2", "evt_5", "evt_6"]

    with_store(open_store, work)


def test_the_bound_is_exact(open_store):  # noqa: F811
    async def work(store):
        await filled(store)
        assert sum((await trim(store, OLD, quiet)).values()) == 0
        assert (await trim(store, OLD + MICROSECOND, quiet))["merchant_event"] == 3

    with_store(open_store, work)


def test_what_is_stopped_in_the_middle_goes_on(open_store):  # noqa: F811
    async def work(store):
        await filled(store, 12)
        real, turns = store.transact, []

        async def failing(work):
            turns.append(1)
            if len(turns) == 2:
                raise StoreError("gone for a moment")
            return await real(work)

        store.transact = failing
        with pytest.raises(StoreError):
            await trim(store, CUT, quiet)
        await trim(store, CUT, quiet)
        assert await keys(store, "merchant_event") == ["evt_11", "evt_12", "evt_2"]

    with_store(open_store, work)
