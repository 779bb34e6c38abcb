"""Latency that the gateway adds to the network's own, at 25, 50 and 75 % of what it can take.

Open loop: sales begin at a constant rate whatever the answers do, and each is timed from the moment
when it was due, so that a stall is counted for all whom it holds up. The rates are shares of what
the gateway took in a closed loop just before. The baseline in the same seconds: signed pays
straight to the sandbox, one for ten sales, because gateway, network, database and tills share the
cores here and slow each other down. What is added is the difference of the percentiles. The same
rate of pays to the network alone is shown beside it.

With `--store` a PostgreSQL database, a second gateway hears the notifications: how much later the
till at the first one hears a result that landed at the second is shown, too.

    python -m bench.latency
    python -m bench.latency --store postgresql://127.0.0.1/tillgate
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from bench.one_gateway import SANDBOX, SERVE, Server, draw_codes, pay_all, tell
from bench.processes import where
from bench.sandbox import FOLDER, Loader
from tillgate.alipayplus.signing import SigningKey
from tillgate.cli.keys import Addresses, write_folder

SALES_TO_CONFIRM = 20
Call = Callable[[str], Awaitable[str]]


async def at_rate(call: Call, codes: list[str], per_second: float) -> tuple[list[float], list[str]]:
    """Begin a call for each code at its moment; milliseconds from that moment, and the outcomes."""
    latencies: list[float] = []
    outcomes: list[str] = []
    began = time.perf_counter() + 0.05

    async def one(number: int, code: str) -> None:
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        outcomes.append(await call(code))
        latencies.append((time.perf_counter() - due) * 1000)

    await asyncio.gather(*(one(number, code) for number, code in enumerate(codes)))
    return sorted(latencies), outcomes


def percentile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))]


def straight(folder: Path, network: str, session: aiohttp.ClientSession, codes: list[str]) -> Call:
    """A pay to the network itself, signed beforehand: what is timed is the network."""
    acquirer = Loader(SigningKey.load((folder / "acquirer-private.pem").read_bytes()), network)
    signed = {}
    for code in codes:
        head, _, body = acquirer.pay(f"direct-{code}", code, None).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")[1:]
        headers = dict(line.split(": ", 1) for line in lines)
        signed[code] = ({k: v for k, v in headers.items() if k != "Host"}, body)

    async def pay(code: str) -> str:
        headers, body = signed[code]
        url = f"{network}{FOLDER}pay"
        async with session.post(url, data=body, headers=headers) as response:
            return str((await response.json())["result"]["resultStatus"])

    return pay


async def on_another_node(store: str, folder: Path) -> dict[str, Any]:
    """How long after the customer's confirmation the till hears of it: where the notification
    comes to the node that it waits at, and where it comes to another one.
    """
    heard: dict[str, list[float]] = {"same": [], "other": []}
    sandbox = Server(SANDBOX, folder, {"TILLGATE_SANDBOX_NOTIFY_DELAY_S": "0.01"})
    reach = {"TILLGATE_ALIPAY_PLUS_BASE_URL": sandbox.url, "TILLGATE_STORE": store}
    other = Server(SERVE, folder, reach)
    nodes = {
        "same": Server(SERVE, folder, reach),
        "other": Server(SERVE, folder, reach | {"TILLGATE_PUBLIC_URL": other.url}),
    }
    key = tomllib.loads((folder / "till.toml").read_text())["api_key"]
    try:
        async with aiohttp.ClientSession() as session:
            for where, node in nodes.items():
                for _ in range(SALES_TO_CONFIRM):
                    heard[where].append(await confirmed(session, sandbox.url, node.url, key))
    finally:
        for server in (*nodes.values(), other, sandbox):
            server.end()
    same, elsewhere = sorted(heard["same"]), sorted(heard["other"])
    return {
        "heard_where_it_lands_p50_ms": round(percentile(same, 0.5), 1),
        "heard_from_another_node_p50_ms": round(percentile(elsewhere, 0.5), 1),
        "heard_from_another_node_max_ms": round(elsewhere[-1], 1),
        "more_for_another_node_p50_ms": round(
            percentile(elsewhere, 0.5) - percentile(same, 0.5), 1
        ),
    }


async def confirmed(session: aiohttp.ClientSession, sandbox: str, gateway: str, key: str) -> float:
    """Milliseconds from a customer's confirmation to the till's answer."""
    name = f"confirmed-{time.monotonic_ns()}"
    async with session.get(f"{sandbox}/sandbox/wallets") as response:
        wallets = (await response.json())["wallets"]
    gcash = next(wallet for wallet in wallets if wallet["id"] == "gcash")
    asked = next(each for each in gcash["customers"] if each["confirm_above"] == 0)
    who = {"wallet": "gcash", "customer": asked["id"]}
    async with session.post(f"{sandbox}/sandbox/codes", json=who) as response:
        code = (await response.json())["code"]
    amount = {"currency": "JPY", "value": 1}
    body = {"code": code, "order": {"merchant_order_id": name, "amount": amount}}
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": name}
    url = f"{gateway}/v1/payments"
    async with session.post(url, json=body, headers=headers) as response:
        payment = (await response.json())["id"]

    async def waits() -> float:
        waiting = headers | {"Prefer": "wait=30"}
        async with session.get(f"{url}/{payment}", headers=waiting) as response:
            assert (await response.json())["status"] == "SUCCEEDED"
        return time.perf_counter()

    till = asyncio.create_task(waits())
    await asyncio.sleep(0.7)  # it waits, and the wallet has asked its customer
    began = time.perf_counter()
    async with session.post(f"{sandbox}/sandbox/payments/{payment}/confirm") as response:
        assert response.status < 300, await response.text()
    return (await till - began) * 1000


def at_load(
    share: float, rate: float, alone: list[float], beside: list[float], through: list[float]
) -> dict[str, float]:
    """The percentiles at one share of capacity: of the network alone and beside the gateway, and
    through the gateway.
    """
    load = f"load_{round(share * 100)}"
    figures: dict[str, float] = {f"{load}_rate_per_second": round(rate)}
    for part in (0.5, 0.99):
        own, all_ = percentile(beside, part), percentile(through, part)
        name = f"p{round(part * 100)}_ms"
        figures |= {
            f"{load}_network_alone_{name}": round(percentile(alone, part), 1),
            f"{load}_network_{name}": round(own, 1),
            f"{load}_through_gateway_{name}": round(all_, 1),
            f"{load}_added_{name}": round(all_ - own, 1),
        }
    return figures


async def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    write_folder(folder, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
    key = tomllib.loads((folder / "till.toml").read_text())["api_key"]
    sandbox = Server(SANDBOX, folder, {})
    reach = {"TILLGATE_ALIPAY_PLUS_BASE_URL": sandbox.url}
    if arguments.store:
        reach["TILLGATE_STORE"] = arguments.store
    gateway = Server(SERVE, folder, reach)
    numbers = itertools.count()
    run = time.monotonic_ns()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1000)) as session:

            async def sale(code: str) -> str:
                name = f"{run}-{next(numbers)}"
                amount = {"currency": "JPY", "value": 1}
                body = {"code": code, "order": {"merchant_order_id": name, "amount": amount}}
                headers = {
                    "Authorization": f"Bearer {key}",
                    "Idempotency-Key": name,
                    "Prefer": "wait=30",
                }
                url = f"{gateway.url}/v1/payments"
                async with session.post(url, json=body, headers=headers) as response:
                    return str((await response.json()).get("status"))

            codes = await draw_codes(session, sandbox.url, arguments.payments)
            load = await pay_all(session, gateway.url, key, codes, 32)
            capacity = len(codes) / load.seconds
            figures: dict[str, Any] = {"capacity_per_second": round(capacity), "void": False}
            for share in arguments.load:
                rate = capacity * share
                codes = await draw_codes(session, sandbox.url, arguments.payments)
                alone, paid = await at_rate(
                    straight(folder, sandbox.url, session, codes), codes, rate
                )
                codes = await draw_codes(session, sandbox.url, arguments.payments)
                probes = await draw_codes(session, sandbox.url, arguments.payments // 10)
                (through, paid_here), (beside, paid_there) = await asyncio.gather(
                    at_rate(sale, codes, rate),
                    at_rate(straight(folder, sandbox.url, session, probes), probes, rate / 10),
                )
                figures["void"] |= {*paid, *paid_there, *paid_here} != {"S", "SUCCEEDED"}
                figures |= at_load(share, rate, alone, beside, through)
    finally:
        gateway.end()
        sandbox.end()
    if arguments.store:
        figures |= await on_another_node(arguments.store, folder)
    return {"bench": "latency"} | figures | where()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.latency --payments 3000 --load 0.25",
    )
    parser.add_argument("--payments", type=int, default=3000, help="per phase (default: 3000)")
    parser.add_argument(
        "--load",
        type=float,
        nargs="+",
        default=[0.25, 0.5, 0.75],
        help="shares of capacity (default: 0.25 0.5 0.75)",
    )
    parser.add_argument("--store", metavar="URL", help="a PostgreSQL database (default: SQLite)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tillgate-bench-") as folder:
        figures = asyncio.run(measure(arguments, Path(folder)))
    problem = "not every payment succeeded" if figures["void"] else None
    return tell(figures, arguments.json, problem)


if __name__ == "__main__":
    sys.exit(main())
