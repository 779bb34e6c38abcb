"""`kill -9` of nodes, workers and the database under load: the books agree, nobody lends a hand."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.kills import ALIPAY_CN, ALIPAY_PLUS, KAKAOPAY, Plan, run

SHORT = Plan(
    seed=20260105,
    kills=3,  # one of each kind
    payments=30,
    load_s=3,
    down_s=(0.0, 1.0),
    lives_s=(5,),
    fault_rate=0.0,
    ways=(ALIPAY_PLUS, KAKAOPAY),
    sandbox={"TILLGATE_SANDBOX_UNKNOWN_CANCEL": "s_closes_it"},
)


def test_nodes_workers_and_the_database_are_killed_and_the_books_agree(postgres, tmp_path):
    outcome = asyncio.run(run(tmp_path, SHORT, Cluster))
    assert not outcome.violations, outcome.story()
    assert len(outcome.killed_at_s) == SHORT.kills
    assert outcome.statuses["SUCCEEDED"] > 0, outcome.story()


@pytest.mark.soak
def test_twenty_kills_of_nodes_workers_and_the_database_and_the_books_agree(postgres, tmp_path):
    """SOAK_SEED=n repeats a run's draws."""
    seed = int(os.environ.get("SOAK_SEED") or time.time_ns() % 10**9)
    print(f"\nSOAK_SEED={seed}")
    ways = (ALIPAY_PLUS, KAKAOPAY, ALIPAY_CN)
    plan = Plan(seed=seed, kills=20, payments=600, load_s=120, ways=ways)
    outcome = asyncio.run(run(tmp_path, plan, Cluster))
    print(outcome.story())
    assert not outcome.violations, f"SOAK_SEED={seed}"
    assert len(outcome.killed_at_s) == plan.kills


class FourProcesses(Cluster):
    """Two nodes of two workers each; every request of a till is a connection of its own."""

    workers = (2, 2)


@pytest.mark.soak
def test_calls_spread_over_four_processes_tell_one_truth(postgres, tmp_path):
    """Opened, awaited, notified, confirmed, cancelled and read wherever it happens to be."""
    ways = (ALIPAY_PLUS, KAKAOPAY, ALIPAY_CN)
    plan = Plan(seed=20260103, kills=0, payments=200, load_s=20, fault_rate=0.0, ways=ways)
    outcome = asyncio.run(run(tmp_path, plan, FourProcesses))
    print(outcome.story())
    assert not outcome.violations
    assert {"SUCCEEDED", "FAILED", "CANCELLED"} <= set(outcome.statuses)
