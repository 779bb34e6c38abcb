"""CPU per payment of one gateway process with SQLite, its start-up and its memory.

The sandbox and the loader run in processes of their own; CPU is what the kernel accounted to each
process. Beside it, in the same run: the RSA work that a payment cannot do without (one signature
for the pay request, two verifications), so that the figure travels between machines as a ratio.
After the run the sandbox's ledger must agree with what the tills were told, or the figures are
void.

    make bench
    make bench BENCH="--payments 5000 --concurrency 8"
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tillgate.alipayplus.signing import KeyRing, SigningKey, new_private_key
from tillgate.cli.keys import Addresses, write_folder

TICKS = os.sysconf("SC_CLK_TCK")


SERVE = ("tillgate", "serve", "--until-stdin-closes")
SANDBOX = ("tillgate", "sandbox", "--until-stdin-closes")


class Server:
    """A module that serves until its standard input closes, with what the kernel knows of it.

    Its errors go into the `log`, if there is one. `under` is a command that runs Python, such as
    an instrument that counts instructions.
    """

    def __init__(
        self,
        module: Sequence[str],
        folder: Path,
        environ: dict[str, str],
        log: Path | None = None,
        under: Sequence[str] = (),
    ) -> None:
        began = time.monotonic()
        with contextlib.nullcontext() if log is None else log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*under, sys.executable, "-m", *module, "--settings", f"{folder}/tillgate.toml"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                # A bench has one key for all its load; the limit is counted, and never met.
                env=os.environ | {"TILLGATE_LIMITS_REQUESTS_PER_S": "1000000"} | environ,
                text=True,
            )
        assert self._process.stdout is not None
        self.url = self.next_url()
        self.ready_s = time.monotonic() - began

    def next_url(self) -> str:
        """The address that its next line tells: a gateway's second one is operators'."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip().rpartition(" ")[2]

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_s(self) -> float:
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / TICKS

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        kilobytes = next(line.split()[1] for line in status.splitlines() if "VmRSS" in line)
        return int(kilobytes) / 1024

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


@dataclass
class Load:
    """What the loader saw."""

    seconds: float
    latencies_ms: list[float]
    statuses: dict[str, int]


async def draw_codes(session: aiohttp.ClientSession, sandbox: str, count: int) -> list[str]:
    async def one() -> str:
        async with session.post(f"{sandbox}/sandbox/codes", json={}) as response:
            return str((await response.json())["code"])

    codes: list[str] = []
    while len(codes) < count:
        codes += await asyncio.gather(*(one() for _ in range(min(64, count - len(codes)))))
    return codes


async def pay_all(
    session: aiohttp.ClientSession, gateway: str, key: str, codes: list[str], concurrency: int
) -> Load:
    todo = list(enumerate(codes))
    latencies: list[float] = []
    statuses: dict[str, int] = {}
    batch = time.monotonic_ns()

    async def till() -> None:
        while todo:
            number, code = todo.pop()
            body = {
                "code": code,
                "order": {
                    "merchant_order_id": f"{batch}-{number}",
                    "amount": {"currency": "JPY", "value": 1},
                },
            }
            headers = {
                "Authorization": f"Bearer {key}",
                "Idempotency-Key": f"{batch}-{number}",
                "Prefer": "wait=30",
            }
            began = time.perf_counter()
            async with session.post(f"{gateway}/v1/payments", json=body, headers=headers) as got:
                payment = await got.json()
            latencies.append((time.perf_counter() - began) * 1000)
            word = payment.get("status") or payment.get("code")
            statuses[word] = statuses.get(word, 0) + 1

    began = time.perf_counter()
    await asyncio.gather(*(till() for _ in range(concurrency)))
    return Load(time.perf_counter() - began, latencies, statuses)


def rsa_ms() -> float:
    """One signature and two verifications over a pay-sized body, median of 200, in CPU
    milliseconds.
    """
    key = SigningKey.load(new_private_key())
    ring = KeyRing.load({1: key.public_pem()})
    body, path, time_text = b"x" * 1100, "/aps/api/v1/payments/pay", "2026-01-01T00:00:00+00:00"
    spent = []
    for _ in range(200):
        began = time.process_time_ns()
        header = key.sign(path, "client", time_text, body)
        ring.verify(header, path, "client", time_text, body)
        ring.verify(header, path, "client", time_text, body)
        spent.append((time.process_time_ns() - began) / 1e6)
    return statistics.median(spent)


