"""What a payment costs as nodes, waiting customers and history grow: arithmetic from measured
figures, no load. `docs/scaling.md` is made of it.

A node groups what arrives while its last statement is on its way, so a payment costs less the more
of them share a node. Two measured points fix how a statement's cost divides into its own part and
each row's; the size of a group follows from the rate, since it is what arrives in one statement's
time.

    python -m bench.cost_model
    python -m bench.cost_model --rate 1000 --nodes 4 --asked 0.3 --history 10000000
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass

STATEMENTS = 3
"""Of a payment that pays at once: it is opened, saved, and looked up for its notification."""
GATEWAY_ROW_MS, GATEWAY_GROUP_MS = 0.99, 1.35
"""CPU of a payment by itself, and its share of three statements alone: 1.67 ms in groups of 2
(8 tills) and 1.09 ms in groups of 14 (64 tills). README, PostgreSQL.
"""
DATABASE_ROW_MS, DATABASE_GROUP_MS = 0.13, 0.89
"""The same of the database: 0.57 and 0.19 ms."""
STATEMENT_MS = 1.8
"""How long one is on its way, its commit on the disk included: measured at 300 payments/s."""
INQUIRY_MS = 1.1
"""CPU of the gateway for one inquiry with its two commits; README."""
INQUIRY_DATABASE_MS = 0.2
ASKED_TIMES = 8
"""Inquiries until a customer who thinks first has confirmed: 24 s of one each 3 s. Ours."""
BUSY = 0.6
"""How full a core may be kept: above it a payment waits longer than it takes."""
ROWS_BYTES = 2_600
"""Of one payment with its history and its event, indexes included."""
PEAK = 5
"""The busiest hour against the year's average. Ours."""
LEVEL_ROWS = 250
"""Entries of one page of an index: a history this many times longer adds one page to a look-up."""
LEVEL_SHARE = 0.02
"""What a page more adds to the database's cost: 10 million rows cost 2 % to 8 % more than none."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one payment, in milliseconds of CPU.

    Attributes:
        group: rows of one statement.
    """

    gateway_ms: float
    database_ms: float
    group: float


def group_of(rate: float) -> float:
    """How many rows share a statement where a node takes so many payments a second."""
    return max(1.0, rate * STATEMENT_MS / 1000)


def cost(rate: float, nodes: int = 1, asked: float = 0.0, history: int = 0) -> Cost:
    """Of one payment.

    Args:
        rate: payments a second, of all nodes together.
        nodes: processes that share them evenly.
        asked: the share of customers who confirm after a while, whom the network is asked about.
        history: earlier payments in the database.
    """
    inquiries = asked * ASKED_TIMES
    group = group_of(rate / nodes * (1 + 2 * inquiries))  # an inquiry is saved before and after
    levels = math.log(max(history, 1), LEVEL_ROWS)
    return Cost(
        gateway_ms=GATEWAY_ROW_MS + GATEWAY_GROUP_MS / group + inquiries * INQUIRY_MS,
        database_ms=(DATABASE_ROW_MS + DATABASE_GROUP_MS / group + inquiries * INQUIRY_DATABASE_MS)
        * (1 + LEVEL_SHARE * levels),
        group=group,
    )


def nodes_for(rate: float, asked: float = 0.0) -> int:
    """The fewest processes, of a core each, that are no fuller than `BUSY`."""
    nodes = 1
    while rate / nodes * cost(rate, nodes, asked).gateway_ms / 1000 > BUSY:
        nodes += max(1, nodes // 50)
    return nodes


def table(asked: float, history: int, database_cores: float) -> list[str]:
    """A row for each size of acquirer, as Markdown; a cell has one database of so many cores."""
    lines = [
        "| payments/s | processes | rows in a statement | gateway ms | database ms | database cores"
        " | cells | GB a year |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rate in (10, 100, 1_000, 10_000, 100_000):
        cells = 1
        while True:
            share = rate / cells
            nodes = nodes_for(share, asked)
            one = cost(share, nodes, asked, history)
            cores = share * one.database_ms / 1000 / BUSY
            if cores <= database_cores:
                break
            cells += max(1, cells // 20)
        year = rate / PEAK * 86_400 * 365 * ROWS_BYTES / 1e9
        lines.append(
            f"| {rate:,} | {nodes * cells:,} | {one.group:.1f} | {one.gateway_ms:.2f} |"
            f" {one.database_ms:.2f} | {cores * cells:,.1f} | {cells:,} | {year:,.0f} |"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.cost_model --rate 1000 --nodes 4 --asked 0.3",
    )
    parser.add_argument("--rate", type=float, help="payments a second: the cost of one payment")
    parser.add_argument("--nodes", type=int, default=1, help="that share them (default: 1)")
    parser.add_argument("--asked", type=float, default=0.1, help="customers asked about (0.1)")
    parser.add_argument("--history", type=int, default=10**8, help="earlier payments (10^8)")
    parser.add_argument("--cores", type=float, default=8, help="of a cell's database (8)")
    arguments = parser.parse_args()
    if arguments.rate:
        print(cost(arguments.rate, arguments.nodes, arguments.asked, arguments.history))
        return 0
    print("\n".join(table(arguments.asked, arguments.history, arguments.cores)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
