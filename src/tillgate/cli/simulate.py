"""`tillgate simulate`: run payments on a virtual clock with seeded faults and say what held."""

from __future__ import annotations

import argparse
import json
import sys
from time import perf_counter

from tillgate.simulation.checks import INVARIANTS
from tillgate.simulation.run import Report, Violation, run, tape_of


def simulate(arguments: argparse.Namespace) -> int:
    """Run it; 1 when an invariant did not hold.

    Args:
        arguments: `payments`, `seed` (None: a fresh one is drawn by the caller), `depth`, `only`
            (an index or None) and `json`.
    """
    seed: int = arguments.seed
    only: int | None = arguments.only
    if only is not None and not arguments.json:
        print("\n".join(tape_of(seed, only)))
    progress = _Progress(arguments.payments)
    report = run(seed, arguments.payments, only=only, progress=progress)
    progress.end()
    if arguments.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        print("\n".join(_text(report)))
    return 1 if report.violations else 0


class _Progress:
    """One line on standard error, renewed in place where somebody watches."""

    def __init__(self, payments: int) -> None:
        self._payments = payments
        self._began = perf_counter()
        self._end = "\r" if sys.stderr.isatty() else "\n"
        self._told_at = self._began
        self._has_told = False

    def __call__(self, done: int, violations: int) -> None:
        now = perf_counter()
        if now - self._told_at < 1:
            return
        self._told_at, self._has_told = now, True
        rate = done / (now - self._began)
        text = f"{done:,} of {self._payments:,} payments, {rate:,.0f}/s, {violations} violations"
        print(text, end=self._end, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._has_told and self._end == "\r":
            print(file=sys.stderr)


def _text(report: Report) -> list[str]:
    whole = report.as_json()
    days = report.virtual_seconds / 86_400
    lines = [
        f"seed {report.seed}, depth {report.depth}: {report.payments:,} payments"
        f" ({report.opened:,} with second attempts) in {days:,.0f} days of virtual time",
        f"{whole['payments_per_second']:,} payments/s, {whole['events_per_second']:,} events/s,"
        f" {report.events:,} events",
        "",
        "faults",
        *(f"  {count:>10,}  {name}" for name, count in report.faults.items()),
        "",
        "edges",
        *(f"  {count:>10,}  {name}" for name, count in report.edges.items()),
    ]
    if report.edges_never_visited:
        lines += ["", f"never visited: {', '.join(report.edges_never_visited)}"]
    for violation in report.violations:
        lines += ["", *_violation(violation)]
    return [*lines, "", f"violations: {len(report.violations)}"]


def _violation(one: Violation) -> list[str]:
    return [
        f"VIOLATED {one.invariant}: {INVARIANTS[one.invariant]}",
        f"  {one.detail}",
        f"  see all of it: tillgate simulate --seed {one.seed} --only {one.index}",
        f"  shrunk to the draws {one.draws}:",
        *(f"    {line}" for line in one.tape),
    ]
