"""From a SQLite file to PostgreSQL: all of it, once, whatever interrupts it."""

from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
import subprocess
import sys

import pytest

from tests.store.filler import fill
from tests.store.store_side import history, opener, opening, paid, with_store
from tillgate.core.errors import StoreError, StoreInUse
from tillgate.store import KeyHeld, Opened, OrderHeld, migrate
from tillgate.store.copy import copy
from tillgate.store.postgres_url import read_postgres_url
from tillgate.store.schema import metadata
from tillgate.store.sqlite import open_sqlite


def quiet(what, table, done, total):
    pass


def copied(source, url, progress=quiet, batch=5000):
    return asyncio.run(copy(source, read_postgres_url(url), progress, batch))


def name_of(url):
    return url.split("@/")[1].split("?")[0]


def test_every_row_of_every_table_arrives(postgres, tmp_path):
    source, url = tmp_path / "a.db", postgres.database()
    fill(source, 23)
    told = []
    counts = copied(source, url, lambda *words: told.append(words), batch=5)
    assert counts == {table.name: 23 for table in metadata.sorted_tables}
    assert ("copy", "payment", 20, 23) in told
    connection = sqlite3.connect(source)
    for table in metadata.sorted_tables:
        columns = ", ".join(column.name for column in table.columns)
        there = postgres.sql(f"SELECT {columns} FROM {table.name}", database=name_of(url))
        ours = connection.execute(f"SELECT {columns} FROM {table.name}").fetchall()
        assert sorted(map(repr, map(tuple, there))) == sorted(
            repr(
                tuple(
                    bool(v) if c.type.python_type is bool and v is not None else v
                    for c, v in zip(table.columns, row, strict=True)
                )
            )
            for row in ours
        )
    connection.close()


def test_gateways_go_on_with_what_was_copied(postgres, tmp_path):
    """Keys, orders and numbers hold: nothing is charged twice, and new rows find their places."""
    source, url = tmp_path / "a.db", postgres.database()
    first, second = opening(1), opening(2)

    async def before(store):
        await store.open(first)
        await store.open(second)
        done = paid(second.payment, "p2")
        await store.save(done, history(done, "x"), keep_body=False)

    with_store(lambda: open_sqlite(source), before)
    copied(source, url)

    async def after(store):
        assert isinstance(await store.open(first), KeyHeld)
        assert isinstance(await store.open(opening(3, merchant_order_id="order-2")), OrderHeld)
        assert [each.payment_request_id for each in await store.load_waiting(limit=9)] == [
            first.payment.payment_request_id
        ]
        assert await store.load_pay_body(first.payment.payment_request_id) == first.pay_body
        done = paid(first.payment, "p1")
        await store.save(done, history(done, "x"), keep_body=False)
        assert await store.open(opening(4)) == Opened()

    with_store(opener(url), after)


def test_numbers_go_on_behind_the_highest(postgres, tmp_path):
    source, url = tmp_path / "a.db", postgres.database()
    fill(source, 9)
    copied(source, url)
    for table in ("audit_log", "unmatched_notification"):
        [row] = postgres.sql(
            f"SELECT nextval(pg_get_serial_sequence('{table}', 'id')) AS next",
            database=name_of(url),
        )
        assert row["next"] == 10


def test_a_copy_that_is_killed_serves_nobody_and_goes_on_where_it_was(postgres, tmp_path):
    source, url = tmp_path / "a.db", postgres.database()
    fill(source, 300)
    code = (
        "import asyncio, sys; from pathlib import Path; from tillgate.store.copy import copy;"
        "from tillgate.store.postgres_url import read_postgres_url;"
        "asyncio.run(copy(Path(sys.argv[1]), read_postgres_url(sys.argv[2]),"
        " lambda *words: print(*words, flush=True), 7))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(source), url], stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if "copy payment 140 300" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with pytest.raises(StoreError, match="unfinished copy"):
        opener(url)()
    told = []
    counts = copied(source, url, lambda *words: told.append(words), batch=7)
    assert set(counts.values()) == {300}
    began = min(done for what, table, done, _ in told if (what, table) == ("copy", "payment"))
    assert began > 140
    opener(url)()


def test_another_file_does_not_go_on_where_the_first_was_stopped(postgres, tmp_path):
    url = postgres.database()
    fill(tmp_path / "a.db", 20)
    fill(tmp_path / "b.db", 20, seed=8)

    def stop(what, table, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copied(tmp_path / "a.db", url, stop, batch=5)
    with pytest.raises(StoreError, match="another file"):
        copied(tmp_path / "b.db", url)
    assert copied(tmp_path / "a.db", url)["payment"] == 20


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE payment SET amount = amount + 1 WHERE payment_request_id LIKE '%000003%'",
        "DELETE FROM payment_event WHERE version = 3",
        "INSERT INTO merchant (merchant_id, name, mcc, region, settlement_currency, is_closed)"
        " VALUES ('a', 'n', '1', 'JP', 'JPY', 0)",
    ],
)
def test_what_changed_between_two_runs_is_found(postgres, tmp_path, change):
    source, url = tmp_path / "a.db", postgres.database()
    fill(source, 20)

    def stop(what, table, done, total):
        if what == "compare" or table == metadata.sorted_tables[-1].name:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copied(source, url, stop, batch=5)
    with sqlite3.connect(source) as connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(StoreError, match=r"is not the same as .* in ") as error:
        copied(source, url)
    assert re.search(r"in (payment|payment_event|merchant) \(", str(error.value))
    with pytest.raises(StoreError, match="unfinished copy"):
        opener(url)()


def test_what_cannot_be_copied_is_said_and_changes_nothing(postgres, tmp_path):
    source, url = tmp_path / "a.db", postgres.migrated()
    fill(source, 2)
    with_store(opener(url), lambda store: store.open(opening(1)))
    with pytest.raises(StoreError, match=r"holds data already \(payment\)"):
        copied(source, url)
    with pytest.raises(StoreError, match="not through a pooler"):
        copied(source, postgres.database() + "&pgbouncer=transaction")
    with pytest.raises(StoreError, match="cannot be opened"):
        copied(tmp_path / "none.db", url)
    assert not (tmp_path / "none.db").exists()
    store = open_sqlite(source)
    with pytest.raises(StoreInUse, match="in use by another tillgate"):
        copied(source, postgres.database())
    asyncio.run(store.close())
    with sqlite3.connect(source) as connection:
        connection.execute("UPDATE payment SET description = 'a' || char(0) || 'b'")
    connection.close()
    with pytest.raises(StoreError, match="description has a NUL character"):
        copied(source, postgres.database())


def test_a_file_of_an_older_release_is_upgraded_first(postgres, tmp_path, monkeypatch):
    source = tmp_path / "a.db"
    migrate.upgrade(source)
    with sqlite3.connect(source) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0008'")
    connection.close()
    with pytest.raises(StoreError, match="tillgate db upgrade"):
        copied(source, postgres.database())