async def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    write_folder(folder, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
    key = tomllib.loads((folder / "till.toml").read_text())["api_key"]
    sandbox = Server(SANDBOX, folder, {})
    reach = {"TILLGATE_ALIPAY_PLUS_BASE_URL": sandbox.url}
    first = Server(SERVE, folder, reach)
    first.end()
    gateway = Server(SERVE, folder, reach)
    idle_mb = gateway.rss_mb()
    try:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=max(64, arguments.concurrency))
        ) as session:
            rounds, memory_mb = [], []
            for number in range(arguments.rounds + 1):
                codes = await draw_codes(session, sandbox.url, arguments.payments)
                before = gateway.cpu_s(), sandbox.cpu_s(), time.process_time()
                load = await pay_all(session, gateway.url, key, codes, arguments.concurrency)
                # The notifications come about a second later and belong to these payments.
                await asyncio.sleep(2.5)
                after = gateway.cpu_s(), sandbox.cpu_s(), time.process_time()
                if number:  # the first one warms up
                    rounds.append((load, [a - b for a, b in zip(after, before, strict=True)]))
                memory_mb.append(round(gateway.rss_mb(), 1))
                print(f"  round {number}: {arguments.payments / load.seconds:.0f} payments/s")
            async with session.get(f"{sandbox.url}/sandbox/ledger") as response:
                ledger = await response.json()
    finally:
        gateway.end()
        sandbox.end()
    total = arguments.payments * (arguments.rounds + 1)
    debits = [entry for entry in ledger["entries"] if entry["kind"] == "debit"]
    paid = sum(load.statuses.get("SUCCEEDED", 0) for load, _ in rounds)
    is_void = len(debits) != total or paid != arguments.payments * arguments.rounds
    per_payment = [[1000 * cpu / arguments.payments for cpu in cpus] for _, cpus in rounds]
    latencies = sorted(value for load, _ in rounds for value in load.latencies_ms)
    rsa = rsa_ms()
    gateway_ms = statistics.median(row[0] for row in per_payment)
    return {
        "payments": total,
        "concurrency": arguments.concurrency,
        "void": is_void,
        "gateway_cpu_ms_per_payment": round(gateway_ms, 3),
        "gateway_cpu_ms_min_max": [
            round(min(row[0] for row in per_payment), 3),
            round(max(row[0] for row in per_payment), 3),
        ],
        "rsa_cpu_ms_per_payment": round(rsa, 3),
        "gateway_to_rsa_ratio": round(gateway_ms / rsa, 2),
        "sandbox_cpu_ms_per_payment": round(statistics.median(r[1] for r in per_payment), 3),
        "loader_cpu_ms_per_payment": round(statistics.median(r[2] for r in per_payment), 3),
        "payments_per_second": round(
            statistics.median(arguments.payments / load.seconds for load, _ in rounds)
        ),
        "latency_ms_p50": round(latencies[len(latencies) // 2], 1),
        "latency_ms_p99": round(latencies[len(latencies) * 99 // 100], 1),
        "first_start_s": round(first.ready_s, 2),
        "next_start_s": round(gateway.ready_s, 2),
        "idle_memory_mb": round(idle_mb, 1),
        "memory_mb_after_rounds": memory_mb,
        "cpu_ms_of_rounds": [round(row[0], 3) for row in per_payment],
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
    }


def tell(figures: dict[str, Any], json_file: str | None, problem: str | None) -> int:
    """Print a run's figures and keep them where asked; the exit code, by whether they hold."""
    for name, value in figures.items():
        print(f"{name:42} {value}")
    if json_file:
        Path(json_file).write_text(json.dumps(figures, indent=2) + "\n")
    if problem:
        print(f"VOID: {problem}", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.one_gateway --payments 2000 --concurrency 8",
    )
    parser.add_argument("--payments", type=int, default=1500, help="per round (default: 1500)")
    parser.add_argument("--concurrency", type=int, default=32, help="tills at once (default: 32)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default: 5)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tillgate-bench-") as folder:
        figures = asyncio.run(measure(arguments, Path(folder)))
    problem = "the ledger and the tills disagree" if figures["void"] else None
    return tell(figures, arguments.json, problem)


if __name__ == "__main__":
    sys.exit(main())
