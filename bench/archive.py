"""What `tillgate db archive` takes and gives on PostgreSQL: the database's size before and after,
payments per second, and how long a sale waits beside it.

The payments are copies, made in the database, of one that was sold 450 days ago in three steps.

    python -m bench.archive
    python -m bench.archive --payments 1000000
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
from tests.postgres_side import running_server
from tests.store.archive_side import OLD, PAID, heard, report, rows, sold

from bench.history import AT_ONCE, copies, one
from bench.one_gateway import tell
from bench.processes import where
from tillgate.clock import SystemClock
from tillgate.core.model import Notified
from tillgate.core.results import Outcome
from tillgate.store import Store
from tillgate.store.postgres import open_postgres
from tillgate.store.postgres_url import read_postgres_url

TABLES = ("payment", "payment_event")
FIRST = 90_000
"""The number of the first sale beside it: `pay_9...`, behind all copies."""
_SIZES = "SELECT pg_total_relation_size('{0}') AS size"


async def fill(url: str, store: Store, payments: int) -> None:
    payment = await sold(store, 1, outcome=Outcome.UNKNOWN)
    await heard(store, payment, Notified(report(1, PAID)), OLD)
    connection = await asyncpg.connect(url)
    for table in TABLES:
        await connection.execute(one(table))
    await connection.execute("DELETE FROM payment; DELETE FROM payment_event")
    for first in range(0, payments, AT_ONCE):
        for table in TABLES:
            last = min(first + AT_ONCE, payments) - 1
            await connection.execute(copies(table, False), first, last, timeout=600)
    await connection.execute("VACUUM FULL ANALYZE", timeout=600)
    await connection.close()


async def sizes(url: str) -> dict[str, float]:
    """Megabytes of the tables with their indexes, without holes."""
    connection = await asyncpg.connect(url)
    await connection.execute("VACUUM FULL", timeout=600)
    found = {name: await connection.fetchval(_SIZES.format(name)) / 1e6 for name in TABLES}
    await connection.close()
    return {name: round(size, 1) for name, size in found.items()}


async def archived(url: str, folder: Path) -> float:
    """Seconds that the command takes, as an operator gives it."""
    began = time.perf_counter()
    command = (sys.executable, "-m", "tillgate", "db", "archive", "--to", folder, "--store", url)
    done = await asyncio.create_subprocess_exec(*command)
    assert await done.wait() == 0
    return time.perf_counter() - began


async def selling(store: Store, numbers: Any, times: list[float]) -> None:
    """One sale after the other, in two commits each, with a breath between them."""
    while True:
        began = time.perf_counter()
        await sold(store, FIRST + next(numbers), SystemClock().now())
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.01)


async def measure(payments: int, folder: Path) -> dict[str, Any]:
    with running_server() as server:
        url = server.database()
        store = open_postgres(read_postgres_url(url))
        await fill(url, store, payments)
        before = await sizes(url)
        numbers = count()
        alone: list[float] = []
        task = asyncio.create_task(selling(store, numbers, alone))
        await asyncio.sleep(5)
        task.cancel()
        beside: list[float] = []
        task = asyncio.create_task(selling(store, numbers, beside))
        took = await archived(url, folder)
        task.cancel()
        again = await archived(url, folder)
        after = await sizes(url)
        [(left,)] = await rows(store, "SELECT count(*) FROM payment_event WHERE kind = 'archived'")
        await store.close()
    return {
        "bench": "archive",
        "void": left != payments,
        "payments": payments,
        "before_mb": before,
        "after_mb": after,
        "took_s": round(took, 1),
        "payments_per_s": round(payments / took),
        "second_run_s": round(again, 1),
        "sale_alone_ms": quantiles(alone),
        "sale_beside_ms": quantiles(beside),
        **where(),
    }


def quantiles(times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100)
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2), "max": round(max(times), 2)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.archive --payments 50000",
    )
    parser.add_argument("--payments", type=int, default=200_000, help="old ones (default: 200000)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tillgate-bench-") as folder:
        figures = asyncio.run(measure(arguments.payments, Path(folder)))
        [file] = Path(folder).iterdir()
        # Copies: payments of real life have ids and times of their own, and compress worse.
        figures["file_mb"] = round(file.stat().st_size / 1e6, 1)
    return tell(figures, arguments.json, "not all went" if figures["void"] else None)


if __name__ == "__main__":
    sys.exit(main())
