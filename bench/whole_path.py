"""The gateway with every feature on, against the bare program in two forms, in the same run.

All programs stand ready beside the same sandbox, each with a database of its own, and take turns
round by round, so that whatever else the machine does falls on all of them. CPU is what the kernel
accounted: to the program, and to its PostgreSQL server with all its processes. A round ends when
the last notification is acknowledged. Afterwards the sandbox's ledger, each program's own books and
what the tills were told must agree, or the figures are void.

The bare programs sign twice for each payment. A gateway that reuses a signature of identical
content may need less than they do.

    python -m bench.whole_path
    python -m bench.whole_path --stores sqlite --concurrency 64 --payments 3000 --rounds 5
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import sqlite3
import statistics
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import uvloop
from tests.postgres_side import running_server

from bench.load import Tills
from bench.one_gateway import SANDBOX, SERVE, Server, draw_codes, tell
from bench.processes import tree_cpu_s, where
from bench.sandbox import rsa_ms
from tillgate.cli.keys import Addresses, write_folder

PROGRAMS = ("gateway", "libraries", "sockets", "usual")
USUAL_NEEDS = ("fastapi", "pydantic", "httpx", "greenlet")
NOTIFY_DELAY_S = "0.1"
QUIET_S = 0.3
"""No CPU in the sandbox for so long, three times the notification's delay: all is told."""
BOOKS = {
    # Without the history that bench/history.py makes up.
    "gateway": "SELECT payment_request_id FROM payment WHERE status = 'SUCCEEDED'"
    " AND payment_request_id NOT LIKE 'pay_0000%'",
    "libraries": "SELECT id FROM bare WHERE status = 'SUCCEEDED'",
    "sockets": "SELECT id FROM bare WHERE status = 'SUCCEEDED'",
    "usual": "SELECT id FROM usual WHERE status = 'SUCCEEDED'",
}


@dataclass
class Program:
    """One of those compared, running."""

    name: str
    store: str
    server: Server
    postmaster: int | None
    paid: int = 0
    rounds: dict[int, list[dict[str, float]]] = field(default_factory=dict)

    def cpu_s(self) -> tuple[float, float]:
        """Of the program and of its PostgreSQL server."""
        database = tree_cpu_s(self.postmaster) if self.postmaster else 0.0
        return tree_cpu_s(self.server.pid), database

    async def books(self) -> list[str]:
        """Which payments its own database calls paid."""
        if not self.store.startswith("postgresql:"):
            with contextlib.closing(sqlite3.connect(self.store)) as connection:
                return [id_ for (id_,) in connection.execute(BOOKS[self.name])]
        connection = await asyncpg.connect(self.store)
        rows = await connection.fetch(BOOKS[self.name])
        await connection.close()
        return [row[0] for row in rows]


def start(
    name: str,
    store: str,
    postmaster: int | None,
    folder: Path,
    sandbox: str,
    workers: int,
    under: tuple[str, ...] = (),
) -> Program:
    """Start a program, `under` an instrument if there is one, and wait until it serves."""
    reach = {"TILLGATE_ALIPAY_PLUS_BASE_URL": sandbox}
    if name == "gateway":
        url = store if store.startswith("postgresql:") else f"sqlite:{store}"
        module = (*SERVE, *(("--workers", str(workers)) if workers > 1 else ()))
        reach["TILLGATE_STORE"] = url
    elif name == "usual":
        module = ("bench.usual", "--store", store)
    else:
        module = ("bench.bare", "--form", name, "--store", store)
    server = Server(module, folder, reach, folder / f"{name}.log", under)
    if not server.url:
        raise SystemExit(f"{name} does not start:\n{(folder / f'{name}.log').read_text()}")
    return Program(name, store, server, postmaster)


