"""Depth gateway as a whole: it repeats, it shrinks, and what it tries holds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from tests.simulation.corpus import FRESH, GATEWAY
from tests.simulation.test_run import told
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.simulation.checks import INVARIANTS
from tillgate.simulation.dice import ForcedDice
from tillgate.simulation.faults import MINUTE
from tillgate.simulation.gateway_depth.keys import STAND_INS, rsa_keys
from tillgate.simulation.gateway_depth.loop import Stuck, VirtualLoop
from tillgate.simulation.gateway_depth.run import run, tape_of
from tillgate.simulation.gateway_depth.scene import GatewayTally, Scene
from tillgate.simulation.gateway_depth.workers import AS_BUILT
from tillgate.simulation.gateway_depth.world import World

EACH = 1_700
"""Orders per seed: with two of the corpus and a fresh one, 5,000 and some."""


@pytest.mark.parametrize("seed", [*GATEWAY, FRESH])
def test_every_invariant_holds(seed):
    report = run(seed, EACH)
    assert report.violations == [], told(report)
    assert EACH <= report.payments < EACH + 6
    assert report.opened > EACH * 0.9


def test_a_world_does_not_end_before_what_its_latest_word_brings():
    """A notification that was repeated for twelve minutes opened a cancelled payment again."""
    came = []
    scene = scene_with_loop()
    scene.until = 8 * MINUTE

    def opened_again():
        came.append("the word")
        scene.after(2 * MINUTE, came.append, "what it brings")
        scene.after(30 * MINUTE, came.append, "too late")
        scene.after(3 * MINUTE, scene.loop.stop)

    scene.after(9 * MINUTE, came.append, "not any more")
    scene.surely(12 * MINUTE, opened_again)
    scene.loop.run_forever()
    scene.loop.end()
    assert came == ["the word", "what it brings"]


def test_every_common_fault_comes_in_a_few_thousand_payments():
    report = run(5, 2_400)
    assert report.as_json()["depth"] == "gateway"
    rare = ("wallet success", "late success", "operator", "two workers")
    never = [name for name, count in report.faults.items() if not count]
    assert [name for name in never if not name.startswith(rare)] == []
    assert report.edges["PENDING -> SUCCEEDED"] > 1000
    assert report.edges["CANCELLING -> CANCELLED"] > 0


SCRIPT = """
from tillgate.simulation.gateway_depth.run import tape_of
for index in range(60):
    print(index)
    print("\\n".join(tape_of(8, index)))
"""


def test_the_tape_is_the_same_byte_for_byte_whatever_the_hash_seed():
    tapes = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "4242")
    ]
    assert tapes[0] == tapes[1]
    assert len(tapes[0]) > 50_000


def test_one_world_runs_alone_as_it_ran_among_others():
    alone, before, after = run(6, 1, only=17), run(6, 1, only=16), run(6, 1, only=17)
    assert alone.events == after.events
    assert alone.opened == after.opened
    assert before.events != after.events
    assert tape_of(6, 17) == tape_of(6, 17)


def test_a_world_without_faults_is_one_payment_of_a_few_lines():
    tape: list[str] = []
    assert World(ForcedDice({}), GatewayTally(), AS_BUILT, tape).run() is None
    assert "v2 SUCCEEDED: pay_answered" in "".join(tape)
    assert len(tape) == 8


def test_real_keys_give_the_same_tape_as_the_stand_ins():
    def world(draws: dict[str, int]) -> list[str]:
        tape: list[str] = []
        assert World(ForcedDice(draws), GatewayTally(), AS_BUILT, tape).run() is None
        return tape

    assert world({"rsa#1": 1}) == world({})
    assert rsa_keys() is not STAND_INS


def test_each_invariant_has_its_meaning():
    assert all(INVARIANTS.values())


# --- The loop


def scene_with_loop() -> Scene:
    start = datetime(2026, 1, 31, tzinfo=UTC)
    scene = Scene(ForcedDice({}), start, ALIPAY_PLUS, GatewayTally(), None)
    scene.loop = VirtualLoop(scene)
    return scene


def test_a_day_passes_at_once():
    scene = scene_with_loop()
    assert scene.loop.run_until_complete(asyncio.sleep(86_400, "done")) == "done"
    assert scene.now == 86_400_000_000
    scene.loop.end()


def test_a_loop_with_nothing_to_wait_for_says_so():
    scene = scene_with_loop()
    with pytest.raises(Stuck):
        scene.loop.run_until_complete(asyncio.Event().wait())
    scene.loop.end()


@pytest.mark.parametrize(
    ("ends", "expected"),
    [("nothing", [1.0, 2.0, 3.0]), ("pause", [1.0, 2.5, 3.5]), ("kill", [1.0])],
)
def test_a_process_stands_still_or_dies_with_all_its_timers(ends, expected):
    scene = scene_with_loop()
    loop, life, seen = scene.loop, scene.loop.new_life(), []

    async def ticks():
        for _ in range(3):
            await asyncio.sleep(1)
            seen.append(loop.time())

    def trouble():
        if ends != "nothing":
            getattr(loop, ends)(life)
            loop.call_later(1, loop.resume, life)

    async def whole():
        loop.start(life, ticks(), lambda task: None)
        loop.call_later(1.5, trouble)
        await asyncio.sleep(10)

    loop.run_until_complete(whole())
    assert seen == expected
    loop.end()
