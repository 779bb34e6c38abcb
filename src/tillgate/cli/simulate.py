"""`tillgate simulate`: run payments on a virtual clock with seeded faults and say what held."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from time import perf_counter

from tillgate.core.errors import ConfigError
from tillgate.ids import new_secret
from tillgate.simulation import run as core_depth
from tillgate.simulation.checks import INVARIANTS
from tillgate.simulation.gateway_depth import run as gateway_depth
from tillgate.simulation.run import Report, Violation

PROGRESS_INTERVAL_S = 1.0


def simulate(arguments: argparse.Namespace) -> int:
    """Run it; 1 when an invariant did not hold.

    Raises:
        ConfigError: depth core has no workers to choose.
    """
    # What the gateway's code would log is in the tape.
    logging.getLogger("tillgate").addHandler(logging.NullHandler())
    asked: int | None = arguments.seed
    seed = int.from_bytes(new_secret(4)) if asked is None else asked
    only: int | None = arguments.only
    payments: int = arguments.payments
    workers: int | None = arguments.workers
    progress = _Progress(payments)
    tape: list[str] = []
    if arguments.depth == "gateway":
        if only is not None:
            tape = gateway_depth.tape_of(seed, only, workers=workers)
        report = gateway_depth.run(seed, payments, only=only, workers=workers, progress=progress)
    elif workers is not None:
        raise ConfigError(["--workers: only depth gateway has workers; leave it out"])
    else:
        if only is not None:
            tape = core_depth.tape_of(seed, only)
        report = core_depth.run(seed, payments, only=only, progress=progress)
    progress.end()
    if tape and not arguments.json:
        print("\n".join(tape), end="\n\n")
    if arguments.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        print("\n".join(_text(report, workers)))
    return 1 if report.violations else 0


class _Progress:
    """One line on standard error each second, renewed in place where somebody watches."""

    def __init__(self, payments: int) -> None:
        self._payments = payments
        self._began = self._told_at = perf_counter()
        self._end = "\r" if sys.stderr.isatty() else "\n"
        self._has_told = False

    def __call__(self, done: int, violations: int) -> None:
        now = perf_counter()
        if now - self._told_at < PROGRESS_INTERVAL_S:
            return
        self._told_at, self._has_told = now, True
        rate = done / (now - self._began)
        left_s = (self._payments - done) / rate
        text = (
            f"{done:,} of {self._payments:,} payments, {rate:,.0f}/s, {left_s:,.0f} s left,"
            f" violations: {violations}"
        )
        print(f"{text:70}", end=self._end, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._has_told and self._end == "\r":
            print(file=sys.stderr)


def _text(report: Report, workers: int | None) -> list[str]:
    whole = report.as_json()
    lines = [
        f"seed {report.seed}, depth {report.depth}: {report.payments:,} payments"
        f" ({report.opened:,} with second attempts) in"
        f" {report.virtual_seconds / 86_400:,.1f} days of virtual time",
        "",
        "connectors",
        *(f"  {count:>10,}  {name}" for name, count in report.connectors.items()),
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
        of_workers = f" --workers {workers}" if workers else ""
        options = f"--depth {report.depth}{of_workers} --seed {violation.seed}"
        lines += ["", *_violation(violation, options)]
    return [
        *lines,
        "",
        f"events: {report.events:,}, {whole['events_per_second']:,} per second",
        f"payments_per_second: {whole['payments_per_second']:,}",
        f"violations: {len(report.violations)}",
    ]


def _violation(one: Violation, options: str) -> list[str]:
    return [
        f"VIOLATED {one.invariant}: {INVARIANTS[one.invariant]}",
        f"  {one.detail}",
        f"  all of it: tillgate simulate {options} --only {one.index}",
        f"  shrunk to the draws {one.draws}:",
        *(f"    {line}" for line in one.tape),
    ]
