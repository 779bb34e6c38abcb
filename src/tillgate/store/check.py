"""`tillgate db check`: whether a database is what the gateway relies on, and its books agree.

Reads only, a batch of rows at a time and each in a moment of its own, so that it may run beside
gateways under load. A row is compared with those that were saved in the same commits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tillgate.core.errors import StoreError
from tillgate.core.model import Status
from tillgate.core.refund_model import RefundStatus
from tillgate.store import Row
from tillgate.store.ended import ARCHIVED
from tillgate.store.migrate import HEAD
from tillgate.store.schema import metadata
from tillgate.store.upkeep import Database

BATCH = 2000
"""Rows of one statement: some tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and whether it is wrong."""

    words: str
    is_wrong: bool = False


Progress = Callable[[str, int], None]
"""Is told which table is read, and how many rows of it were."""


async def check(database: Database, progress: Progress) -> AsyncIterator[Finding]:
    """Look at everything, the quick things first.

    Raises:
        StoreError: the database could not be read.
    """
    if database.revision != HEAD:
        words = f"schema {database.revision or 'missing'}; this release has {HEAD}"
        yield Finding(f"{words}: see tillgate db upgrade", is_wrong=True)
        return
    yield Finding(f"schema {HEAD}")
    engine = _sqlite if database.engine == "sqlite" else _postgres
    async for finding in engine(database):
        yield finding
    async for finding in _indexes(database):
        yield finding
    for books in (_PAYMENTS, _REFUNDS, _EVENTS, _DELIVERIES):
        async for finding in _read_books(database, books, progress):
            yield finding


# --- The engine


async def _sqlite(database: Database) -> AsyncIterator[Finding]:
    try:
        rows = await database.rows("PRAGMA integrity_check(10)")
    except StoreError as error:
        yield Finding(f"SQLite: {error}", is_wrong=True)
        return
    told = [row["integrity_check"] for row in rows]
    if told == ["ok"]:
        yield Finding("SQLite finds the file intact")
    for words in told:
        if words != "ok":
            yield Finding(f"SQLite: {words}", is_wrong=True)
    [row] = await database.rows("PRAGMA journal_mode")
    if row["journal_mode"] != "wal":
        yield Finding(f"journal mode {row['journal_mode']} instead of wal", is_wrong=True)


_NEEDED = {"fsync": ("on",), "full_page_writes": ("on",), "server_encoding": ("UTF8",)}
_COMMIT = "synchronous_commit"
_SETTINGS = (*_NEEDED, _COMMIT, "synchronous_standby_names", "server_version")


async def _postgres(database: Database) -> AsyncIterator[Finding]:
    marks = ", ".join("?" * len(_SETTINGS))
    rows = await database.rows(
        f"SELECT name, setting FROM pg_settings WHERE name IN ({marks})", *_SETTINGS
    )
    told = {row["name"]: row["setting"] for row in rows}
    [role] = await database.rows(
        "SELECT pg_is_in_recovery() AS is_standby, datcollate"
        " FROM pg_database WHERE datname = current_database()"
    )
    what = "a standby: gateways need the primary" if role["is_standby"] else "the primary"
    yield Finding(
        f"PostgreSQL {told['server_version']}, {what}; it sorts by {role['datcollate']}",
        is_wrong=role["is_standby"],
    )
    for name, fine in _NEEDED.items():
        if told[name] not in fine:
            yield Finding(f"{name} is {told[name]}: {fine[0]} is needed", is_wrong=True)
    standbys = told["synchronous_standby_names"] or "none"
    yield Finding(
        f"{_COMMIT} is {told[_COMMIT]}, synchronous standbys: {standbys}",
        is_wrong=told[_COMMIT] == "off",
    )


async def _indexes(database: Database) -> AsyncIterator[Finding]:
    wanted = {str(index.name) for table in metadata.sorted_tables for index in table.indexes}
    if database.engine == "sqlite":
        found = await database.rows("SELECT name FROM sqlite_master WHERE type = 'index'")
    else:
        found = await database.rows(
            "SELECT relname AS name FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE indisvalid"
        )
    missing = sorted(wanted - {row["name"] for row in found})
    for name in missing:
        yield Finding(f"the index {name} is missing or not valid", is_wrong=True)
    if not missing:
        yield Finding(f"all {len(wanted)} indexes are there")


# --- The books


@dataclass(frozen=True, slots=True)
class _Books:
    """One table, read from its first key to its last.

    Attributes:
        keys: the columns of its key, in their order.
        start: before every key.
        text: one batch, after a key.
        status: the column whose values are counted, if any.
        faults: what is wrong with a row, in words.
    """

    table: str
    keys: tuple[str, ...]
    start: tuple[Any, ...]
    text: str
    status: str | None
    faults: Callable[[Row], Iterator[str]]


async def _read_books(
    database: Database, books: _Books, progress: Progress
) -> AsyncIterator[Finding]:
    last, read = books.start, 0
    counted: Counter[str] = Counter()
    while batch := await database.rows(books.text, *last, BATCH):
        for row in batch:
            counted[row[books.status] if books.status else ""] += 1
            for words in books.faults(row):
                key = " ".join(str(row[name]) for name in books.keys)
                yield Finding(f"{books.table} {key}: {words}", is_wrong=True)
        last, read = tuple(batch[-1][name] for name in books.keys), read + len(batch)
        progress(books.table, read)
    parts = (f"{number:,} {name}" for name, number in sorted(counted.items()) if name)
    yield Finding(f"{read:,} rows of {books.table}: {', '.join(parts)}".removesuffix(": "))


def _steps_of(table: str, key: str) -> str:
    same = f"FROM {table}_event AS step WHERE step.{key} = {table}.{key}"
    # An archived step stands for all steps up to its own.
    told = f"sum(CASE WHEN kind = '{ARCHIVED}' THEN version ELSE 1 END)"
    return (
        f"(SELECT coalesce({told}, 0) {same}) AS steps, (SELECT max(version) {same}) AS last_step"
    )


def _step_faults(row: Row) -> Iterator[str]:
    if not row["version"] == row["steps"] == row["last_step"]:
        yield (
            f"it is version {row['version']}, and its history has {row['steps']} steps, the last"
            f" one {row['last_step']}"
        )


def _payment_faults(row: Row) -> Iterator[str]:
    yield from _step_faults(row)
    if not 0 <= row["refunded"] <= row["reserved"] <= row["amount"]:
        yield f"{row['refunded']} refunded, {row['reserved']} reserved of {row['amount']}"
    for name in ("reserved", "refunded"):
        if row[name] != row[f"{name}_by"]:
            yield f"it says {row[name]} {name}, its refunds say {row[f'{name}_by']}"
    if row["status"] in (Status.PENDING, Status.CANCELLING) and row["next_action_at"] is None:
        yield f"it is {row['status']}, and nothing is planned for it"


def _refund_faults(row: Row) -> Iterator[str]:
    yield from _step_faults(row)
    if not row["has_payment"]:
        yield "its payment is missing"
    if row["status"] == RefundStatus.PENDING and row["next_action_at"] is None:
        yield "it is PENDING, and nothing is planned for it"


def _event_faults(row: Row) -> Iterator[str]:
    if row["announced"] is None:
        yield f"its payment {row['payment_request_id']} is missing"
    elif not 1 <= row["sequence"] <= row["announced"]:
        yield f"it is number {row['sequence']} of a payment that told {row['announced']}"


def _delivery_faults(row: Row) -> Iterator[str]:
    if not row["has_endpoint"]:
        yield f"its endpoint {row['endpoint_id']} is missing"
    if row["state"] == "pending" and row["payload"] is None and not row["has_event"]:
        yield "its event is missing: it can never be sent"


_PAYMENTS = _Books(
    "payment",
    ("payment_request_id",),
    ("",),
    "SELECT payment_request_id, status, version, amount, reserved, refunded, next_action_at,"
    f" {_steps_of('payment', 'payment_request_id')},"
    " (SELECT coalesce(sum(amount), 0) FROM refund WHERE refund.payment_request_id ="
    " payment.payment_request_id AND refund.status <> 'FAILED') AS reserved_by,"
    " (SELECT coalesce(sum(amount), 0) FROM refund WHERE refund.payment_request_id ="
    " payment.payment_request_id AND refund.status = 'SUCCEEDED') AS refunded_by"
    " FROM payment WHERE payment_request_id > ? ORDER BY payment_request_id LIMIT ?",
    "status",
    _payment_faults,
)
_REFUNDS = _Books(
    "refund",
    ("refund_request_id",),
    ("",),
    "SELECT refund_request_id, status, version, next_action_at,"
    f" {_steps_of('refund', 'refund_request_id')},"
    " EXISTS (SELECT 1 FROM payment WHERE payment.payment_request_id ="
    " refund.payment_request_id) AS has_payment"
    " FROM refund WHERE refund_request_id > ? ORDER BY refund_request_id LIMIT ?",
    "status",
    _refund_faults,
)
_EVENTS = _Books(
    "merchant_event",
    ("position",),
    (-1,),
    "SELECT position, sequence, payment_request_id, type, (SELECT announced FROM payment WHERE"
    " payment.payment_request_id = merchant_event.payment_request_id) AS announced"
    " FROM merchant_event WHERE position > ? ORDER BY position LIMIT ?",
    "type",
    _event_faults,
)
_DELIVERIES = _Books(
    "webhook_delivery",
    ("endpoint_id", "event_id"),
    ("", ""),
    "SELECT endpoint_id, event_id, state, payload,"
    " EXISTS (SELECT 1 FROM webhook_endpoint WHERE webhook_endpoint.endpoint_id ="
    " webhook_delivery.endpoint_id) AS has_endpoint,"
    " EXISTS (SELECT 1 FROM merchant_event WHERE merchant_event.event_id ="
    " webhook_delivery.event_id) AS has_event"
    " FROM webhook_delivery WHERE (endpoint_id, event_id) > (?, ?)"
    " ORDER BY endpoint_id, event_id LIMIT ?",
    "state",
    _delivery_faults,
)
