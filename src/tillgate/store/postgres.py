"""The store that many nodes share: PostgreSQL 14 and later, over asyncpg, with grouped commits.

Payments are opened and saved by two writers, each with a connection of its own; everything else
shares a few. A connection that is lost is made anew when it is needed: a restart, a failover or a
standby in the primary's place is a `StoreError` for whoever asks meanwhile, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from tillgate.core.errors import StaleVersion, StoreError
from tillgate.core.model import Payment, PaymentRequestId
from tillgate.store import (
    REPORT_LIMIT_S,
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
from tillgate.store.migrate_postgres import prepare
from tillgate.store.postgres_connections import (
    FAULTS,
    LOOKING,
    PATIENT,
    PINNED,
    QUICK,
    Connection,
    Connections,
    set_local,
    state_of,
    store_error,
    waited_out,
)
from tillgate.store.postgres_reader import BatchReader, can_hold
from tillgate.store.postgres_statements import (
    OPEN_BATCH,
    SAVE_BATCH,
    SELECT_ALL_EVENTS,
    SELECT_LAST_POSITION,
    SELECT_MERCHANT_EVENTS,
    SELECT_NEWER,
    SELECT_PAYMENTS,
    SELECT_SAMES,
    SETTLE_OPEN,
    SETTLE_SAVE,
    arrays,
    numbered,
)
from tillgate.store.postgres_url import PostgresUrl
from tillgate.store.postgres_writer import BatchWriter, Write
from tillgate.store.rows import (
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
    INSERT_UNMATCHED,
    SELECT_BODY,
    SELECT_BY_KEY,
    SELECT_BY_ORDER,
    SELECT_HISTORY,
    SELECT_WAITING,
)

READERS, WORKERS, REPORTERS = 2, 4, 1
"""Connections of one process, for look-ups, transactions and reports; beside them two writers and
two readers of the payment path have one each.
"""
TRANSACTION_TRIES_MAX = 20
"""How often a transaction is begun anew; each lost race means that somebody else made progress."""
OPEN_TRIES_MAX = 3
"""An order may be given free between the refusal and the look at who holds it."""
_BEGIN_ANEW = ("40001", "40P01", "23505")
"""Serialisation, deadlock, and a key that somebody took since this transaction began."""
_NOTHING_TOLD = (None,) * 9


class PostgresStore:
    """See `Store`. Build it with `open_postgres`."""

    is_shared = True

    def __init__(self, url: PostgresUrl) -> None:
        """Connects when it is first asked for something."""
        self._url = url
        self._opener = BatchWriter(url, OPEN_BATCH, SETTLE_OPEN)
        self._saver = BatchWriter(url, SAVE_BATCH, SETTLE_SAVE)
        lookups = Connections(url, PINNED, 1)
        self._sames = BatchReader(lookups, SELECT_SAMES)
        self._payments = BatchReader(lookups, SELECT_PAYMENTS)
        self._readers = Connections(url, LOOKING, READERS)
        self._workers = Connections(url, QUICK, WORKERS)
        self._reporters = Connections(url, PATIENT, REPORTERS)

    async def open(self, opening: Opening) -> Opened | KeyHeld | OrderHeld:
        key = opening.payment.payment_request_id
        write = Write(
            key=key,
            # Not by id: two nodes that open the same keys at once wait in the same order.
            place=(opening.payment.order.merchant_id, opening.idempotency_key),
            values=(*opening_values(opening), *history_values(key, opening.history)[2:]),
            proof=(key,),
        )
        for _ in range(OPEN_TRIES_MAX):
            if row := await self._opener.write(write):
                return to_opened(row)
            if held := await self._holder(opening):
                return held
        raise StoreError("the payment could not be inserted and nothing holds its key or order")

    async def _holder(self, opening: Opening) -> KeyHeld | OrderHeld | None:
        order = opening.payment.order
        if request := await self.load_request(order.merchant_id, opening.idempotency_key):
            return KeyHeld(request)
        row = await self._one(SELECT_BY_ORDER, order.merchant_id, order.merchant_order_id)
        return OrderHeld(to_payment(row)) if row else None

    async def save(
        self,
        payment: Payment,
        history: History,
        *,
        keep_body: bool,
        told: MerchantEvent | None = None,
    ) -> None:
        key = payment.payment_request_id
        event = history_values(key, history)
        announcement: Sequence[Any] = _NOTHING_TOLD
        if told:
            values = merchant_event_values(told)
            announcement = (*values[:4], *values[5:])  # its payment stands in the row already
        write = Write(
            key=key,
            place=(key,),
            values=(*state_values(payment), keep_body, key, *event[2:], *announcement),
            proof=event,
        )
        if not await self._saver.write(write):
            raise StaleVersion(f"version {payment.version - 1} was replaced already")

    async def load(
        self, payment_request_id: PaymentRequestId, known: Payment | None = None
    ) -> Payment | None:
        if known is not None:
            found = await self._sames.look(payment_request_id)
            if found and is_same(found[0], known):
                return known
        rows = await self._payments.look(payment_request_id)
        return to_payment(rows[0]) if rows else None

    async def load_request(self, merchant_id: str, idempotency_key: str) -> Request | None:
        row = await self._one(SELECT_BY_KEY, merchant_id, idempotency_key)
        return to_request(row) if row else None

    async def load_pay_body(self, payment_request_id: PaymentRequestId) -> bytes | None:
        row = await self._one(SELECT_BODY, payment_request_id)
        return row["pay_body"] if row else None

    async def load_waiting(
        self, before: datetime | None = None, *, after: Payment | None = None, limit: int
    ) -> Sequence[Payment]:
        rows = await self._all(SELECT_WAITING, *waiting_values(before, after), limit)
        return [to_payment(row) for row in rows]

    async def load_newer(self, known: Sequence[tuple[PaymentRequestId, int]]) -> Sequence[Payment]:
        rows = await self._readers.fetch(SELECT_NEWER, arrays(known))
        return [to_payment(row) for row in rows]

    async def load_history(self, payment_request_id: PaymentRequestId) -> Sequence[History]:
        return [to_history(row) for row in await self._all(SELECT_HISTORY, payment_request_id)]

    async def load_events(
        self, merchant_id: str | None, *, store_id: str | None = None, after: int, limit: int
    ) -> Sequence[Placed]:
        if merchant_id is None:
            rows = await self._all(SELECT_ALL_EVENTS, after, limit)
        else:
            rows = await self._all(SELECT_MERCHANT_EVENTS, merchant_id, after, store_id, limit)
        return [to_placed(row) for row in rows]

    async def last_position(self) -> int:
        return int((await self._one(SELECT_LAST_POSITION))["last"])

    async def transact(self, work: Callable[[], Transaction[T]]) -> T:
        for attempt in range(1, TRANSACTION_TRIES_MAX + 1):
            try:
                return await self._workers.run(lambda connection: self._run(connection, work()))
            except FAULTS as error:
                if state_of(error) not in _BEGIN_ANEW or attempt == TRANSACTION_TRIES_MAX:
                    raise store_error(error, self._url) from None
                await asyncio.sleep(0)
        raise AssertionError("unreachable")

    async def _run(self, connection: Connection, work: Transaction[T]) -> T:
        """Serialisable: what the work has read is still so when it commits, as on SQLite."""
        with contextlib.closing(work), waited_out(connection):
            async with connection.transaction(isolation="serializable"):
                if self._workers.local is not None:
                    await set_local(connection, self._workers.local)
                rows: Sequence[Row] | None = None
                while True:
                    try:
                        asked = next(work) if rows is None else work.send(rows)
                    except StopIteration as done:
                        result: T = done.value
                        break
                    rows = await connection.fetch(numbered(asked.text), *asked.values)
        return result

    async def read(self, statement: Sql) -> Sequence[Row]:
        return await self._all(statement.text, *statement.values)

    async def report(self, statement: Sql) -> Sequence[Row]:
        try:
            return await self._reporters.fetch(numbered(statement.text), statement.values)
        except StoreError as error:
            if "statement timeout" in str(error):
                reason = f"the report took longer than {REPORT_LIMIT_S:g} s"
                raise StoreError(reason) from None
            raise

    async def keep_unmatched(self, notification: Unmatched) -> None:
        def work() -> Transaction[None]:
            yield Sql(INSERT_UNMATCHED, unmatched_values(notification))

        await self.transact(work)

    async def close(self) -> None:
        for writer in (self._opener, self._saver):
            await writer.close()
        await self._payments.close()
        for each in (self._readers, self._workers, self._reporters):
            await each.close()

    async def _one(self, text: str, *values: Any) -> Any:
        return next(iter(await self._all(text, *values)), None)

    async def _all(self, text: str, *values: Any) -> Sequence[Any]:
        if not all(map(can_hold, values)):
            return ()
        return await self._readers.fetch(numbered(text), values)


def open_postgres(url: PostgresUrl) -> PostgresStore:
    """Check the server and bring its schema up to date; also from inside a running loop.

    Raises:
        StoreError: it cannot be reached, is too old or not durable, or belongs to a newer release.
    """
    return PostgresStore(prepare(url))
