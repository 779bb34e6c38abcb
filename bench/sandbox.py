"""What one sandbox process does on one core: signed requests per second, and CPU per payment.

The sandbox is pinned to one core, the loader to another. Requests are signed before the clock
starts; answers are read and counted, notifications received and acknowledged with a signature.
Three runs: payments with their notifications, payments without, and inquiries of what was paid.
Beside them, in the same run, the RSA work that the sandbox cannot do without, so that the figures
travel between machines as a ratio. Afterwards every payment must stand in the ledger exactly once,
or the figures are void.

    python -m bench.sandbox
    python -m bench.sandbox --payments 2000 --concurrency 64
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bench.one_gateway import SANDBOX, Server, draw_codes, tell
from tillgate.alipayplus.signing import KeyRing, SigningKey, new_private_key
from tillgate.cli.keys import CLIENT_ID, Addresses, write_folder

FOLDER = "/aps/api/v1/payments/"


@dataclass
class Round:
    """What one run saw."""

    count: int
    seconds: float
    cpu_s: float
    fine: int

    @property
    def per_second(self) -> float:
        return self.count / self.seconds

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu_s / self.count


class Loader:
    """An acquirer that has signed everything before it starts."""

    def __init__(self, key: SigningKey, url: str) -> None:
        self.key = key
        self.host, _, port = url.removeprefix("http://").partition(":")
        self.port = int(port)
        self.acknowledged = 0
        self.has_news = asyncio.Event()

    def pay(self, id_: str, code: str, notify_url: str | None) -> bytes:
        """A pay with the fields of the guide's sample."""
        amount = {"currency": "JPY", "value": "100"}
        body: dict[str, Any] = {
            "paymentRequestId": id_,
            "order": {
                "referenceOrderId": id_,
                "orderDescription": "cup Hu tea",
                "orderAmount": amount,
                "merchant": {
                    "referenceMerchantId": "M00000000001",
                    "merchantMCC": "1405",
                    "merchantName": "cup Hu",
                    "merchantAddress": {"region": "JP", "city": "Tokyo"},
                    "store": {
                        "referenceStoreId": "S0000000001",
                        "storeName": "UGG-2",
                        "storeMCC": "1405",
                        "storeAddress": {"region": "JP", "city": "Tokyo"},
                    },
                },
                "env": {"storeTerminalId": "122222"},
            },
            "paymentAmount": amount,
            "settlementStrategy": {"settlementCurrency": "JPY"},
            "paymentMethod": {"paymentMethodType": "CONNECT_WALLET", "paymentMethodId": code},
            "paymentFactor": {"isInStorePayment": "true", "inStorePaymentScenario": "PaymentCode"},
        }
        if notify_url:
            body["paymentNotifyUrl"] = notify_url
        return self._signed("pay", body)

    def inquiry(self, id_: str) -> bytes:
        """Asks by the acquirer's own id."""
        return self._signed("inquiryPayment", {"paymentRequestId": id_})

    def _signed(self, api: str, body: dict[str, Any]) -> bytes:
        raw = json.dumps(body, separators=(",", ":")).encode()
        at = datetime.now(UTC).isoformat(timespec="seconds")
        signature = self.key.sign(FOLDER + api, CLIENT_ID, at, raw)
        head = (
            f"POST {FOLDER}{api} HTTP/1.1\r\nHost: {self.host}\r\n"
            f"Content-Type: application/json; charset=UTF-8\r\nClient-Id: {CLIENT_ID}\r\n"
            f"Request-Time: {at}\r\nSignature: {signature}\r\nContent-Length: {len(raw)}\r\n\r\n"
        )
        return head.encode() + raw

    async def send(self, requests: list[bytes], concurrency: int) -> int:
        """Send all over so many connections; how many were answered S."""
        todo = iter(requests)

        async def connection() -> int:
            fine = 0
            reader, writer = await asyncio.open_connection(self.host, self.port)
            for request in todo:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(size)
                fine += b'"resultStatus":"S"' in body
            writer.close()
            return fine

        return sum(await asyncio.gather(*(connection() for _ in range(concurrency))))

    async def until(self, count: int) -> None:
        """So many notifications have come."""
        while self.acknowledged < count:
            self.has_news.clear()
            await self.has_news.wait()

    async def notified(self, request: web.Request) -> web.Response:
        """Acknowledge with a signed S."""
        await request.read()
        self.acknowledged += 1
        self.has_news.set()
        at = datetime.now(UTC).isoformat(timespec="seconds")
        raw = b'{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"Success"}}'
        signature = self.key.sign("/notify", CLIENT_ID, at, raw)
        headers = {"Client-Id": CLIENT_ID, "Response-Time": at, "Signature": signature}
        return web.Response(body=raw, content_type="application/json", headers=headers)


