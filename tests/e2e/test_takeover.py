"""A node is killed; the other one goes on with its payments within 5 s of when each was due."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.kills import Plan
from tests.e2e.test_processes import till
from tests.postgres_side import Server

PAYMENTS = 10
LIMIT_S = 5
CALM = Plan(seed=1, kills=0, payments=0, load_s=0, fault_rate=0.0, ways=())
DUE = "SELECT payment_request_id AS id, version, next_action_at AS at FROM payment"
STEPS = "SELECT payment_request_id AS id, version, at FROM payment_event"


def rows(server: Server, database: str, text: str) -> list:
    return server.sql(text, database=database.partition("@/")[2].partition("?")[0])


async def waiting(stage: Cluster, number: int) -> str:
    """A payment whose customer never confirms."""
    asked = {"wallet": "gcash", "customer": "gcash_jose"}
    async with stage.session.post(f"{stage.sandbox_url}/sandbox/codes", json=asked) as drawn:
        code = (await drawn.json())["code"]
    order = {"merchant_order_id": f"o{number}", "amount": {"currency": "JPY", "value": 100}}
    body, key = {"code": code, "order": order}, {"Idempotency-Key": f"k{number}"}
    answer = await asyncio.to_thread(
        lambda: till(stage.folder, stage.nodes[1].url, "POST", "/v1/payments", body, **key)
    )
    assert answer.status == 202
    return str(answer.body["id"])


@pytest.mark.soak
def test_what_a_killed_node_drove_goes_on_within_5_s_of_when_each_was_due(postgres, tmp_path):
    async def run():
        async with (
            aiohttp.ClientSession() as session,
            Cluster(tmp_path, CALM, session).running() as stage,
        ):
            ids = {await waiting(stage, number) for number in range(PAYMENTS)}
            await stage.kill_node(1)
            left = {
                (row["id"], row["version"] + 1): row["at"]
                for row in rows(stage.database, stage.store, DUE)
            }
            assert {id for id, _ in left} == ids
            late: dict[str, float] = {}
            async with asyncio.timeout(60):
                while len(late) < PAYMENTS:
                    await asyncio.sleep(0.2)
                    for row in rows(stage.database, stage.store, STEPS):
                        if (due := left.get((row["id"], row["version"]))) is not None:
                            late[row["id"]] = (row["at"] - due) / 1e6
            return sorted(late.values())

    late = asyncio.run(run())
    print(f"\ntaken up after {late[0]:.2f} to {late[-1]:.2f} s")
    assert late[0] > 0
    assert late[-1] < LIMIT_S
