"""The primary is cut off, and killed, under load: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from tests.e2e.high_availability import HighAvailability
from tests.e2e.kills import ALIPAY_CN, ALIPAY_PLUS, KAKAOPAY, Plan, run
from tests.e2e.lan import why_not


@pytest.mark.soak
def test_the_primary_is_cut_off_and_killed_under_load_and_the_books_agree(tmp_path):
    """SOAK_SEED=n repeats a run's draws."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    seed = int(os.environ.get("SOAK_SEED") or time.time_ns() % 10**9)
    print(f"\nSOAK_SEED={seed}")
    stages: list[HighAvailability] = []

    class Told(HighAvailability):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            stages.append(self)

    plan = Plan(
        seed=seed,
        kills=4,
        payments=400,
        load_s=160,
        down_s=(2.0, 10.0),
        fault_rate=0.1,
        ways=(ALIPAY_PLUS, KAKAOPAY, ALIPAY_CN),
    )
    outcome = asyncio.run(run(tmp_path, plan, Told))
    print(outcome.story())
    print("\n".join(stages[0].outages))
    assert not outcome.violations, f"SOAK_SEED={seed}"
    assert len(outcome.killed_at_s) == plan.kills
    assert outcome.statuses["SUCCEEDED"] > plan.payments / 3
