"""`kill -9` of a gateway with thousands of payments in flight: how soon is each driven again?

Real processes: `tillgate serve` on SQLite, `tillgate sandbox`, and this loader, whose customers
never confirm. The gateway is killed and stays down (by default so long that every payment is
overdue), then starts again. What it did is read from its own durable rows and timelines once it is
killed a second time, and compared with the number of messages that the sandbox counted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp

from bench.crowd import CHARGED, Crowd, api_key, loader, quantile
from bench.one_gateway import SANDBOX, SERVE, Server, rsa_ms, tell
from tillgate.cli.keys import Addresses, write_folder

LIMIT_S = 10
"""What is to be shown: all driven again within this of the start."""
ANSWERED = ("pay_answered", "inquiry_answered", "inquiry_refused", "cancel_answered")
"""The kinds of history rows that tell a signed answer; silence does not count."""


class Gateway(Server):
    """`tillgate serve`, with its log in a file."""

    def __init__(self, folder: Path, environ: dict[str, str], log: Path) -> None:
        self.log = log
        self.started_at = time.time()
        super().__init__(SERVE, folder, environ, log)

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=30)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def rows(folder: Path, statement: str, *values: Any) -> list[Any]:
    """Read the database of a gateway that is dead."""
    with closing(sqlite3.connect(folder / "tillgate.sqlite3")) as connection:
        return connection.execute(statement, values).fetchall()


def waiting(folder: Path) -> dict[str, float]:
    """When each unfinished payment is due, in seconds of Unix time."""
    statement = (
        "SELECT payment_request_id, next_action_at FROM payment WHERE next_action_at IS NOT NULL"
    )
    return {key: at / 1e6 for key, at in rows(folder, statement)}


def ended(folder: Path) -> dict[str, int]:
    """The payments that are over, by status, and whether their pay never left."""
    statement = (
        "SELECT status || ' ' || coalesce(result_code, '-') || ' sends ' || sends || ' never left '"
        " || sends_never_left, count(*) FROM payment WHERE next_action_at IS NULL GROUP BY 1"
    )
    return dict(rows(folder, statement))


def first_answers(folder: Path, since: float) -> dict[str, float]:
    """When the first answer to each payment since then was durable."""
    statement = (
        "SELECT payment_request_id, min(at) FROM payment_event"
        f" WHERE at >= ? AND kind IN ({', '.join('?' * len(ANSWERED))})"
        " GROUP BY payment_request_id"
    )
    return {key: at / 1e6 for key, at in rows(folder, statement, int(since * 1e6), *ANSWERED)}


async def messages_seen(session: aiohttp.ClientSession, sandbox: str) -> int:
    """How many messages crossed at the sandbox's signed side and towards it."""
    async with session.get(f"{sandbox}/sandbox/exchanges") as response:
        return int((await response.json())["exchanges"][-1]["seq"])


async def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    write_folder(folder, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
    sandbox = Server(SANDBOX, folder, {})
    environ = {
        "TILLGATE_ALIPAY_PLUS_BASE_URL": sandbox.url,
        "TILLGATE_ALIPAY_PLUS_INQUIRIES": arguments.inquiries,
    }
    gateway = Gateway(folder, environ, folder / "before.log")
    try:
        async with loader() as session:
            crowd = Crowd(session, sandbox.url, api_key(folder))
            began = time.monotonic()
            await crowd.open_all(gateway.url, arguments.payments, arguments.open_s)
            opened_s = time.monotonic() - began
            print(f"  opened {len(crowd.ids)} payments in {opened_s:.1f} s")
            gateway.kill()
            due, over = waiting(folder), ended(folder)
            seen_before = await messages_seen(session, sandbox.url)
            await asyncio.sleep(arguments.down_s)
            gateway = Gateway(folder, environ, folder / "after.log")
            print(f"  started again, ready after {gateway.ready_s:.2f} s")
            await asyncio.sleep(max(0.0, gateway.started_at + arguments.watch_s - time.time()))
            cpu_s, rss_mb = gateway.cpu_s(), gateway.rss_mb()
            gateway.kill()
            seen_after = await messages_seen(session, sandbox.url)
            async with session.get(f"{sandbox.url}/sandbox/ledger") as response:
                debits = len((await response.json())["entries"])
    finally:
        if gateway._process.returncode is None:
            gateway.kill()
        sandbox.end()
    told = re.search(r"took up (\d+) unfinished", gateway.log.read_text())
    started_at = gateway.started_at
    answers = first_answers(folder, started_at)
    overdue = {key: at for key, at in due.items() if at <= started_at}
    soon = {key: at for key, at in due.items() if started_at < at <= started_at + LIMIT_S - 1}
    after = sorted(answers[key] - started_at for key in overdue if key in answers)
    lags = sorted(answers[key] - soon[key] for key in soon if key in answers)
    return {
        "payments": len(crowd.ids),
        "not_opened": len(crowd.failures),
        "opened_in_s": round(opened_s, 1),
        "inquiries": arguments.inquiries,
        "in_flight_at_the_kill": len(due),
        "over_before_the_kill": over,
        "down_s": arguments.down_s,
        "taken_up_at_the_start": int(told[1]) if told else 0,
        "timers_all_set_after_s": round(gateway.ready_s, 2),
        "overdue_at_the_start": len(overdue),
        "overdue_answered": len(after),
        "overdue_answered_within_10_s": sum(value <= LIMIT_S for value in after),
        "overdue_answered_after_s_p50": round(quantile(after, 0.5), 2),
        "overdue_answered_after_s_p99": round(quantile(after, 0.99), 2),
        "overdue_answered_after_s_last": round((after or [0.0])[-1], 2),
        "due_in_the_first_9_s": len(soon),
        "of_them_answered": len(lags),
        "their_answer_after_due_s_p99": round(quantile(lags, 0.99), 2),
        "their_answer_after_due_s_max": round((lags or [0.0])[-1], 2),
        "messages_at_the_sandbox": seen_after - seen_before,
        "gateway_cpu_s": round(cpu_s, 1),
        "watched_s": arguments.watch_s,
        "rss_mb": round(rss_mb, 1),
        "debits": debits,
        "rsa_ms_one_sign_two_verifies_alone": round(rsa_ms(), 3),
        "python": sys.version.split()[0],
        "cores": os.cpu_count(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.recovery --payments 2000 --open-s 10",
    )
    parser.add_argument("--payments", type=int, default=10_000, help="(default: 10000)")
    parser.add_argument("--open-s", type=float, default=35, help="opened within (default: 35 s)")
    parser.add_argument(
        "--down-s",
        type=float,
        default=11,
        help="from kill to start (default: 11 s, longer than any wait, so all are overdue)",
    )
    parser.add_argument("--watch-s", type=float, default=15, help="after the start (default: 15)")
    parser.add_argument("--inquiries", choices=("fixed", "growing"), default="growing")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tillgate-bench-") as folder:
        figures = asyncio.run(run(arguments, Path(folder)))
    return tell(figures, arguments.json, CHARGED if figures["debits"] else None)


if __name__ == "__main__":
    sys.exit(main())