def rsa_ms() -> tuple[float, float]:
    """CPU milliseconds of one signature, and of one verification: medians of 200."""
    key = SigningKey.load(new_private_key())
    ring = KeyRing.load({1: key.public_pem()})
    body, path, at = b"x" * 900, FOLDER + "pay", "2026-01-01T00:00:00+00:00"
    signs, checks = [], []
    for _ in range(200):
        began = time.process_time_ns()
        header = key.sign(path, "client", at, body)
        signed = time.process_time_ns()
        ring.verify(header, path, "client", at, body)
        checks.append((time.process_time_ns() - signed) / 1e6)
        signs.append((signed - began) / 1e6)
    return statistics.median(signs), statistics.median(checks)


async def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    write_folder(folder, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
    key = SigningKey.load((folder / "acquirer-private.pem").read_bytes())
    server = Server(SANDBOX, folder, {"TILLGATE_SANDBOX_NOTIFY_DELAY_S": "0"})
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(server.pid, {cores[-1]})
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[:-1]))
    loader = Loader(key, server.url)
    app = web.Application()
    app.router.add_post("/notify", loader.notified)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    notify_url = f"http://127.0.0.1:{runner.addresses[0][1]}/notify"
    rounds: dict[str, list[Round]] = {"notified": [], "unnotified": [], "inquired": []}
    try:
        async with aiohttp.ClientSession() as session:
            for number in range(arguments.rounds + 1):
                for name, found in rounds.items():
                    is_notified = name == "notified"
                    ids = [f"{name}-{number}-{i}" for i in range(arguments.payments)]
                    if name == "inquired":
                        requests = [loader.inquiry(f"unnotified-{number}{id_[10:]}") for id_ in ids]
                    else:
                        codes = await draw_codes(session, server.url, arguments.payments)
                        url = notify_url if is_notified else None
                        requests = [
                            loader.pay(id_, code, url) for id_, code in zip(ids, codes, strict=True)
                        ]
                    expected = loader.acknowledged + (arguments.payments if is_notified else 0)
                    began, before = time.perf_counter(), server.cpu_s()
                    fine = await loader.send(requests, arguments.concurrency)
                    await loader.until(expected)
                    seconds = time.perf_counter() - began
                    await asyncio.sleep(0.1)
                    one = Round(arguments.payments, seconds, server.cpu_s() - before, fine)
                    if number:  # the first one warms up
                        found.append(one)
                    print(f"  round {number}, {name}: {one.per_second:.0f}/s")
            async with session.get(f"{server.url}/sandbox/ledger") as response:
                entries = (await response.json())["entries"]
    finally:
        await runner.cleanup()
        server.end()
    paid = 2 * arguments.payments * (arguments.rounds + 1)
    all_fine = all(one.fine == one.count for found in rounds.values() for one in found)
    sign, check = rsa_ms()
    figures: dict[str, Any] = {"void": len(entries) != paid or not all_fine}
    floors = {"notified": 2 * (sign + check), "unnotified": sign + check, "inquired": sign + check}
    for name, found in rounds.items():
        cpu = statistics.median(one.cpu_ms for one in found)
        figures[f"{name}_per_second"] = round(statistics.median(o.per_second for o in found))
        figures[f"{name}_cpu_ms"] = round(cpu, 3)
        figures[f"{name}_rsa_ms"] = round(floors[name], 3)
        figures[f"{name}_to_rsa_ratio"] = round(cpu / floors[name], 2)
    return figures | {"payments": paid, "python": sys.version.split()[0], "cores": os.cpu_count()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.sandbox --payments 2000 --concurrency 64",
    )
    parser.add_argument("--payments", type=int, default=3000, help="per round (default: 3000)")
    parser.add_argument("--concurrency", type=int, default=32, help="connections (default: 32)")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds (default: 3)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tillgate-bench-") as folder:
        figures = asyncio.run(measure(arguments, Path(folder)))
    problem = "the ledger and the answers disagree" if figures["void"] else None
    return tell(figures, arguments.json, problem)


if __name__ == "__main__":
    sys.exit(main())
