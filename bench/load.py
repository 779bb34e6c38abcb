"""Tills over raw sockets: as little CPU as can be, so that the cores are left to the others."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import msgspec

from bench.one_gateway import Load


@dataclass
class Tills:
    """So many tills, each with a connection of its own, one sale after another."""

    url: str
    key: str
    latencies_ms: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)

    async def pay_all(self, codes: list[str], concurrency: int) -> Load:
        """Sell each code once; the requests are written before the clock starts."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        batch = time.monotonic_ns()
        requests = [
            self._request(host, f"{batch}-{number}", code) for number, code in enumerate(codes)
        ]
        todo = iter(requests)
        self.latencies_ms, self.statuses = [], {}
        opened = [await asyncio.open_connection(host, int(port)) for _ in range(concurrency)]
        began = time.perf_counter()
        await asyncio.gather(*(self._till(*streams, todo) for streams in opened))
        seconds = time.perf_counter() - began
        for _, writer in opened:
            writer.close()
        return Load(seconds, self.latencies_ms, self.statuses)

    def _request(self, host: str, name: str, code: str) -> bytes:
        order = {"merchant_order_id": name, "amount": {"currency": "JPY", "value": 1}}
        body = msgspec.json.encode({"code": code, "order": order})
        head = (
            f"POST /v1/payments HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {self.key}\r\n"
            f"Idempotency-Key: {name}\r\nPrefer: wait=30\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def _till(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, todo: object
    ) -> None:
        for request in todo:  # type: ignore[attr-defined]
            began = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(size)
            self.latencies_ms.append((time.perf_counter() - began) * 1000)
            told = msgspec.json.decode(body)
            word = str(told.get("status") or told.get("code"))
            self.statuses[word] = self.statuses.get(word, 0) + 1