@contextlib.contextmanager
def stores(
    kind: str, names: tuple[str, ...], folder: Path, *, autovacuum: bool = True
) -> Iterator[list[Any]]:
    """A database for each program, and the process that serves it, if one does."""
    with contextlib.ExitStack() as stack:
        found: list[Any] = []
        for name in names:
            if kind == "postgresql":
                vacuums = f"autovacuum={'on' if autovacuum else 'off'}"
                server = stack.enter_context(running_server("-c", vacuums))
                assert server.process is not None
                found.append((server.database(), server.process.pid))
            elif kind == "sqlite":
                found.append((str(folder / f"{name}.sqlite3"), None))
            else:
                found.append((kind, None))  # a database that serves them all: its CPU is not seen
        yield found


async def quiet(sandbox: Server) -> None:
    """Wait until the sandbox has nothing left to tell."""
    while True:
        before = sandbox.cpu_s()
        await asyncio.sleep(QUIET_S)
        if sandbox.cpu_s() - before < 0.02:
            return


async def asked(sandbox: Server, what: str) -> Any:
    url = f"{sandbox.url}/sandbox/{what}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.json()


async def unacknowledged(sandbox: Server, count: int) -> int:
    """How many of the last payments (1,000 are shown) were not acknowledged at the first send."""
    last = (await asked(sandbox, "payments"))["payments"][-count:]
    told = [each["notification"] or {} for each in last]
    return sum(not one.get("is_acknowledged") or one["sent_count"] != 1 for one in told)


