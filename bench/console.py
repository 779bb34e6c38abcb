"""How quickly the console answers beside a long history, and what a live list costs.

Payments of 30 days are made up in the database from one real one: ids and times spread over the
days, some merchants large and some small, wallets common and rare, some not paid, some refunded.
Then each page is asked for as a browser does, several times, and compared with the same page
beside no history, in the same run. What no index leads to is looked for piece by piece: the first
piece and the whole search are told apart.

Afterwards a real browser looks at the live list while so many payments a second are made: how late
it shows them, and whether the page or the gateway grows.

    python -m bench.console
    python -m bench.console --payments 100000 --stores sqlite --live-s 20
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import itertools
import secrets
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import asyncpg
from playwright.sync_api import Page, sync_playwright
from tests.postgres_side import running_server

from bench.one_gateway import SANDBOX, SERVE, Server, tell
from bench.processes import tree_cpu_s, where
from tillgate.cli.keys import Addresses, write_folder
from tillgate.cli.till import call
from tillgate.ids import first_id
from tillgate.store import schema
from tillgate.store.rows import to_microseconds

DAYS = 30
AT_ONCE = 20_000
WALLETS = ("ALIPAY_CN",) * 60 + ("GCASH",) * 25 + ("KAKAOPAY",) * 14 + ("TNG",)
GOAL_MS = 300
Rows = Iterable[dict[str, Any]]


def made_up(row: dict[str, Any], count: int, until: datetime) -> Iterator[dict[str, Any]]:
    """So many payments like this one, the oldest first, the last one placed at `until`."""
    step = timedelta(days=DAYS) / max(1, count)
    for number in range(count):
        at = until - step * (count - number)
        at_us = to_microseconds(at)
        kind = number % 1000
        merchant = f"M{number % 97 if kind else 999:03}"
        rare = number == count // 10
        changed = {
            "payment_request_id": f"{first_id('pay', at)[:-16]}{number:016d}",
            "merchant_id": merchant,
            "store_id": "RARE" if rare else f"S{number % 7}",
            "terminal_id": "RARE" if rare else f"T{number % 3}",
            "merchant_order_id": f"order-{number}",
            "order_claim": f"order-{number}",
            "idempotency_key": f"key-{number}",
            "payment_id": f"2026112311401080{number:013d}",
            "wallet": "RARE" if rare else WALLETS[number % 100],
            "placed_at": at_us,
            "expires_at": at_us + 60_000_000,
            "changed_at": at_us + 1_000_000,
            "paid_at": at_us + 1_000_000,
            "amount": 100 + kind,
            "code_fingerprint": secrets.token_bytes(32),
        }
        if kind in (1, 2, 3):
            paid = {"order_claim": None, "payment_id": None, "wallet": None, "paid_at": None}
            changed |= {"status": "FAILED", "was_reported_paid": False} | paid
        yield row | changed


def merchants(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The payments' merchants, large and small, like this one."""
    return [row | {"merchant_id": f"M{number:03}"} for number in (*range(97), 999)]


