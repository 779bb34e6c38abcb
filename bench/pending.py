"""Payments pending at once on one node: is each asked about in time, and what does that cost?

Sandbox, loader and gateway are three processes. The gateway is the whole one with a stop-watch on
it (bench/measured_gateway.py says what it wraps). Lag is "left minus due": the moment a due
inquiry or cancel was handed to the client, less the `next_action_at` it was saved for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.crowd import CHARGED, Crowd, api_key, loader, quantile
from bench.one_gateway import SANDBOX, Server, rsa_ms, tell
from tillgate.cli.keys import Addresses, write_folder

LIFE_S = 60
AFTER_S = 20
"""The last inquiry, the cancel, and the late look at placed + 73 s."""


class Measured(Server):
    """The gateway with its stop-watch."""

    def __init__(self, folder: Path, environ: dict[str, str], *more: str) -> None:
        self.figures = folder / "figures.json"
        module = ("bench.measured_gateway", "--figures", str(self.figures), *more)
        super().__init__(module, folder, environ)


async def run(arguments: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], Crowd]:
    write_folder(folder, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
    sandbox = Server(SANDBOX, folder, {})
    environ = {"TILLGATE_ALIPAY_PLUS_BASE_URL": sandbox.url}
    more = []
    if arguments.schedule == "growing":
        environ["TILLGATE_ALIPAY_PLUS_INQUIRIES"] = "growing"
    else:
        more = ["--inquiry-wait", str(LIFE_S // arguments.inquiries)]
    gateway = Measured(folder, environ, *more)
    try:
        async with loader() as session:
            crowd = Crowd(session, sandbox.url, api_key(folder))
            began = time.monotonic()
            await crowd.open_all(gateway.url, arguments.payments, arguments.open_s)
            opened_s = time.monotonic() - began
            print(f"  opened {len(crowd.ids)} payments in {opened_s:.1f} s")
            await asyncio.sleep(max(0.0, LIFE_S + AFTER_S))
            async with session.get(f"{sandbox.url}/sandbox/ledger") as response:
                entries = (await response.json())["entries"]
    finally:
        sandbox_cpu_s = sandbox.cpu_s()
        gateway.end()
        sandbox.end()
    seen = json.loads(gateway.figures.read_text())
    return seen | {
        "opened_s": opened_s,
        "debits": len(entries),
        "sandbox_cpu_s": sandbox_cpu_s,
    }, crowd


def figures_of(arguments: argparse.Namespace, seen: dict[str, Any], crowd: Crowd) -> dict[str, Any]:
    samples = seen["samples"]
    peak = max(samples, key=lambda sample: sample["pending"])
    # All are pending, and nothing else happens, between the last opening and the first expiry.
    full = [s for s in samples if s["pending"] >= 0.98 * peak["pending"]]
    first, last = full[0], full[-1]
    calls = max(last["calls"] - first["calls"], 1)
    cpu_s, seconds = last["cpu_s"] - first["cpu_s"], max(last["at"] - first["at"], 0.001)
    sign_s = last["sign_s"] - first["sign_s"]
    lags = sorted(lag for _, _, lag in seen["lags"])
    full_lags = sorted(lag for at, _, lag in seen["lags"] if first["at"] <= at <= last["at"])
    return {
        "payments": len(crowd.ids),
        "not_opened": len(crowd.failures),
        "schedule": arguments.schedule,
        "opened_in_s": round(seen["opened_s"], 1),
        "pending_at_once_max": peak["pending"],
        "due_calls": len(lags),
        "lag_ms_p50": round(1000 * quantile(lags, 0.5), 1),
        "lag_ms_p99": round(1000 * quantile(lags, 0.99), 1),
        "lag_ms_max": round(1000 * (lags or [0.0])[-1], 1),
        "missed_by_more_than_1_s": sum(lag > 1 for lag in lags),
        "while_all_pending_s": round(seconds, 1),
        "while_all_pending_lag_ms_p50": round(1000 * quantile(full_lags, 0.5), 1),
        "while_all_pending_lag_ms_max": round(1000 * (full_lags or [0.0])[-1], 1),
        "while_all_pending_inquiries_per_s": round(calls / seconds),
        "while_all_pending_cpu_share_of_a_core": round(cpu_s / seconds, 2),
        "while_all_pending_ready_without_a_core": round(
            (last["starved_s"] - first["starved_s"]) / seconds, 2
        ),
        "calls_in_flight_max": max(sample["in_flight"] for sample in samples),
        "calls_waiting_max": max(sample["waiting"] for sample in samples),
        "cpu_ms_per_inquiry": round(1000 * cpu_s / calls, 3),
        "sign_ms_per_inquiry": round(1000 * sign_s / calls, 3),
        "cpu_to_sign_ratio": round(cpu_s / max(sign_s, 1e-9), 2),
        "verify_ms_per_inquiry": round(1000 * (last["verify_s"] - first["verify_s"]) / calls, 3),
        "sandbox_cpu_s": round(seen["sandbox_cpu_s"], 1),
        "inquiries_total": seen["inquiries_total"],
        "inquiries_per_payment_max": seen["inquiries_per_payment_max"],
        "inquiries_of_one_payment_in_a_second_max": seen[
            "inquiries_of_one_payment_in_a_second_max"
        ],
        "inquiries_in_a_second_max": seen["inquiries_in_a_second_max"],
        "rss_mb_max": round(max(sample["rss_mb"] for sample in samples), 1),
        "debits": seen["debits"],
        "stop_watch_us_per_call": round(seen["stop_watch_us_per_call"], 1),
        "rsa_ms_one_sign_two_verifies_alone": round(rsa_ms(), 3),
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.pending --payments 10000 --schedule growing --open-s 35",
    )
    parser.add_argument("--payments", type=int, default=3000, help="at once (default: 3000)")
    parser.add_argument(
        "--schedule",
        choices=("even", "growing"),
        default="even",
        help="even: --inquiries evenly in the minute; growing: the setting of that name",
    )
    parser.add_argument("--inquiries", type=int, default=10, help="of each (default: 10)")
    parser.add_argument("--open-s", type=float, default=25, help="opened within (default: 25 s)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tillgate-bench-") as folder:
        seen, crowd = asyncio.run(run(arguments, Path(folder)))
    figures = figures_of(arguments, seen, crowd)
    return tell(figures, arguments.json, CHARGED if figures["debits"] else None)


if __name__ == "__main__":
    sys.exit(main())
