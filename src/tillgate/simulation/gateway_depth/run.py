"""Runs many worlds at depth gateway and shrinks what went wrong. See `tillgate.simulation.run`."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from time import perf_counter

from tillgate.simulation.dice import Dice, ForcedDice, RecordingDice
from tillgate.simulation.gateway_depth.scene import Failure, GatewayTally
from tillgate.simulation.gateway_depth.workers import AS_BUILT, Parts
from tillgate.simulation.gateway_depth.world import World
from tillgate.simulation.run import PROGRESS_EVERY, Report, Violation, fewest, fill

SHRINK_RUNS_MAX = 400
"""A world takes some milliseconds here."""


def run(
    seed: int,
    payments: int,
    *,
    only: int | None = None,
    workers: int | None = None,
    parts: Parts = AS_BUILT,
    violations_max: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Simulate at least so many orders, a few to a world.

    Args:
        seed: with an index, the whole of a world's randomness.
        payments: how many orders.
        only: run the world of this index alone.
        workers: so many gateways in each world; None: 1 to 3, drawn.
        parts: the code on trial.
        violations_max: stop after so many.
        progress: told now and then how many are done and how many violations there are.
    """
    tally, report = GatewayTally(), Report(seed=seed, depth="gateway")
    began, index, told = perf_counter(), only or 0, 0
    while True:
        if _fails(Dice(random_of(seed, index)), tally, parts, workers=workers) is not None:
            report.violations.append(shrink(seed, index, parts, workers))
        report.payments = tally.orders
        if only is not None or tally.orders >= payments:
            break
        if len(report.violations) >= violations_max:
            break
        if progress is not None and tally.orders - told >= PROGRESS_EVERY / 10:
            told = tally.orders
            progress(told, len(report.violations))
        index += 1
    report.seconds = perf_counter() - began
    fill(report, tally)
    report.faults |= {trouble.value: count for trouble, count in tally.troubles.items()}
    return report


def random_of(seed: int, index: int) -> Random:
    """The generator of one world. Not for secrets."""
    return Random(f"{seed}:gateway:{index}")


def tape_of(
    seed: int, index: int, parts: Parts = AS_BUILT, workers: int | None = None
) -> list[str]:
    """Everything that happens in one world, in lines."""
    tape: list[str] = []
    _fails(RecordingDice(random_of(seed, index)), GatewayTally(), parts, tape, workers)
    return tape


def _fails(
    dice: Dice,
    tally: GatewayTally,
    parts: Parts,
    tape: list[str] | None = None,
    workers: int | None = None,
) -> Failure | None:
    return World(dice, tally, parts, tape, workers).run()


def shrink(seed: int, index: int, parts: Parts = AS_BUILT, workers: int | None = None) -> Violation:
    """Take away draws while the same invariant still fails; the world must fail at first."""
    recorded = RecordingDice(random_of(seed, index))
    failure = _fails(recorded, GatewayTally(), parts, workers=workers)
    assert failure is not None, "a world that fails, fails again"

    def fails(dice: Dice) -> str | None:
        found = _fails(dice, GatewayTally(), parts, workers=workers)
        return found.invariant if found is not None else None

    draws = fewest(recorded.draws, failure.invariant, fails, SHRINK_RUNS_MAX)
    tape: list[str] = []
    last = _fails(ForcedDice(draws), GatewayTally(), parts, tape, workers) or failure
    return Violation(
        seed=seed,
        index=index,
        invariant=last.invariant,
        detail=last.detail,
        draws=draws,
        tape=tuple(tape),
    )
