"""Nodes are stopped and started one after the other under load: no till notices."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp

from tests.e2e.cluster import Cluster
from tests.e2e.kills import Plan, crashes_in
from tillgate.client.asynchronous import AsyncTillgate
from tillgate.gateway.resources import PaymentResource

TILLS = 6
CALM = Plan(seed=1, kills=0, payments=0, load_s=0, fault_rate=0.0, ways=())


class Pair(Cluster):
    """Two processes: quickly started."""

    workers = (1, 1)


class Till:
    """Sells until it is told to stop, with the client that till makers use."""

    def __init__(self, number: int, stage: Cluster, client: AsyncTillgate) -> None:
        self.number = number
        self.stage = stage
        self.client = client
        self.sold: list[PaymentResource] = []

    async def sell(self, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            async with self.stage.session.post(f"{self.stage.sandbox_url}/sandbox/codes") as drawn:
                code = (await drawn.json())["code"]
            order = f"{self.number}-{len(self.sold)}"
            payment = await self.client.pay(code, order=order, currency="JPY", value=100)
            self.sold.append(payment)


async def sold(tills: list[Till], more: int) -> None:
    """Returns once each till has sold so many more."""
    goals = [len(till.sold) + more for till in tills]
    async with asyncio.timeout(60):
        while any(len(till.sold) < goal for till, goal in zip(tills, goals, strict=True)):
            await asyncio.sleep(0.02)


def test_a_rolling_restart_fails_no_sale_and_charges_nobody_twice(postgres, tmp_path: Path):
    async def run():
        async with (
            aiohttp.ClientSession() as session,
            Pair(tmp_path, CALM, session).running() as stage,
            AsyncTillgate(stage.url, stage.api_key) as client,
        ):
            tills = [Till(number, stage, client) for number in range(TILLS)]
            stopped = asyncio.Event()
            async with asyncio.TaskGroup() as selling:
                for till in tills:
                    selling.create_task(till.sell(stopped))
                for number in range(len(stage.workers)):
                    await sold(tills, 2)
                    node = stage.nodes.pop(number)
                    node.process.send_signal(signal.SIGTERM)
                    assert await asyncio.to_thread(node.process.wait, 30) == 0
                    node.end()
                    stage.balancer.nodes.remove(node.url)
                    await sold(tills, 2)  # by the other one alone
                    await stage.start_node(number)
                await sold(tills, 2)
                stopped.set()
            payments = [payment for till in tills for payment in till.sold]
            books = await stage.ledger()
        assert {payment.status for payment in payments} == {"SUCCEEDED"}
        assert sorted(books) == sorted(payment.id for payment in payments)
        assert all(len(entries) == 1 for entries in books.values())
        assert len(stage.balancer.served) == 2 * len(stage.workers)  # each of them, old and new
        assert crashes_in(tmp_path) == []

    asyncio.run(run())
