"""The embedded store: one SQLite file, one process, WAL, synchronous=FULL, grouped commits.

Writes go through one thread; reads use a connection of their own in the event loop's thread, where
a look-up by key takes about 30 microseconds and never waits for the writer. A lock file keeps a
second process out.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from tillgate.core.errors import PaymentIdTaken, StaleVersion, StoreError
from tillgate.core.model import Payment, PaymentRequestId
from tillgate.store import (
    History,
    KeyHeld,
    MerchantEvent,
    Opened,
    Opening,
    OrderHeld,
    Placed,
    Request,
    Row,
    Sql,
    T,
    Transaction,
    Unmatched,
)
from tillgate.store.file_lock import take_lock
from tillgate.store.group_commit import GroupCommitWriter, Writer
from tillgate.store.migrate import upgrade
from tillgate.store.reporter import Reporter
from tillgate.store.rows import (
    PLACE_COLUMNS,
    STATE_COLUMNS,
    history_values,
    is_same,
    merchant_event_values,
    opening_values,
    state_values,
    to_history,
    to_opened,
    to_payment,
    to_placed,
    to_request,
    unmatched_values,
    waiting_values,
)
from tillgate.store.statements import (
    GIVEN_COLUMNS,
    INSERT_EVENT,
    INSERT_MERCHANT_EVENT,
    INSERT_UNMATCHED,
    LAST_ATTEMPT,
    PLACE,
    SELECT_BODY,
    SELECT_BY_KEY,
    SELECT_BY_ORDER,
    SELECT_HISTORY,
    SELECT_PAYMENT,
    SELECT_SAME,
    SELECT_WAITING,
)
from tillgate.store.webhooks import INSERT_DELIVERIES, delivery_values

INSERT_PAYMENT = (
    f"INSERT INTO payment ({', '.join(GIVEN_COLUMNS + PLACE_COLUMNS)})"
    f" SELECT {', '.join('?' * len(GIVEN_COLUMNS))}, {PLACE}"
    f" FROM (SELECT 1) LEFT JOIN {LAST_ATTEMPT.format(merchant='?', order='?')}"
    f" WHERE true ON CONFLICT DO NOTHING RETURNING {', '.join(PLACE_COLUMNS)}"
)
UPDATE_PAYMENT = (
    f"UPDATE payment SET {', '.join(f'{column} = ?' for column in STATE_COLUMNS)},"
    " pay_body = CASE WHEN ? THEN pay_body END"
    " WHERE payment_request_id = ? AND version = ?"
)
# One writer: what is committed later has a higher position.
SELECT_MERCHANT_EVENTS = (
    "SELECT * FROM merchant_event WHERE merchant_id = ? AND position > ?"
    " AND store_id = coalesce(?, store_id) ORDER BY position LIMIT ?"
)
SELECT_ALL_EVENTS = "SELECT * FROM merchant_event WHERE position > ? ORDER BY position LIMIT ?"
SELECT_LAST_POSITION = "SELECT coalesce(max(position), 0) AS last FROM merchant_event"


class SqliteStore:
    """See `Store`. Build it with `open_sqlite`."""

    is_shared = False

    def __init__(
        self,
        reader: sqlite3.Connection,
        writer: Writer,
        release: Callable[[], None],
        reporter: Reporter | None = None,
    ) -> None:
        """Take over a connection, whose rows are `sqlite3.Row`, and a writer to the same database;
        `release` is called once both are closed. Without a reporter, reports are plain reads.
        """
        self._reader = reader
        self._reporter = reporter
        self._writer = writer
        self._release = release

    async def open(self, opening: Opening) -> Opened | KeyHeld | OrderHeld:
        order = opening.payment.order
        values = opening_values(opening) + 2 * (order.merchant_id, order.merchant_order_id)
        event = history_values(opening.payment.payment_request_id, opening.history)

        def write(connection: sqlite3.Connection) -> Opened | KeyHeld | OrderHeld:
            if row := connection.execute(INSERT_PAYMENT, values).fetchone():
                connection.execute(INSERT_EVENT, event)
                return to_opened(row)
            return _holder(connection, opening)

        result: Opened | KeyHeld | OrderHeld = await self._writer.commit(write)
        return result

    async def save(
        self,
        payment: Payment,
        history: History,
        *,
        keep_body: bool,
        told: MerchantEvent | None = None,
    ) -> None:
        key = payment.payment_request_id
        values = (*state_values(payment), keep_body, key, payment.version - 1)
        event = history_values(key, history)
        announcement = merchant_event_values(told) if told else None
        deliveries = delivery_values(told) if told else ()

        def write(connection: sqlite3.Connection) -> None:
            try:
                is_saved = connection.execute(UPDATE_PAYMENT, values).rowcount
            except sqlite3.IntegrityError as error:
                if "payment.payment_id" not in str(error):
                    raise
                raise PaymentIdTaken("another payment holds this paymentId") from None
            if not is_saved:
                raise StaleVersion(f"version {payment.version - 1} was replaced already")
            connection.execute(INSERT_EVENT, event)
            if announcement:
                connection.execute(INSERT_MERCHANT_EVENT, announcement)
                connection.execute(INSERT_DELIVERIES, deliveries)

        await self._writer.commit(write)

    async def keep_unmatched(self, notification: Unmatched) -> None:
        values = unmatched_values(notification)
        await self._writer.commit(lambda connection: connection.execute(INSERT_UNMATCHED, values))

    async def load(
        self, payment_request_id: PaymentRequestId, known: Payment | None = None
    ) -> Payment | None:
        if known is not None:
            found = self._one(SELECT_SAME, payment_request_id)
            if found is not None and is_same(found, known):
                return known
        row = self._one(SELECT_PAYMENT, payment_request_id)
        return to_payment(row) if row else None

    async def load_request(self, merchant_id: str, idempotency_key: str) -> Request | None:
        row = self._one(SELECT_BY_KEY, merchant_id, idempotency_key)
        return to_request(row) if row else None

    async def load_pay_body(self, payment_request_id: PaymentRequestId) -> bytes | None:
        row = self._one(SELECT_BODY, payment_request_id)
        return row["pay_body"] if row else None

    async def load_waiting(
        self, before: datetime | None = None, *, after: Payment | None = None, limit: int
    ) -> Sequence[Payment]:
        rows = self._all(SELECT_WAITING, *waiting_values(before, after), limit)
        return [to_payment(row) for row in rows]

    async def load_newer(self, known: Sequence[tuple[PaymentRequestId, int]]) -> Sequence[Payment]:
        rows = (self._one(SELECT_PAYMENT, key) for key, _ in known)
        versions = dict(known)
        payments = [to_payment(row) for row in rows if row]
        return [each for each in payments if each.version > versions[each.payment_request_id]]

    async def load_history(self, payment_request_id: PaymentRequestId) -> Sequence[History]:
        return [to_history(row) for row in self._all(SELECT_HISTORY, payment_request_id)]

    async def load_events(
        self, merchant_id: str | None, *, store_id: str | None = None, after: int, limit: int
    ) -> Sequence[Placed]:
        if merchant_id is None:
            rows = self._all(SELECT_ALL_EVENTS, after, limit)
        else:
            rows = self._all(SELECT_MERCHANT_EVENTS, merchant_id, after, store_id, limit)
        return [to_placed(row) for row in rows]

    async def last_position(self) -> int:
        return int(self._one(SELECT_LAST_POSITION)["last"])

    async def transact(self, work: Callable[[], Transaction[T]]) -> T:
        result: T = await self._writer.commit(lambda connection: _run(connection, work()))
        return result

    async def read(self, statement: Sql) -> Sequence[Row]:
        return self._all(statement.text, *statement.values)

    async def report(self, statement: Sql) -> Sequence[Row]:
        if self._reporter is None:
            return await self.read(statement)
        return await self._reporter.run(statement)

    async def close(self) -> None:
        await self._writer.close()
        if self._reporter is not None:
            await self._reporter.close()
        self._reader.close()
        self._release()

    def _one(self, statement: str, *values: str | int | None) -> Any:
        return next(iter(self._all(statement, *values)), None)

    def _all(self, statement: str, *values: str | int | bytes | None) -> list[Any]:
        try:
            return self._reader.execute(statement, values).fetchall()
        except UnicodeEncodeError:
            return []  # half a surrogate pair: no row can hold such a text
        except sqlite3.Error as error:
            raise StoreError(f"the database could not be read: {error}") from None


def _run(connection: sqlite3.Connection, work: Transaction[T]) -> T:
    rows: Sequence[Row] = ()
    with contextlib.closing(work):
        try:
            asked = next(work)
            while True:
                rows = connection.execute(asked.text, asked.values).fetchall()
                asked = work.send(rows)
        except StopIteration as done:
            result: T = done.value
            return result


def open_sqlite(path: Path) -> SqliteStore:
    """Lock the file, bring its schema up to date and start the writer.

    Raises:
        StoreInUse: another process serves from this file.
        StoreError: the file cannot be created, is no database, or belongs to a newer release.
    """
    lock = take_lock(path)
    try:
        upgrade(path)
        reader, reporter = _connect(path), _connect(path)
        for connection in (reader, reporter):
            connection.execute("PRAGMA query_only = ON")
        writer = GroupCommitWriter(_connect(path))
        return SqliteStore(reader, writer, partial(os.close, lock), Reporter(reporter))
    except (sqlite3.Error, OSError) as error:
        os.close(lock)
        raise StoreError(f"{path} cannot be used as a database: {error}") from None
    except BaseException:
        os.close(lock)
        raise


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a power cut loses nothing that was answered
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def _holder(connection: sqlite3.Connection, opening: Opening) -> KeyHeld | OrderHeld:
    order = opening.payment.order
    values = (order.merchant_id, opening.idempotency_key)
    row = connection.execute(SELECT_BY_KEY, values).fetchone()
    if row is not None:
        return KeyHeld(to_request(row))
    values = (order.merchant_id, order.merchant_order_id)
    row = connection.execute(SELECT_BY_ORDER, values).fetchone()
    if row is None:
        raise StoreError("the payment could not be inserted and nothing holds its key or order")
    return OrderHeld(to_payment(row))