async def one_round(
    program: Program, sandbox: Server, key: str, codes: list[str], concurrency: int
) -> dict[str, float]:
    before, network_before = program.cpu_s(), sandbox.cpu_s()
    load = await Tills(program.server.url, key).pay_all(codes, concurrency)
    await quiet(sandbox)
    own, database = (a - b for a, b in zip(program.cpu_s(), before, strict=True))
    program.paid += load.statuses.get("SUCCEEDED", 0)
    latencies = sorted(load.latencies_ms)
    count = len(codes)
    if missing := await unacknowledged(sandbox, count):
        raise SystemExit(f"VOID: {program.name} did not acknowledge {missing} notifications")
    return {
        "payments_per_s": count / load.seconds,
        "cpu_ms": 1000 * own / count,
        "database_cpu_ms": 1000 * database / count,
        "sandbox_cpu_ms": 1000 * (sandbox.cpu_s() - network_before) / count,
        "p50_ms": latencies[count // 2],
        "p99_ms": latencies[count * 99 // 100],
    }


async def agree(programs: list[Program], sandbox: Server, sold: int) -> str | None:
    """Why the books disagree; None: they agree."""
    entries = (await asked(sandbox, "ledger"))["entries"]
    debits = Counter(each["payment_request_id"] for each in entries if each["kind"] == "debit")
    books = [await program.books() for program in programs]
    for program, paid in zip(programs, books, strict=True):
        if len(paid) != program.paid or len(paid) != sold:
            return f"{program.name}: {sold} sold, {program.paid} told, {len(paid)} in its books"
    if len(entries) != debits.total() or debits != Counter(itertools.chain(*books)):
        return "the sandbox's ledger is not what the programs' books say"
    return None


def ratios(programs: list[Program], concurrency: int) -> dict[str, Any]:
    """The gateway's CPU by each other's: the median over the rounds, each of one moment."""
    by_name = {program.name: program.rounds[concurrency] for program in programs}
    own = by_name.pop("gateway", [])
    return {
        f"gateway_to_{name}": round(
            statistics.median(a["cpu_ms"] / b["cpu_ms"] for a, b in zip(own, others, strict=True)),
            3,
        )
        for name, others in by_name.items()
        if own
    }


def summed_up(program: Program, concurrency: int) -> dict[str, Any]:
    rounds = program.rounds[concurrency]
    figures: dict[str, Any] = {
        name: round(statistics.median(one[name] for one in rounds), 3) for name in rounds[0]
    }
    cpus = [one["cpu_ms"] for one in rounds]
    return figures | {"cpu_ms_min_max": [round(min(cpus), 3), round(max(cpus), 3)]}


async def measure(kind: str, arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All programs on one kind of store."""
    write_folder(folder, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
    key = tomllib.loads((folder / "till.toml").read_text())["api_key"]
    names = tuple(name for name in arguments.programs if name != "usual" or kind != "sqlite")
    sandbox = Server(SANDBOX, folder, {"TILLGATE_SANDBOX_NOTIFY_DELAY_S": NOTIFY_DELAY_S})
    programs: list[Program] = []
    floor: list[float] = []
    with stores(kind, names, folder) as found:
        try:
            for name, (store, postmaster) in zip(names, found, strict=True):
                args = (name, store, postmaster, folder, sandbox.url, arguments.workers)
                programs.append(start(*args))
            async with aiohttp.ClientSession() as session:
                for number in range(arguments.rounds + 1):
                    for concurrency in arguments.concurrency:
                        at = number % len(programs)
                        for program in programs[at:] + programs[:at]:
                            codes = await draw_codes(session, sandbox.url, arguments.payments)
                            seen = await one_round(program, sandbox, key, codes, concurrency)
                            kept = program.rounds.setdefault(concurrency, [])
                            if number:  # the first one warms up
                                kept.append(seen)
                            print(
                                f"  {kind}, c={concurrency}, round {number}, {program.name}:"
                                f" {seen['payments_per_s']:.0f}/s, {seen['cpu_ms']:.2f} ms"
                                f" + {seen['database_cpu_ms']:.2f} ms"
                            )
                    floor.append(2 * sum(rsa_ms()))
            sold = arguments.payments * (arguments.rounds + 1) * len(arguments.concurrency)
            problem = await agree(programs, sandbox, sold)
        finally:
            for program in programs:
                program.server.end()
            sandbox.end()
    figures: dict[str, Any] = {"problem": problem, "rsa_ms": round(statistics.median(floor), 3)}
    for concurrency in arguments.concurrency:
        each = {program.name: summed_up(program, concurrency) for program in programs}
        figures[f"c{concurrency}"] = each | ratios(programs, concurrency)
    return figures


def table(figures: dict[str, Any]) -> str:
    """The figures as the README shows them."""
    lines = [
        "| store | tills | program | payments/s | CPU ms | database CPU ms | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, found in figures["stores"].items():
        for tills, programs in found.items():
            if not isinstance(programs, dict):
                continue
            for name, one in programs.items():
                if isinstance(one, dict):
                    lines.append(
                        f"| {kind} | {tills[1:]} | {name} | {one['payments_per_s']:.0f}"
                        f" | {one['cpu_ms']:.2f} | {one['database_cpu_ms']:.2f}"
                        f" | {one['p50_ms']:.0f} | {one['p99_ms']:.0f} |"
                    )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.whole_path --stores postgresql --concurrency 64",
    )
    more = {"nargs": "+"}
    parser.add_argument("--payments", type=int, default=1500, help="per round (default: 1500)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default: 5)")
    parser.add_argument("--concurrency", type=int, default=[8, 64], **more, help="(default: 8 64)")
    parser.add_argument("--programs", choices=PROGRAMS, default=PROGRAMS, **more)
    parser.add_argument(
        "--stores",
        default=["postgresql", "sqlite"],
        metavar="STORE",
        **more,
        help="postgresql (servers of its own), sqlite, or a PostgreSQL URL (default: both)",
    )
    parser.add_argument("--workers", type=int, default=1, help="of the gateway (default: 1)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    missing = [name for name in USUAL_NEEDS if find_spec(name) is None]
    if "usual" in arguments.programs and missing:
        print(f"usual is left out: no {', '.join(missing)} here; pip install -e '.[bench]'")
        arguments.programs = [name for name in arguments.programs if name != "usual"]
    found: dict[str, Any] = {}
    for kind in arguments.stores:
        with (
            tempfile.TemporaryDirectory(prefix="tillgate-bench-") as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            name = "given" if "://" in kind else kind
            found[name] = runner.run(measure(kind, arguments, Path(folder)))
    problems = [f"{name}: {each['problem']}" for name, each in found.items() if each["problem"]]
    figures = {"bench": "whole_path", "payments": arguments.payments, "rounds": arguments.rounds}
    figures |= {"workers": arguments.workers, "void": bool(problems), "stores": found, **where()}
    print(table(figures))
    return tell(figures, arguments.json, "; ".join(problems) or None)


if __name__ == "__main__":
    sys.exit(main())
