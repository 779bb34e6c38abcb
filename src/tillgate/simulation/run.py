"""Run many worlds, count what happened, and shrink what went wrong.

World number `index` of a seed draws from a generator of its own, so it runs alone just as it ran
among the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from typing import Any

from tillgate.simulation.checks import INVARIANTS, LEGAL_EDGES
from tillgate.simulation.dice import Dice, Draws, ForcedDice, RecordingDice
from tillgate.simulation.stage import Edge, Subject, Tally, Violated
from tillgate.simulation.world import World

AS_BUILT = Subject()
PROGRESS_EVERY = 1_000
SHRINK_RUNS_MAX = 3_000
_RAISED = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What a fault of ours raises. `Violated` is one of them and is told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One invariant that did not hold, with all that is needed to see it again.

    Attributes:
        draws: the few draws that were left after shrinking.
        tape: what happened, shrunk.
    """

    seed: int
    index: int
    invariant: str
    detail: str
    draws: Draws
    tape: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run did. `payments` counts orders as asked for; `opened` those and second attempts,
    `connectors` the same by the way they went.
    """

    seed: int
    depth: str
    payments: int = 0
    opened: int = 0
    virtual_seconds: int = 0
    events: int = 0
    seconds: float = 0.0
    connectors: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    edges: dict[str, int] = field(default_factory=dict)
    edges_never_visited: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values, keys as documented."""
        return {
            "seed": self.seed,
            "depth": self.depth,
            "payments": self.payments,
            "payments_opened": self.opened,
            "virtual_seconds": self.virtual_seconds,
            "events": self.events,
            "payments_per_second": round(self.payments / self.seconds) if self.seconds else 0,
            "events_per_second": round(self.events / self.seconds) if self.seconds else 0,
            "connectors": self.connectors,
            "faults": self.faults,
            "edges": self.edges,
            "edges_never_visited": self.edges_never_visited,
            "violations": [
                {
                    "seed": one.seed,
                    "payment": one.index,
                    "invariant": one.invariant,
                    "meaning": INVARIANTS[one.invariant],
                    "detail": one.detail,
                    "draws": one.draws,
                    "tape": list(one.tape),
                }
                for one in self.violations
            ],
        }


def run(
    seed: int,
    payments: int,
    *,
    only: int | None = None,
    subject: Subject = AS_BUILT,
    violations_max: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Simulate so many orders at depth core, each in a world of its own.

    Args:
        seed: with an index, the whole of a world's randomness.
        payments: how many orders.
        only: run this one index alone.
        subject: the code on trial.
        violations_max: stop after so many.
        progress: told now and then how many are done and how many violations there are.
    """
    tally, report = Tally(), Report(seed=seed, depth="core")
    began = perf_counter()
    for index in range(payments) if only is None else (only,):
        failure = _fails(Dice(random_of(seed, index)), tally, subject)
        report.payments += 1
        if failure is not None:
            report.violations.append(shrink(seed, index, subject))
            if len(report.violations) >= violations_max:
                break
        if progress is not None and report.payments % PROGRESS_EVERY == 0:
            progress(report.payments, len(report.violations))
    report.seconds = perf_counter() - began
    fill(report, tally)
    return report


def random_of(seed: int, index: int) -> Random:
    """The generator of one world. Not for secrets."""
    return Random(f"{seed}:{index}")


def tape_of(seed: int, index: int, subject: Subject = AS_BUILT) -> list[str]:
    """Everything that happens in one world, in lines."""
    tape: list[str] = []
    failure = _fails(RecordingDice(random_of(seed, index)), Tally(), subject, tape)
    if failure is not None:
        tape.append(f"VIOLATED {failure[0]}: {failure[1]}")
    return tape


def _fails(
    dice: Dice, tally: Tally, subject: Subject, tape: list[str] | None = None
) -> tuple[str, str] | None:
    """Run one world; gives the invariant that failed and how."""
    try:
        World(dice, tally, subject, tape).run()
    except Violated as violated:
        return violated.invariant, f"payment {violated.case.number}: {violated.detail}"
    except _RAISED as error:
        return "raised", f"{type(error).__name__}: {error}"
    return None


def shrink(seed: int, index: int, subject: Subject = AS_BUILT) -> Violation:
    """Take away draws while the same invariant still fails; the world must fail at first."""
    recorded = RecordingDice(random_of(seed, index))
    failure = _fails(recorded, Tally(), subject)
    assert failure is not None, "a world that fails, fails again"

    def fails(dice: Dice) -> str | None:
        found = _fails(dice, Tally(), subject)
        return found[0] if found is not None else None

    draws = fewest(recorded.draws, failure[0], fails, SHRINK_RUNS_MAX)
    tape: list[str] = []
    last = _fails(ForcedDice(draws), Tally(), subject, tape) or failure
    return Violation(
        seed=seed, index=index, invariant=failure[0], detail=last[1], draws=draws, tape=tuple(tape)
    )


def fewest(
    draws: Draws, invariant: str, fails: Callable[[Dice], str | None], runs_max: int
) -> Draws:
    """Fewer draws that fail the same invariant. `fails` runs a world and names the one that fails;
    about `runs_max` worlds are run.
    """
    runs = 0

    def still_fails(some: Draws) -> bool:
        nonlocal runs
        runs += 1
        return fails(ForcedDice(some)) == invariant

    if not still_fails(draws):
        return draws
    size = len(draws)
    while size >= 1:
        names, start = list(draws), 0
        while start < len(names) and runs < runs_max:
            without = {n: draws[n] for n in names[:start] + names[start + size :]}
            if still_fails(without):
                draws, names = without, list(without)
            else:
                start += size
        size //= 2
    for name in list(draws):
        for smaller in (draws[name] // 1000 * 1000, draws[name] // 2, 1):
            if (
                runs < runs_max
                and 0 < smaller < draws[name]
                and still_fails({**draws, name: smaller})
            ):
                draws = {**draws, name: smaller}
    return draws


def fill(report: Report, tally: Tally) -> None:
    """Write what was counted into the report."""
    report.opened = tally.connectors.total()
    report.connectors = dict(sorted(tally.connectors.items()))
    report.virtual_seconds = tally.virtual_us // 1_000_000
    report.events = tally.events
    report.faults = {fault.value: count for fault, count in tally.faults.items()}
    report.edges = {_arrow(edge): tally.edges.get(edge, 0) for edge in LEGAL_EDGES}
    report.edges_never_visited = [arrow for arrow, count in report.edges.items() if not count]


def _arrow(edge: Edge) -> str:
    return f"{edge[0].value} -> {edge[1].value}"
