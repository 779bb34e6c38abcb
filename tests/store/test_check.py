"""`tillgate db check` finds what is wrong, names it, and calls nothing else wrong."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta

import pytest

from tests.gateway.refund_side import ask, refunding
from tests.store.archive_side import run as archived
from tests.store.store_side import NOW, history, opener, opening, paid, told, with_store
from tillgate.core.errors import StoreError
from tillgate.store.check import check
from tillgate.store.migrate import HEAD
from tillgate.store.postgres_url import read_postgres_url
from tillgate.store.sqlite import open_sqlite
from tillgate.store.upkeep import reading


class Side:
    """A database of either engine, that may be broken by hand."""

    def __init__(self, where, open_store, run):
        self.where, self.open_store, self.run = where, open_store, run

    def findings(self):
        async def look():
            async with reading(self.where) as database:
                return [each async for each in check(database, lambda table, rows: None)]

        return asyncio.run(look())

    def wrong(self):
        return [each.words for each in self.findings() if each.is_wrong]


@pytest.fixture(params=["sqlite", "postgres"])
def side(request, tmp_path):
    if request.param == "sqlite":
        path = tmp_path / "a.db"

        def on_file(statement):
            with sqlite3.connect(path) as connection:
                connection.execute(statement)
            connection.close()

        return Side(path, lambda: open_sqlite(path), on_file)
    server = request.getfixturevalue("postgres")
    url = server.migrated()

    def on_server(statement):
        server.sql(statement, database=url.split("@/")[1].split("?")[0])

    return Side(read_postgres_url(url), opener(url), on_server)


async def some_payments(store):
    for number in range(1, 6):
        given = opening(number)
        await store.open(given)
        if number > 2:
            done = paid(given.payment, f"p{number}")
            event = told(done, 1, event_id=f"evt_{number}")
            await store.save(done, history(done, "x"), keep_body=False, told=event)


def test_a_sound_database_has_nothing_wrong(side):
    with_store(side.open_store, some_payments)
    findings = side.findings()
    assert [each.words for each in findings if each.is_wrong] == []
    words = [each.words for each in findings]
    assert "5 rows of payment: 2 PENDING, 3 SUCCEEDED" in words
    assert "3 rows of merchant_event: 3 payment.succeeded" in words


def test_refunds_through_the_gateway_leave_sound_books(side):
    async def work():
        async with refunding(side.open_store) as world:
            node, payment = world.node(), await world.paid()
            await node.refunds.wait((await ask(node, payment, 30)).refund, 5)
            world.network.takes = lambda refund: False
            await node.refunds.wait((await ask(node, payment, 20, "k2")).refund, 5)

    asyncio.run(work())
    assert side.wrong() == []
    assert "2 rows of refund: 1 FAILED, 1 SUCCEEDED" in [each.words for each in side.findings()]
    side.run("UPDATE payment SET reserved = 31")
    assert [words.partition(": ")[2] for words in side.wrong()] == [
        "it says 31 reserved, its refunds say 30"
    ]


BREAKS = {
    "DELETE FROM payment_event WHERE payment_request_id = 'pay_00003' AND version = 1": (
        "payment pay_00003: it is version 2, and its history has 1 steps, the last one 2"
    ),
    "UPDATE payment SET version = 7 WHERE payment_request_id = 'pay_00001'": (
        "payment pay_00001: it is version 7, and its history has 1 steps, the last one 1"
    ),
    "UPDATE payment SET reserved = 1 WHERE payment_request_id = 'pay_00004'": (
        "payment pay_00004: it says 1 reserved, its refunds say 0"
    ),
    "UPDATE payment SET next_action = NULL, next_action_at = NULL"
    " WHERE payment_request_id = 'pay_00002'": (
        "payment pay_00002: it is PENDING, and nothing is planned for it"
    ),
    "UPDATE merchant_event SET sequence = 2 WHERE event_id = 'evt_5'": (
        "it is number 2 of a payment that told 1"
    ),
    "DROP INDEX ix_refund_status": "the index ix_refund_status is missing or not valid",
    "UPDATE alembic_version SET version_num = '0008'": f"schema 0008; this release has {HEAD}",
}


@pytest.mark.parametrize("statement", BREAKS)
def test_what_is_wrong_is_found_and_named(side, statement):
    with_store(side.open_store, some_payments)
    side.run(statement)
    [words] = side.wrong()
    assert BREAKS[statement] in words


ARCHIVED_BREAKS = {
    "DELETE FROM payment_event WHERE payment_request_id = 'pay_00003' AND version = 2": (
        "it is version 3, and its history has 1 steps, the last one 3"
    ),
    "DELETE FROM payment_event WHERE payment_request_id = 'pay_00003' AND version = 3": (
        "it is version 3, and its history has 2 steps, the last one 2"
    ),
    "UPDATE payment SET version = 4 WHERE payment_request_id = 'pay_00003'": (
        "it is version 4, and its history has 3 steps, the last one 3"
    ),
    "UPDATE payment_event SET kind = 'archived' WHERE version = 3": (
        "it is version 3, and its history has 5 steps, the last one 3"
    ),
    "UPDATE payment_event SET kind = 'x' WHERE payment_request_id = 'pay_00004'": (
        "it is version 2, and its history has 1 steps, the last one 2"
    ),
}


@pytest.mark.parametrize("statement", ARCHIVED_BREAKS)
def test_an_archived_history_is_whole_and_what_misses_in_it_is_found(side, tmp_path, statement):
    async def work(store):
        await some_payments(store)
        await archived(store, tmp_path, bound=NOW + timedelta(days=1))

    with_store(side.open_store, work)
    side.run(
        "INSERT INTO payment_event SELECT payment_request_id, 3, at, 'x', status, detail"
        " FROM payment_event WHERE payment_request_id = 'pay_00003'"
    )
    side.run("UPDATE payment SET version = 3 WHERE payment_request_id = 'pay_00003'")
    assert side.wrong() == []
    side.run(statement)
    [words] = side.wrong()
    assert ARCHIVED_BREAKS[statement] in words


def test_books_longer_than_a_batch_are_read_to_the_end(side, monkeypatch):
    monkeypatch.setattr("tillgate.store.check.BATCH", 2)
    with_store(side.open_store, some_payments)
    side.run("UPDATE payment SET reserved = 1 WHERE payment_request_id = 'pay_00005'")
    assert len(side.wrong()) == 1
    assert "5 rows of payment: 2 PENDING, 3 SUCCEEDED" in [x.words for x in side.findings()]


def test_a_server_that_may_lose_answers_is_wrong(postgres):
    url = postgres.migrated()
    name = url.split("@/")[1].split("?")[0]
    postgres.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    side = Side(read_postgres_url(url), opener(url), None)
    [words] = side.wrong()
    assert words.startswith("synchronous_commit is off")


def test_a_torn_file_is_told(tmp_path):
    path = tmp_path / "a.db"
    with_store(lambda: open_sqlite(path), some_payments)
    with sqlite3.connect(path) as connection:
        [[page]] = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'ix_payment_order'"
        )
        [[size]] = connection.execute("PRAGMA page_size")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size + size - 40)
        file.write(b"\xff" * 40)
    assert any(words.startswith("SQLite: ") for words in Side(path, None, None).wrong())


def test_nothing_is_written_and_what_is_not_there_is_said(tmp_path, postgres):
    with pytest.raises(StoreError, match="is not there"):
        Side(tmp_path / "none.db", None, None).findings()
    assert not (tmp_path / "none.db").exists()

    async def write():
        async with reading(read_postgres_url(postgres.migrated())) as database:
            await database.rows("DELETE FROM payment RETURNING 1")

    with pytest.raises(StoreError, match="read-only"):
        asyncio.run(write())
