"""What a payment costs beside a history of 0, 1 million and (`--ten-million`) 10 million payments.

One gateway for each size, each with a database of its own, beside the same sandbox, taking turns.
The history is made in the database from one real payment: its row, its timeline and what the
merchant was told, with ids that are older than all others and fingerprints that differ. On
PostgreSQL the server's own CPU per payment is what the store's statements cost.

    python -m bench.history
    python -m bench.history --stores postgresql --sizes 0 100000 --payments 300
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
import statistics
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import uvloop

from bench.one_gateway import SANDBOX, Server, draw_codes, tell
from bench.processes import where
from bench.whole_path import NOTIFY_DELAY_S, Program, agree, one_round, start, stores, summed_up
from tillgate.cli.keys import Addresses, write_folder
from tillgate.store import schema

AT_ONCE = 200_000
"""Rows of one transaction: far below the million events that one can number (migration 0003)."""
TABLES = ("payment", "payment_event", "merchant_event")


def one(table: str) -> str:
    """Keep the one payment apart, while nothing else is there."""
    return f"CREATE TEMP TABLE one_{table} AS SELECT * FROM {table}"


def copies(table: str, is_sqlite: bool) -> str:
    """Insert copies number `?` to `?` of the one payment."""
    number = "substr('0000000000' || n, -10)" if is_sqlite else "lpad(n::text, 10, '0')"
    padded = f"'0000000000000000' || {number}"
    changed = {
        "payment_request_id": f"'pay_' || {padded}",
        "merchant_order_id": f"'order-' || {padded}",
        "order_claim": f"'order-' || {padded}",
        "idempotency_key": f"'key-' || {padded}",
        "payment_id": f"'2026112311401080010' || {number}",
        "code_fingerprint": "randomblob(32)" if is_sqlite else "sha256(n::text::bytea)",
        "event_id": f"'evt_' || {padded} || '-' || merchant_event.sequence",
    }
    columns = [column.name for column in schema.metadata.tables[table].columns]
    names = [name for name in columns if name != "position"]
    values = ", ".join(changed.get(name, f"{table}.{name}") for name in names)
    if is_sqlite:
        numbers = "WITH RECURSIVE copy (n) AS (SELECT ? UNION ALL SELECT n + 1 FROM copy"
        numbers += " WHERE n < ?) "
        source = "copy"
    else:
        numbers, source = "", "generate_series($1::bigint, $2::bigint) AS copy (n)"
    return (
        f"{numbers}INSERT INTO {table} ({', '.join(names)})"
        f" SELECT {values} FROM {source} CROSS JOIN one_{table} AS {table}"
    )


def fill_sqlite(file: str, count: int) -> None:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for table in TABLES:
            connection.execute(one(table))
        for first in range(0, count, AT_ONCE):
            for table in TABLES:
                last = min(first + AT_ONCE, count) - 1
                connection.execute(copies(table, True), (first, last))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert connection.execute("SELECT count(*) FROM payment").fetchone()[0] == count + 1


async def fill_postgres(url: str, count: int) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("SET synchronous_commit = off")
    for table in TABLES:
        await connection.execute(one(table))
    for first in range(0, count, AT_ONCE):
        for table in TABLES:
            last = min(first + AT_ONCE, count) - 1
            await connection.execute(copies(table, False), first, last, timeout=600)
    await connection.execute("VACUUM ANALYZE", timeout=600)
    await connection.execute("CHECKPOINT", timeout=600)
    assert await connection.fetchval("SELECT count(*) FROM payment") == count + 1
    await connection.close()


async def with_history(program: Program, count: int, again: Any) -> Program:
    """The same program beside `count` more payments, which nobody sold."""
    program.server.end()
    if program.store.startswith("postgresql:"):
        await fill_postgres(program.store, count)
    else:
        fill_sqlite(program.store, count)
    new: Program = again()
    new.paid = program.paid
    return new


async def measure(kind: str, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    write_folder(folder, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
    key = tomllib.loads((folder / "till.toml").read_text())["api_key"]
    sandbox = Server(SANDBOX, folder, {"TILLGATE_SANDBOX_NOTIFY_DELAY_S": NOTIFY_DELAY_S})
    programs: list[Program] = []
    labels = tuple(f"history{size}" for size in arguments.sizes)
    with stores(kind, labels, folder, autovacuum=False) as found:
        try:
            async with aiohttp.ClientSession() as session:

                async def sell(program: Program, count: int) -> dict[str, float]:
                    codes = await draw_codes(session, sandbox.url, count)
                    tills = min(arguments.concurrency, count)
                    return await one_round(program, sandbox, key, codes, tills)

                for (store, postmaster), size in zip(found, arguments.sizes, strict=True):

                    def again(store: str = store, postmaster: Any = postmaster) -> Program:
                        return start("gateway", store, postmaster, folder, sandbox.url, 1)

                    programs.append(again())
                    await sell(programs[-1], 1)
                    began = time.monotonic()
                    programs[-1] = await with_history(programs[-1], size, again)
                    print(f"  {kind}, {size}: filled in {time.monotonic() - began:.0f} s")
                for number in range(arguments.rounds + 1):
                    at = number % len(programs)
                    for program in programs[at:] + programs[:at]:
                        seen = await sell(program, arguments.payments)
                        kept = program.rounds.setdefault(arguments.concurrency, [])
                        if number:  # the first one warms up
                            kept.append(seen)
            problem = await agree(
                programs, sandbox, arguments.payments * (arguments.rounds + 1) + 1
            )
        finally:
            for program in programs:
                program.server.end()
            sandbox.end()
    figures: dict[str, Any] = {"problem": problem}
    whole = [
        [one["cpu_ms"] + one["database_cpu_ms"] for one in program.rounds[arguments.concurrency]]
        for program in programs
    ]
    for label, program, cpus in zip(labels, programs, whole, strict=True):
        ratio = statistics.median(a / b for a, b in zip(cpus, whole[0], strict=True))
        each = summed_up(program, arguments.concurrency)
        figures[label] = each | {f"to_{labels[0]}": round(ratio, 3)}
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.history --stores sqlite --sizes 0 1000000",
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[0, 1_000_000])
    parser.add_argument(
        "--ten-million", action="store_true", help="that too: minutes, and 30 GB of disk"
    )
    parser.add_argument("--payments", type=int, default=1000, help="per round (default: 1000)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default: 5)")
    parser.add_argument("--concurrency", type=int, default=64, help="tills (default: 64)")
    parser.add_argument(
        "--stores", nargs="+", choices=("postgresql", "sqlite"), default=["postgresql", "sqlite"]
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    if arguments.ten_million:
        arguments.sizes.append(10_000_000)
    found: dict[str, Any] = {}
    for kind in arguments.stores:
        with (
            tempfile.TemporaryDirectory(prefix="tillgate-bench-") as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            found[kind] = runner.run(measure(kind, arguments, Path(folder)))
    problems = [f"{name}: {each['problem']}" for name, each in found.items() if each["problem"]]
    figures = {"bench": "history", "void": bool(problems), "stores": found, **where()}
    return tell(figures, arguments.json, "; ".join(problems) or None)


if __name__ == "__main__":
    sys.exit(main())