class Books:
    """The gateway's database, from outside."""

    def __init__(self, where_: str) -> None:
        self.where = where_

    def fill(self, count: int) -> None:
        """The histories of all made-up payments are the real one's."""
        if self.where.startswith("postgresql:"):
            asyncio.run(self._fill_postgres(count))
        else:
            self._fill_sqlite(count)

    def _fill_sqlite(self, count: int) -> None:
        with contextlib.closing(sqlite3.connect(self.where, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous = OFF")
            one = dict(connection.execute("SELECT * FROM payment").fetchone())
            events = [dict(row) for row in connection.execute("SELECT * FROM payment_event")]
            merchant = dict(connection.execute("SELECT * FROM merchant").fetchone())
            self._insert(connection, "merchant", merchants(merchant))
            for payments in _batches(made_up(one, count, datetime.now(UTC))):
                connection.execute("BEGIN")
                for table, rows in (
                    ("payment", payments),
                    ("payment_event", _of(payments, events)),
                ):
                    names = _names(table)
                    marks = ", ".join("?" * len(names))
                    connection.executemany(
                        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",
                        [[row[name] for name in names] for row in rows],
                    )
                connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _insert(self, connection: sqlite3.Connection, table: str, rows: Rows) -> None:
        names = _names(table)
        marks = ", ".join("?" * len(names))
        connection.executemany(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",
            [[row[name] for name in names] for row in rows],
        )

    async def _fill_postgres(self, count: int) -> None:
        connection = await asyncpg.connect(self.where)
        one = dict(await connection.fetchrow("SELECT * FROM payment"))
        events = [dict(row) for row in await connection.fetch("SELECT * FROM payment_event")]
        merchant = dict(await connection.fetchrow("SELECT * FROM merchant"))
        await self._copy(connection, "merchant", merchants(merchant))
        for payments in _batches(made_up(one, count, datetime.now(UTC))):
            for table, rows in _tables(payments, events):
                await self._copy(connection, table, rows)
        await connection.execute("VACUUM ANALYZE", timeout=600)
        await connection.close()

    async def _copy(self, connection: Any, table: str, rows: Rows) -> None:
        names = _names(table)
        records = [[row[name] for name in names] for row in rows]
        await connection.copy_records_to_table(table, columns=names, records=records)


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while some := list(itertools.islice(rows, AT_ONCE)):
        yield some


def _tables(payments: list[dict[str, Any]], events: list[dict[str, Any]]) -> list[tuple[str, Rows]]:
    return [("payment", payments), ("payment_event", _of(payments, events))]


def _of(payments: list[dict[str, Any]], events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for payment in payments:
        for event in events:
            yield event | {"payment_request_id": payment["payment_request_id"]}


def _names(table: str) -> list[str]:
    return [column.name for column in schema.metadata.tables[table].columns]


class Operator:
    """Who has signed in at the console, as a browser is."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        self._headers: dict[str, str] = {}
        status, headers, _ = self.ask("GET", "/sign-in")
        assert status == 303, status
        cookie = headers["Set-Cookie"].partition(";")[0]
        self._headers = {"Cookie": cookie, "Origin": url}

    def ask(self, method: str, path: str, body: str = "") -> tuple[int, Any, str]:
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        self._connection.request(method, path, body or None, self._headers | form)
        answer = self._connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()

    def get(self, path: str) -> tuple[Any, str]:
        status, headers, text = self.ask("GET", path)
        assert status == 200, (path, status, text[:300])
        return headers, text

    def timed(self, path: str, times: int) -> dict[str, float]:
        """A page, so many times, and once until a search has looked at everything."""
        took = []
        for _ in range(times):
            began = time.perf_counter()
            headers, text = self.get(path)
            took.append((time.perf_counter() - began) * 1000)
        found = {"median_ms": round(statistics.median(took), 1), "max_ms": round(max(took), 1)}
        if "Looked back to" in text:
            found["whole_ms"] = self._to_the_end(path, headers["Tillgate-Older"])
        return found

    def _to_the_end(self, path: str, older: str) -> float:
        began = time.perf_counter()
        while older:
            older = self.get(f"{path}&part=rows&cursor={older}")[0]["Tillgate-Older"]
        return round((time.perf_counter() - began) * 1000, 1)

    def searched(self, text: str, times: int, *, is_there: bool) -> dict[str, float]:
        took = []
        for _ in range(times):
            form = urlencode({"q": text})
            began = time.perf_counter()
            status, headers, told = self.ask("POST", "/console/search", form)
            assert status in (200, 303), (status, told[:300])
            if status == 303:
                self.get(headers["Location"])
            assert (status == 303) is is_there, (text, status)
            took.append((time.perf_counter() - began) * 1000)
        return {"median_ms": round(statistics.median(took), 1), "max_ms": round(max(took), 1)}


def pages_of(count: int) -> dict[str, str]:
    """What an operator asks for, by its name here."""
    now = datetime.now(UTC)
    old = {"from": f"{now - timedelta(days=20):%Y-%m-%dT%H:%M}"}
    day = old | {"before": f"{now - timedelta(days=19):%Y-%m-%dT%H:%M}"}
    asked: dict[str, dict[str, str]] = {
        "the newest": {},
        "far back": {"cursor": first_id("pay", now - timedelta(days=29))},
        "paid": {"status": "SUCCEEDED"},
        "not paid": {"status": "FAILED"},
        "waiting": {"status": "PENDING"},
        "waiting, no such wallet": {"status": "PENDING", "wallet": "NOTHING"},
        "needs a person": {"status": "UNRESOLVED"},
        "a merchant": {"merchant": "M005"},
        "a small merchant": {"merchant": "M999"},
        "no such merchant": {"merchant": "M000000"},
        "an old day": day,
        "a merchant, an old day": day | {"merchant": "M005"},
        "a merchant, not paid": {"merchant": "M005", "status": "FAILED"},
        "an order": {"order": f"order-{count // 2}"},
        "no such order": {"order": "nothing"},
        "a wallet": {"wallet": "KAKAOPAY"},
        "a rare wallet": {"wallet": "RARE"},
        "no such wallet": {"wallet": "NOTHING"},
        "a store": {"store": "S3"},
        "a rare terminal": {"terminal": "RARE"},
        "a route": {"route": "alipay_plus"},
        "no such wallet, not paid": {"wallet": "NOTHING", "status": "FAILED"},
        "a merchant's rare store": {"merchant": "M005", "store": "RARE"},
    }
    return {name: f"/console/payments?{urlencode(query)}" for name, query in asked.items()}


def look(url: str, count: int, times: int) -> dict[str, dict[str, float]]:
    operator = Operator(url)
    found = {name: operator.timed(path, times) for name, path in pages_of(count).items()}
    middle = count // 2
    for name, text in (
        ("search an order", f"order-{middle}"),
        ("search a network's id", f"2026112311401080{middle:013d}"),
        ("search a key", f"key-{middle}"),
        ("search nothing known", "nothing-at-all"),
    ):
        is_there = count > 2 and text != "nothing-at-all"
        found[name] = operator.searched(text, times, is_there=is_there)
    for name, path in (("attention", "/console/attention"), ("health", "/console/health")):
        found[name] = operator.timed(path, times)
    return found


class Load:
    """So many payments a second, from a thread of its own."""

    def __init__(self, gateway: str, sandbox: str, key: str, per_s: int) -> None:
        self._where = gateway, sandbox, key, per_s
        self._ends = threading.Event()
        self.made = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    async def _run(self) -> None:
        gateway, sandbox, key, per_s = self._where
        tasks: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:

            async def one(number: int) -> None:
                async with session.post(f"{sandbox}/sandbox/codes", json={}) as answer:
                    code = (await answer.json())["code"]
                order = {
                    "merchant_order_id": f"live-{number}",
                    "amount": {"currency": "JPY", "value": 1},
                }
                headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"live-{number}"}
                body = {"code": code, "order": order}
                url = f"{gateway}/v1/payments"
                async with session.post(url, json=body, headers=headers) as answer:
                    self.made += answer.status < 300

            began = time.monotonic()
            for number in itertools.count():
                if self._ends.is_set():
                    break
                await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
                tasks.add(task := asyncio.create_task(one(number)))
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)


def live(page: Page, gateway: Server, admin: str, load: Load, seconds: int) -> dict[str, Any]:
    """What the page and the gateway hold at the beginning and at the end, and how late it shows a
    payment.
    """
    page.goto(f"{admin}/console/payments")
    page.wait_for_selector("#rows tr")
    devtools = page.context.new_cdp_session(page)

    def held() -> dict[str, float]:
        devtools.send("HeapProfiler.collectGarbage")
        counted = devtools.send("Memory.getDOMCounters")
        heap = devtools.send("Runtime.getHeapUsage")["usedSize"]
        return {"nodes": counted["nodes"], "heap_kb": round(heap / 1000)}

    lags: list[float] = []
    with load:
        page.wait_for_timeout(5000)
        before, memory, cpu, made = held(), gateway.rss_mb(), tree_cpu_s(gateway.pid), load.made
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            page.wait_for_timeout(1000)
            shown = page.inner_text("#rows tr:first-child time")
            lags.append(time.time() - datetime.fromisoformat(f"{shown}+00:00").timestamp())
        rows = page.locator("#rows tr").count()
        cpu_ms = 1000 * (tree_cpu_s(gateway.pid) - cpu) / max(1, load.made - made)
        return {
            "payments_per_s": round((load.made - made) / seconds),
            "rows": rows,
            "before": before | {"gateway_mb": round(memory, 1)},
            "after": held() | {"gateway_mb": round(gateway.rss_mb(), 1)},
            "newest_is_old_s": {
                "p50": round(statistics.median(lags), 1),
                "max": round(max(lags), 1),
            },
            "gateway_cpu_ms_per_payment": round(cpu_ms, 3),
        }


def measure(kind: str, arguments: argparse.Namespace, program: str) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tillgate-bench-")))
        write_folder(folder, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
        key = tomllib.loads((folder / "till.toml").read_text())["api_key"]
        sandbox = Server(SANDBOX, folder, {"TILLGATE_SANDBOX_NOTIFY_DELAY_S": "0.1"})
        stack.callback(sandbox.end)
        store = str(folder / "console.sqlite3")
        if kind == "postgresql":
            store = stack.enter_context(running_server()).database()
        environ = {
            "TILLGATE_ALIPAY_PLUS_BASE_URL": sandbox.url,
            "TILLGATE_STORE": store if kind == "postgresql" else f"sqlite:{store}",
            "TILLGATE_PAGES_DEMO": "on",
        }
        gateway = Server(SERVE, folder, environ)
        admin = gateway.next_url()
        code = call(sandbox.url, "POST", "/sandbox/codes", {}).body["code"]
        order = {"merchant_order_id": "one", "amount": {"currency": "JPY", "value": 1}}
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "one", "Prefer": "wait=30"}
        body = {"code": code, "order": order}
        assert call(gateway.url, "POST", "/v1/payments", body, headers).status == 201
        time.sleep(1)
        empty = look(admin, 2, arguments.times)
        gateway.end()
        began = time.monotonic()
        Books(store).fill(arguments.payments)
        print(f"  {kind}: {arguments.payments} payments in {time.monotonic() - began:.0f} s")
        gateway = Server(SERVE, folder, environ)
        admin = gateway.next_url()
        stack.callback(lambda: gateway.end())
        long = look(admin, arguments.payments, arguments.times)
        print(f"  {'ms, median (and the slowest)':32}{'none':>8}{arguments.payments:>10}")
        for name, each in long.items():
            whole = f", whole {each['whole_ms']:.0f}" if "whole_ms" in each else ""
            print(
                f"  {name:32}{empty[name]['median_ms']:8.1f}{each['median_ms']:10.1f}"
                f" ({each['max_ms']:.1f}){whole}"
            )
        figures: dict[str, Any] = {"none": empty, "many": long}
        if arguments.live_s:
            with sync_playwright() as playwright:
                options = ["--disable-gpu", "--no-sandbox"]
                browser = playwright.chromium.launch(executable_path=program, args=options)
                load = Load(gateway.url, sandbox.url, key, arguments.per_s)
                figures["live"] = live(browser.new_page(), gateway, admin, load, arguments.live_s)
                browser.close()
            time.sleep(2)  # the last ones are on their way
            check = call(sandbox.url, "GET", "/sandbox/ledger").body["entries"]
            debits = sum(entry["kind"] == "debit" for entry in check)
            figures["live"]["made"], figures["live"]["debits"] = load.made, debits - 1
            figures["void"] = debits != load.made + 1
        return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog="example: python -m bench.console --payments 100000 --stores sqlite --live-s 20",
    )
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=7, help="each page (default: 7)")
    parser.add_argument("--live-s", type=int, default=60, help="0: no browser (default: 60)")
    parser.add_argument("--per-s", type=int, default=200, help="payments a second (default: 200)")
    parser.add_argument(
        "--stores", nargs="+", choices=("postgresql", "sqlite"), default=["postgresql", "sqlite"]
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None and arguments.live_s:
        print("there is no Chromium: apt-get install chromium, or --live-s 0", file=sys.stderr)
        return 2
    found = {kind: measure(kind, arguments, program or "") for kind in arguments.stores}
    slow = [
        f"{kind}: {name} took {each['median_ms']} ms"
        for kind, figures in found.items()
        for name, each in figures["many"].items()
        if each["median_ms"] > GOAL_MS
    ]
    void = [kind for kind, figures in found.items() if figures.get("void")]
    figures = {"bench": "console", "slow": slow, "void": bool(void), "stores": found, **where()}
    return tell(figures, arguments.json, "the ledger and the gateway disagree" if void else None)


if __name__ == "__main__":
    sys.exit(main())
