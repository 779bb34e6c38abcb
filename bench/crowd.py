"""A crowd of customers who take their time: many payments opened at a steady pace, none confirmed.

Shared by the benches that need payments in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

SLOW_CUSTOMER = "kakaopay_junho"
"""Each of his payments waits for him."""
CHARGED = "nobody confirmed, and yet somebody was charged"
"""What makes a run void."""
AT_ONCE_MAX = 160


@dataclass
class Crowd:
    """Opens payments, a fresh code each, and remembers their ids."""

    session: aiohttp.ClientSession
    sandbox: str
    api_key: str
    batch: str = field(default_factory=lambda: str(time.time_ns()))
    ids: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def open_all(self, gateway: str, count: int, seconds: float) -> None:
        """Open so many payments, evenly over that time (or as quickly as the gateway takes
        them).
        """
        began = time.monotonic()
        numbers = iter(range(count))

        async def till() -> None:
            for number in numbers:
                await asyncio.sleep(max(0, began + seconds * number / count - time.monotonic()))
                await self._open(gateway, number)

        await asyncio.gather(*(till() for _ in range(AT_ONCE_MAX)))

    async def _open(self, gateway: str, number: int) -> None:
        asked = {"customer": SLOW_CUSTOMER}
        async with self.session.post(f"{self.sandbox}/sandbox/codes", json=asked) as response:
            code = (await response.json())["code"]
        key = f"{self.batch}-{number}"
        amount = {"currency": "JPY", "value": 1}
        body = {"code": code, "order": {"merchant_order_id": key, "amount": amount}}
        headers = {"Authorization": f"Bearer {self.api_key}", "Idempotency-Key": key}
        try:
            async with self.session.post(
                f"{gateway}/v1/payments", json=body, headers=headers
            ) as response:
                told = await response.json()
        except aiohttp.ClientError as error:
            self.failures.append(type(error).__name__)
            return
        if response.status == 202:
            self.ids.append(told["id"])
        else:
            self.failures.append(f"{response.status} {told.get('code') or told.get('status')}")


def api_key(folder: Path) -> str:
    """The till's key of a folder that `tillgate keys new` wrote."""
    return str(tomllib.loads((folder / "till.toml").read_text())["api_key"])


def quantile(values: list[float], part: float) -> float:
    """Of sorted values; 0 of none."""
    return values[min(int(len(values) * part), len(values) - 1)] if values else 0.0


@contextlib.asynccontextmanager
async def loader() -> AsyncIterator[aiohttp.ClientSession]:
    """A client session with enough connections."""
    connector = aiohttp.TCPConnector(limit=AT_ONCE_MAX * 2)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session
