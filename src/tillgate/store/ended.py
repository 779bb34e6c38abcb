"""Payments that are long over, read whole from either engine: what `tillgate db archive` may move.

Nothing is locked while it is read. What changes meanwhile gets a step of today, and whoever has one
is not long over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from tillgate.core.model import RESTING
from tillgate.core.refund_model import ENDED
from tillgate.store import Row, Sql
from tillgate.store.refunds import ASKED_COLUMNS, REFUND_STATE_COLUMNS, REQUEST_COLUMNS
from tillgate.store.rows import PAYMENT_COLUMNS

BATCH = 500
"""Payments of one transaction: some tens of milliseconds."""
ARCHIVED = "archived"
"""The kind of the one step that stays: it stands for all steps up to its version."""
PAYMENT_KEPT = (*PAYMENT_COLUMNS, "idempotency_key", "expires_in_s")
"""What is read of a payment: never the sealed request, nor the hash of the scanned code."""
REFUND_KEPT = ASKED_COLUMNS + REFUND_STATE_COLUMNS + REQUEST_COLUMNS

Read = Callable[[Sql], Awaitable[Sequence[Row]]]
"""The rows of one reading statement, as `Store.read`."""

_SCAN = (
    "SELECT payment_request_id, placed_at, (EXISTS (SELECT 1 FROM payment_event AS step"
    " WHERE step.payment_request_id = payment.payment_request_id"
    " AND step.version < payment.version)"
    " OR EXISTS (SELECT 1 FROM refund JOIN refund_event AS step"
    " ON step.refund_request_id = refund.refund_request_id"
    " WHERE refund.payment_request_id = payment.payment_request_id"
    " AND step.version < refund.version)) AS has_steps"
    " FROM payment WHERE payment_request_id > ? ORDER BY payment_request_id LIMIT ?"
)
_RANGE = "{0}.payment_request_id > ? AND {0}.payment_request_id <= ?"
_PAYMENTS = (
    f"SELECT {', '.join(PAYMENT_KEPT)} FROM payment WHERE {_RANGE.format('payment')}"
    " ORDER BY payment_request_id"
)
_REFUNDS = (
    f"SELECT {', '.join(REFUND_KEPT)} FROM refund WHERE {_RANGE.format('refund')}"
    " ORDER BY payment_request_id, refund_request_id"
)
_STEPS = (
    "SELECT payment_request_id AS key, version, at, kind, status, detail FROM payment_event"
    f" WHERE {_RANGE.format('payment_event')} ORDER BY payment_request_id, version"
)
_REFUND_STEPS = (
    "SELECT step.refund_request_id AS key, step.version, step.at, step.kind, step.status,"
    " step.detail FROM refund JOIN refund_event AS step"
    " ON step.refund_request_id = refund.refund_request_id"
    f" WHERE {_RANGE.format('refund')} ORDER BY step.refund_request_id, step.version"
)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A payment or a refund with its history.

    Attributes:
        key: its id.
        row: its own row, without what nobody may read.
        steps: of its history, oldest first; the first may stand for many (`ARCHIVED`).
    """

    key: str
    row: Row
    steps: Sequence[Row]

    @property
    def is_whole(self) -> bool:
        """Whether no step is missing, and each can be read."""
        told = sum(each["version"] if each["kind"] == ARCHIVED else 1 for each in self.steps)
        is_there = bool(self.steps) and self.steps[-1]["version"] == self.row["version"] == told
        return is_there and all(map(_is_json, self.steps))


@dataclass(frozen=True, slots=True)
class Ended:
    """A payment that is long over, and all its refunds are."""

    payment: Timeline
    refunds: Sequence[Timeline]

    def timelines(self) -> Iterator[Timeline]:
        """Its own first."""
        yield self.payment
        yield from self.refunds

    @property
    def has_steps(self) -> bool:
        """Whether there is more than what stays."""
        return any(len(each.steps) > 1 for each in self.timelines())

    @property
    def is_whole(self) -> bool:
        """Whether all its histories are."""
        return all(each.is_whole for each in self.timelines())


@dataclass(frozen=True, slots=True)
class Batch:
    """What was found among so many payments.

    Attributes:
        ended: with steps that may go.
        damaged: ids of payments that would be among them, if a step were not missing.
    """

    ended: Sequence[Ended]
    damaged: Sequence[str]


async def batches(read: Read, bound: int) -> AsyncIterator[Batch]:
    """All payments, oldest first, until all are young.

    Args:
        read: of either engine.
        bound: microseconds; nothing that changed since is given.

    Raises:
        StoreError: the database could not be read.
    """
    after = ""
    while rows := await read(Sql(_SCAN, (after, BATCH))):
        # Ids are in the order of time: where a whole batch is young, all behind it is.
        if all(row["placed_at"] >= bound for row in rows):
            return
        last: str = rows[-1]["payment_request_id"]
        wanted = {
            row["payment_request_id"]
            for row in rows
            if row["has_steps"] and row["placed_at"] < bound
        }
        if wanted:
            found = [each for each in await _whole(read, after, last) if each.payment.key in wanted]
            over = [each for each in found if each.has_steps and _is_over(each, bound)]
            damaged = [each.payment.key for each in over if not each.is_whole]
            yield Batch([each for each in over if each.is_whole], damaged)
        after = last


async def _whole(read: Read, after: str, last: str) -> list[Ended]:
    """Everything of the payments behind `after`, up to `last`."""
    place = (after, last)
    payments = await read(Sql(_PAYMENTS, place))
    refunds = await read(Sql(_REFUNDS, place))
    steps = _by("key", await read(Sql(_STEPS, place)))
    refund_steps = _by("key", await read(Sql(_REFUND_STEPS, place)))
    of_payment: dict[str, list[Timeline]] = {}
    for row in refunds:
        key = row["refund_request_id"]
        each = Timeline(key, row, refund_steps.get(key, ()))
        of_payment.setdefault(row["payment_request_id"], []).append(each)
    return [
        Ended(Timeline(key, row, steps.get(key, ())), of_payment.get(key, ()))
        for row in payments
        for key in (row["payment_request_id"],)
    ]


def _by(column: str, rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def _is_over(ended: Ended, bound: int) -> bool:
    row = ended.payment.row
    return (
        row["status"] in RESTING
        and bool(row["is_final"])
        and row["reserved"] == row["refunded"]
        and max(row["placed_at"], row["changed_at"]) < bound
        and all(each.row["status"] in ENDED for each in ended.refunds)
        and all(_is_quiet(each, bound) for each in ended.timelines())
    )


def _is_quiet(timeline: Timeline, bound: int) -> bool:
    """Nothing is planned, and nothing happened since. Also an alert is a step, without a change."""
    row = timeline.row
    return (
        row["calling"] is None
        and row["next_action"] is None
        and row["next_action_at"] is None
        and row["changed_at"] < bound
        and all(step["at"] < bound for step in timeline.steps)
    )


def _is_json(step: Row) -> bool:
    try:
        msgspec.json.decode(step["detail"])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
