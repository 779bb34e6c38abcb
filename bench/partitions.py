"""Whether it pays to partition a payment's history by month: the same rows in one table and in
thirteen partitions, on one server, taking turns.

Partitioned by the range of ids, which are in the order of time: so the primary key stays as it is,
and a look-up by id finds its month. Measured: batches of new rows, look-ups of one payment's
timeline, and what it takes to drop the oldest month.

    python -m bench.partitions
    python -m bench.partitions --rows 5000000
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from tests.postgres_side import running_server

from bench.one_gateway import tell
from bench.processes import tree_cpu_s, where
from tillgate.ids import first_id

MONTHS = 13
BATCH = 32
BATCHES, LOOKS = 300, 3000
BEGIN = datetime(2025, 11, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
EVENTS = 3
"""Rows of one payment."""
_COLUMNS = (
    "payment_request_id text NOT NULL, version integer NOT NULL, at bigint NOT NULL,"
    " kind text NOT NULL, status text NOT NULL, detail bytea NOT NULL,"
    " PRIMARY KEY (payment_request_id, version)"
)
_INSERT = (
    "INSERT INTO {table} SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[],"
    " $5::text[], $6::bytea[])"
)
_LOOK = "SELECT version, at, kind, status, detail FROM {table} WHERE payment_request_id = $1"


def month(number: int) -> str:
    """The lowest id of that month."""
    return first_id("pay", BEGIN + number * MONTH)


def id_of(number: int, count: int) -> str:
    """The ids of all payments, spread over the months but the last one."""
    return first_id("pay", BEGIN + (MONTHS - 1) * MONTH * number / count)


async def make(connection: Any, rows: int) -> None:
    await connection.execute(f"CREATE TABLE whole ({_COLUMNS})")
    await connection.execute(
        f"CREATE TABLE parted ({_COLUMNS}) PARTITION BY RANGE (payment_request_id)"
    )
    for number in range(MONTHS):
        await connection.execute(
            f"CREATE TABLE parted_{number} PARTITION OF parted"
            f" FOR VALUES FROM ('{month(number)}') TO ('{month(number + 1)}')"
        )
    payments = rows // EVENTS
    for first in range(0, payments, 50_000):
        records = [
            (id_of(number, payments), version, number, "pay_answered", "SUCCEEDED", b"x" * 150)
            for number in range(first, min(first + 50_000, payments))
            for version in range(1, EVENTS + 1)
        ]
        for table in ("whole", "parted"):
            await connection.copy_records_to_table(table, records=records)
    await connection.execute("VACUUM ANALYZE whole")
    await connection.execute("VACUUM ANALYZE parted")
    await connection.execute("CHECKPOINT")


async def inserts(connection: Any, table: str, serial: int) -> None:
    at = BEGIN + (MONTHS - 1) * MONTH + timedelta(hours=serial)
    for number in range(BATCHES):
        keys = [
            first_id("pay", at + timedelta(milliseconds=number * BATCH + n)) for n in range(BATCH)
        ]
        await connection.execute(
            _INSERT.format(table=table),
            *(keys, [1] * BATCH, [number] * BATCH, ["accepted"] * BATCH, ["PENDING"] * BATCH),
            [b"x" * 150] * BATCH,
        )


async def looks(connection: Any, table: str, keys: list[str]) -> None:
    for key in keys:
        assert len(await connection.fetch(_LOOK.format(table=table), key)) == EVENTS


async def measure(url: str, pid: int, rows: int, rounds: int) -> dict[str, Any]:
    connection = await asyncpg.connect(url)
    await make(connection, rows)
    dice, payments = random.Random(7), rows // EVENTS
    found: dict[str, list[float]] = {}

    async def timed(name: str, per: int, work: Callable[[], Awaitable[None]]) -> None:
        cpu, began = tree_cpu_s(pid), time.perf_counter()
        await work()
        found.setdefault(f"{name}_ms", []).append((time.perf_counter() - began) / per * 1000)
        found.setdefault(f"{name}_cpu_ms", []).append((tree_cpu_s(pid) - cpu) / per * 1000)

    for turn in range(rounds + 1):
        keys = [id_of(dice.randrange(payments), payments) for _ in range(LOOKS)]
        tables = ["whole", "parted"] if turn % 2 else ["parted", "whole"]
        for table in tables:
            await timed(
                f"{table}_insert", BATCHES, lambda t=table, n=turn: inserts(connection, t, n)
            )
            await timed(f"{table}_look", LOOKS, lambda t=table, k=keys: looks(connection, t, k))
        if turn == 0:
            found.clear()  # plans were made and pages read
    figures: dict[str, Any] = {
        name: round(statistics.median(values), 4) for name, values in sorted(found.items())
    }

    async def delete() -> None:
        await connection.execute(f"DELETE FROM whole WHERE payment_request_id < '{month(1)}'")
        await connection.execute("VACUUM whole")

    async def drop() -> None:
        await connection.execute("DROP TABLE parted_0")

    for name, work in (("delete_a_month", delete), ("drop_a_month", drop)):
        before = await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
        began = time.perf_counter()
        await work()
        figures[f"{name}_s"] = round(time.perf_counter() - began, 3)
        after = await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
        figures[f"{name}_wal_mb"] = round((after - before) / 1e6, 1)  # asyncpg reads them as bytes
    await connection.close()
    for kind in ("insert", "look"):
        for unit in ("ms", "cpu_ms"):
            whole, parted = figures[f"whole_{kind}_{unit}"], figures[f"parted_{kind}_{unit}"]
            figures[f"parted_to_whole_{kind}_{unit}"] = round(parted / whole, 2) if whole else None
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.partitions --rows 5000000",
    )
    parser.add_argument("--rows", type=int, default=2_000_000, help="of history (default: 2000000)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default: 5)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    with running_server("-c", "shared_buffers=512MB", "-c", "max_wal_size=8GB") as server:
        server.sql("CREATE DATABASE bench")
        assert server.process is not None
        figures = asyncio.run(
            measure(server.url("bench"), server.process.pid, arguments.rows, arguments.rounds)
        )
    return tell(
        {"bench": "partitions", "rows": arguments.rows} | figures | where(), arguments.json, None
    )


if __name__ == "__main__":
    sys.exit(main())
