"""On PostgreSQL, too, schema, migrations and raw statements say the same; no statement scans."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import UniqueConstraint

from tests.store.store_side import opener, opening, with_store
from tillgate.store import postgres_statements, registry, reports, schema, statements
from tillgate.store.postgres_connections import LOOKING, PINNED, QUICK
from tillgate.store.postgres_statements import (
    OPEN_BATCH,
    OPEN_COLUMNS,
    SAVE_BATCH,
    SAVE_COLUMNS,
    SELECT_PAYMENTS,
    SELECT_SAMES,
    numbered,
    type_of,
)

FULL = 5000
"""Rows that make a scan of the table dearer than its index in any plan."""


@pytest.fixture(scope="module")
def url(postgres) -> str:
    return postgres.migrated()


def on(url: str, work, settings: dict[str, str] | None = None) -> Any:
    """Run `work(connection)`."""

    async def run():
        connection = await asyncpg.connect(url, server_settings=settings or {})
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def test_the_tests_server_sorts_text_as_most_servers_do(postgres):
    """By a language, where "~" stands before letters: no statement may lean on the order of C."""
    [row] = postgres.sql("SELECT '~' < 'ref_1' AS is_sorted, 'a' < 'B' AS is_folded")
    if not row["is_folded"] and os.environ.get("CI") != "true":
        pytest.skip("no language could be compiled here (Debian: the package locales)")
    assert (row["is_sorted"], row["is_folded"]) == (True, True)


def raw_statements() -> dict[str, str]:
    verbs = ("INSERT", "UPDATE", "SELECT", "SETTLE", "OPEN_BATCH", "SAVE_BATCH")
    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": value
        for module in (statements, postgres_statements)
        for name, value in vars(module).items()
        if isinstance(value, str) and name.startswith(verbs)
    }


def registry_statements() -> dict[str, str]:
    """Those that both engines share as they stand."""
    found = {}
    for name, value in vars(registry).items():
        text = getattr(value, "text", value)
        if isinstance(text, str) and text.startswith(("INSERT", "UPDATE", "SELECT", "DELETE")):
            found[f"registry.{name}"] = text
    return found


def test_every_raw_statement_is_prepared_at_the_head_revision(url):
    given = raw_statements() | registry_statements()
    given["reports"] = reports.select_payments(reports.Wanted(merchant_id="M", wallet="W"), 9).text
    assert len(given) > 20

    async def work(connection):
        for name, text in given.items():
            prepared = await connection.prepare(numbered(text))
            yield_columns = [each.name for each in prepared.get_attributes()]
            if text.startswith("SELECT *"):
                table = re.match(r"SELECT \* FROM (\w+)", text)
                assert table, name
                assert yield_columns == list(schema.metadata.tables[table[1]].columns.keys()), name

    on(url, work)


def test_the_migrations_make_exactly_the_metadata(url):
    async def work(connection):
        columns = await connection.fetch(
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
        )
        indexes = await connection.fetch(
            "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'"
            " AND tablename <> 'alembic_version'"
        )
        return {tuple(row) for row in columns}, {row["indexname"] for row in indexes}

    columns, indexes = on(url, work)
    tables = schema.metadata.tables.values()
    assert columns == {
        (table.name, column.name, compiled(column), "YES" if column.nullable else "NO")
        for table in tables
        for column in table.columns
    }
    named = {index.name for table in tables for index in table.indexes}
    for table in tables:
        named.add(f"pk_{table.name}")
        for each in table.constraints:
            if isinstance(each, UniqueConstraint):
                named.add(f"uq_{table.name}_{'_'.join(column.name for column in each.columns)}")
    assert indexes == named


def compiled(column) -> str:
    return str(column.type.compile(postgresql.dialect())).lower()


def test_the_arrays_of_a_batch_have_the_types_of_their_columns():
    plain = {name: name for name in OPEN_COLUMNS + SAVE_COLUMNS if name[1] != "_"}
    plain.pop("keep_body")
    assert {name: type_of(name) for name in plain} == {
        name: compiled(schema.payment.c[name]) for name in plain
    }
    for prefix, table in (("h_", schema.payment_event), ("t_", schema.merchant_event)):
        names = [name for name in SAVE_COLUMNS if name.startswith(prefix)]
        assert names
        for name in names:
            assert type_of(name) == compiled(table.c[name.removeprefix(prefix)])
        assert [name for name in OPEN_COLUMNS if name.startswith("h_")]


_BACK = {"Backward": " Backward"}


def scans(plan: dict[str, Any]) -> list[tuple[str, str | None]]:
    """How each table is read: the kind of scan, and the index."""
    found = [
        (f"{plan['Node Type']}{_BACK.get(plan.get('Scan Direction'), '')}", plan.get("Index Name"))
        for _ in range(plan.get("Relation Name") == "payment" and "Scan" in plan["Node Type"])
    ]
    return found + [each for part in plan.get("Plans", ()) for each in scans(part)]


def plan_kept(batch: str, columns: Sequence[str]):
    """The plan that a writer keeps: generic, made once, whatever the table held then."""

    async def work(connection) -> list[tuple[str, str | None]]:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE batch AS {batch}")
        nothing = ", ".join(["NULL"] * len(columns))
        [row] = await connection.fetch(f"EXPLAIN (FORMAT JSON) EXECUTE batch ({nothing})")
        await connection.execute("DEALLOCATE batch")
        return scans(json.loads(row[0])[0]["Plan"])

    return work


BY_ID = ("Index Scan", "pk_payment")
BY_ORDER = ("Index Scan Backward", "ix_payment_order")
BATCHES = [(OPEN_BATCH, OPEN_COLUMNS, [BY_ORDER]), (SAVE_BATCH, SAVE_COLUMNS, [BY_ID])]


def fill(url: str) -> None:
    async def work(store):
        await asyncio.gather(*(store.open(opening(n)) for n in range(FULL)))

    with_store(opener(url), work)


@pytest.mark.parametrize(("batch", "columns", "plan"), BATCHES, ids=["open", "save"])
def test_a_batch_finds_its_rows_by_an_index_on_empty_and_on_full_tables(
    postgres, batch, columns, plan
):
    kept = plan_kept(batch, columns)
    url = postgres.migrated()
    name = url.split("@/")[1].split("?")[0]
    assert on(url, kept, PINNED) == plan
    postgres.sql("ANALYZE payment", database=name)
    assert on(url, kept, PINNED) == plan
    fill(url)
    assert on(url, kept, PINNED) == plan  # what is known of it is stale
    postgres.sql("VACUUM ANALYZE payment", database=name)
    assert on(url, kept, PINNED) == plan


def test_without_the_pin_the_plan_of_an_empty_table_is_another(postgres):
    """What the pin is for; the day that this fails it may go."""
    url = postgres.migrated()
    postgres.sql("VACUUM ANALYZE payment", database=url.split("@/")[1].split("?")[0])
    assert on(url, plan_kept(SAVE_BATCH, SAVE_COLUMNS), QUICK) != [BY_ID]


@pytest.fixture(scope="module")
def full_url(postgres) -> str:
    """One merchant with many payments, of which the planner was never told."""
    url = postgres.migrated()
    fill(url)
    return url


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("SELECT_PAYMENT", ("pay_00001",), "pk_payment"),
        ("SELECT_BODY", ("pay_00001",), "pk_payment"),
        ("SELECT_BY_KEY", ("M1", "key-1"), "uq_payment_merchant_id_idempotency_key"),
        ("SELECT_BY_ORDER", ("M1", "order-1"), "uq_payment_merchant_id_order_claim"),
        ("SELECT_WAITING", (2**62, 0, "", 500), "ix_payment_next_action_at"),
    ],
)
def test_no_look_up_scans_the_table(full_url, name, values, index):
    text = numbered(getattr(statements, name))

    async def work(connection):
        [row] = await connection.fetch(f"EXPLAIN (FORMAT JSON) {text}", *values)
        return scans(json.loads(row[0])[0]["Plan"])

    assert on(full_url, work, LOOKING) == [("Index Scan", index)]


@pytest.mark.parametrize("is_full", [False, True], ids=["empty", "full"])
@pytest.mark.parametrize("is_analysed", [False, True], ids=["unknown", "analysed"])
@pytest.mark.parametrize("look", [SELECT_PAYMENTS, SELECT_SAMES], ids=["whole", "same"])
def test_a_batch_of_look_ups_scans_no_table(postgres, is_full, is_analysed, look):
    url = postgres.migrated()
    if is_full:
        fill(url)
    if is_analysed:
        postgres.sql("VACUUM ANALYZE payment", database=url.split("@/")[1].split("?")[0])

    async def generic(connection):
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE look AS {look}")
        [row] = await connection.fetch("EXPLAIN (FORMAT JSON) EXECUTE look (NULL)")
        await connection.execute("DEALLOCATE look")
        return scans(json.loads(row[0])[0]["Plan"])

    assert on(url, generic, PINNED) == [BY_ID]


def test_statistics_of_an_almost_empty_table_mislead_no_look_up(postgres):
    """With one row every column passes for unique, and each index of the merchant for as good."""
    url = postgres.migrated()
    name = url.split("@/")[1].split("?")[0]
    with_store(opener(url), lambda store: store.open(opening(0)))
    postgres.sql("VACUUM ANALYZE payment", database=name)
    postgres.sql("ALTER TABLE payment SET (autovacuum_enabled = off)", database=name)

    async def more(store):
        await asyncio.gather(*(store.open(opening(n)) for n in range(1, FULL)))

    with_store(opener(url), more)

    assert on(url, plan_kept(OPEN_BATCH, OPEN_COLUMNS), PINNED) == [BY_ORDER]
    by_key = ("Index Scan", "uq_payment_merchant_id_idempotency_key")

    async def work(connection):
        text = numbered(statements.SELECT_BY_KEY)
        [row] = await connection.fetch(f"EXPLAIN (FORMAT JSON) {text}", "M1", "key-1")
        return scans(json.loads(row[0])[0]["Plan"])

    assert on(url, work, LOOKING) == [by_key]


def test_the_lists_of_what_a_person_should_know_go_by_their_indexes(url):
    """Repeating an index's words is what lets the planner take it: they have to be the same."""

    async def work(connection):
        await connection.execute("SET enable_seqscan = off")
        found = {}
        for table in ("payment_event", "refund_event"):
            question = f"SELECT at FROM {table} WHERE {reports.HAS_ALERT} AND at > 5"
            plan = await connection.fetch(f"EXPLAIN {question} ORDER BY at DESC LIMIT 9")
            found[table] = plan[1][0]
        question = f"SELECT status FROM payment WHERE {reports.IS_NOT_WELL} AND status = 'FAILED'"
        plan = await connection.fetch(f"EXPLAIN {question} ORDER BY payment_request_id DESC")
        return found | {"payment": " ".join(row[0] for row in plan)}

    plans = on(url, work)
    for table, index in (
        ("payment_event", "ix_payment_event_alert"),
        ("refund_event", "ix_refund_event_alert"),
        ("payment", "ix_payment_not_well"),
    ):
        assert index in plans[table]
