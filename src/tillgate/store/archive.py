"""`tillgate db archive`: the histories of payments that are long over go to a file.

Rows of payments and refunds stay for ever: keys, orders and the network's ids must be found by a
repeat of any age, and the amounts are what reports and checks stand on. Of each history one row
stays, which says where the rest is. A batch is in the file and on the disk before its transaction,
so a run may be killed at any moment: at worst a payment stands in two files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from tillgate.store import Sql, Store, Transaction
from tillgate.store.archive_file import ArchiveFile, line_of
from tillgate.store.ended import ARCHIVED, Ended, Read, Timeline, batches
from tillgate.store.rows import to_microseconds

YOUNGEST = timedelta(days=400)
"""Nothing younger goes: merchants refund for 365 days, a refund is followed for 7, and the rest is
for whoever asks why.
"""

_REWRITE = (
    "UPDATE {0}_event SET kind = ?, detail = ? WHERE version = ? AND kind <> ?"
    " AND {0}_request_id IN ({1}) RETURNING {0}_request_id AS key"
)
_DELETE = "DELETE FROM {0}_event WHERE version < ? AND {0}_request_id IN ({1}) RETURNING version"


@dataclass(frozen=True, slots=True)
class Moved:
    """How much went, or would go.

    Attributes:
        payments: whose history went.
        refunds: of these.
        steps: rows of histories that are gone.
        damaged: ids of payments that were left as they are, because a step is missing.
    """

    payments: int = 0
    refunds: int = 0
    steps: int = 0
    damaged: tuple[str, ...] = ()

    def and_also(self, more: Moved) -> Moved:
        """Both together."""
        return Moved(
            self.payments + more.payments,
            self.refunds + more.refunds,
            self.steps + more.steps,
            self.damaged + more.damaged,
        )


Progress = Callable[[Moved], None]
"""Is told what is done so far."""


async def plan(read: Read, bound: datetime, progress: Progress) -> Moved:
    """How much would go. Nothing is written.

    Args:
        read: of either engine.
        bound: aware UTC; what changed since stays.
        progress: told after each batch.

    Raises:
        StoreError: the database could not be read.
    """
    moved = Moved()
    async with aclosing(batches(read, to_microseconds(bound))) as found:  # type: ignore[type-var]
        async for batch in found:
            payments = _longer(each.payment for each in batch.ended)
            refunds = _longer(refund for each in batch.ended for refund in each.refunds)
            steps = sum(len(each.steps) - 1 for each in (*payments, *refunds))
            more = Moved(len(payments), len(refunds), steps, tuple(batch.damaged))
            moved = moved.and_also(more)
            progress(moved)
    return moved


async def archive(store: Store, bound: datetime, file: ArchiveFile, progress: Progress) -> Moved:
    """Move them, batch by batch.

    Args:
        store: of either engine.
        bound: aware UTC; what changed since stays. The caller sees to `YOUNGEST`.
        file: new; the caller closes it.
        progress: told after each batch.

    Raises:
        StoreError: the database or the file could not do it. What is gone is in the file, the rest
            is where it was and may be tried again.
    """
    moved = Moved()
    cut = to_microseconds(bound)
    async with aclosing(batches(store.read, cut)) as found:  # type: ignore[type-var]
        async for batch in found:
            moved = moved.and_also(Moved(damaged=tuple(batch.damaged)))
            if batch.ended:
                file.append(map(line_of, batch.ended))
                moved = moved.and_also(await _rewrite(store, batch.ended, file.name))
            progress(moved)
    return moved


async def _rewrite(store: Store, ended: Sequence[Ended], name: str) -> Moved:
    """One transaction: exactly the steps that were written go."""
    payments = _longer(each.payment for each in ended)
    refunds = _longer(refund for each in ended for refund in each.refunds)

    def work() -> Transaction[Moved]:
        of_payments = yield from _move("payment", payments, name)
        of_refunds = yield from _move("refund", refunds, name)
        return Moved(of_payments[0], of_refunds[0], of_payments[1] + of_refunds[1])

    return await store.transact(work)


def _longer(timelines: Iterable[Timeline]) -> list[Timeline]:
    return [each for each in timelines if len(each.steps) > 1]


def _move(table: str, timelines: Iterable[Timeline], name: str) -> Transaction[tuple[int, int]]:
    """How many histories, and how many rows of them are gone."""
    of_version: dict[int, list[str]] = {}
    for each in timelines:
        of_version.setdefault(each.steps[-1]["version"], []).append(each.key)
    count = steps = 0
    for version, keys in of_version.items():
        detail = msgspec.json.encode({"steps": version, "file": name})
        # What another run archived meanwhile is in its file, and its row stays as it is.
        text = _REWRITE.format(table, _marks(keys))
        rows = yield Sql(text, (ARCHIVED, detail, version, ARCHIVED, *keys))
        ours = [row["key"] for row in rows]
        if ours:
            gone = yield Sql(_DELETE.format(table, _marks(ours)), (version, *ours))
            count, steps = count + len(ours), steps + len(gone)
    return count, steps


def _marks(keys: Sequence[str]) -> str:
    return ", ".join("?" * len(keys))
