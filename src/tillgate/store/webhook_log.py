"""Deliveries of webhooks as people look at them and ask for them again, on either engine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from tillgate.core.webhooks import DeliveryState
from tillgate.store import MerchantEvent, Row, Sql, Store, Transaction
from tillgate.store.rows import from_microseconds, to_microseconds, to_placed
from tillgate.store.webhook_endpoints import Endpoint
from tillgate.store.webhooks import (
    COLUMNS,
    INSERT_ONE,
    MOVED_AT_ONCE,
    ONE,
    Attempt,
    Delivery,
    Value,
    to_delivery,
)


async def replay(
    store: Store,
    endpoint: Endpoint,
    event_ids: Sequence[str],
    now: datetime,
    noted: Sql | None = None,
) -> list[Delivery]:
    """Send events (again), also some that the endpoint was never meant to get, each behind the
    earlier ones of its payment that still wait. Leaves out what is not its merchant's, and what is
    just being sent.
    """
    now_us = to_microseconds(now)

    def work() -> Transaction[list[Delivery]]:
        replayed: list[Delivery] = []
        for event_id in event_ids:
            rows = yield Sql(
                "SELECT * FROM merchant_event WHERE event_id = ? AND merchant_id = ?",
                (event_id, endpoint.merchant_id),
            )
            if rows:
                event = to_placed(rows[0]).event
                yield _insert(endpoint.endpoint_id, event, now_us, None)
            rows = yield Sql(
                "UPDATE webhook_delivery SET state = 'pending', failures = 0, tried_since = NULL,"
                " is_leased = false, next_attempt_at = ?, delivered_at = NULL"
                f"{ONE} AND NOT (state = 'pending' AND is_leased = true AND next_attempt_at > ?)"
                f" RETURNING {COLUMNS}",
                (now_us, endpoint.endpoint_id, event_id, now_us),
            )
            for row in rows:
                # It goes behind the earlier ones of its payment that wait, so they are due, too.
                yield Sql(
                    "UPDATE webhook_delivery SET next_attempt_at = ? WHERE endpoint_id = ?"
                    " AND payment_request_id = ? AND state = 'pending' AND is_leased = false"
                    " AND sequence < ? AND next_attempt_at > ?",
                    (
                        now_us,
                        endpoint.endpoint_id,
                        row["payment_request_id"],
                        row["sequence"],
                        now_us,
                    ),
                )
                replayed.append(to_delivery(row))
        if replayed and noted:
            yield noted
        return replayed

    return await store.transact(work)


async def insert_delivery(
    store: Store,
    endpoint: Endpoint,
    event: MerchantEvent,
    payload: bytes,
    now: datetime,
    noted: Sql | None = None,
) -> None:
    """Send something that stands in no other table."""

    def work() -> Transaction[None]:
        yield _insert(endpoint.endpoint_id, event, to_microseconds(now), payload)
        if noted:
            yield noted

    await store.transact(work)


def _insert(endpoint_id: str, event: MerchantEvent, due_us: int, payload: bytes | None) -> Sql:
    values = (
        endpoint_id,
        event.event_id,
        event.payment_request_id,
        event.sequence,
        event.type,
        to_microseconds(event.at),
        due_us,
        payload,
    )
    return Sql(INSERT_ONE, values)


async def events_between(
    store: Store, endpoint: Endpoint, since: datetime, before: datetime | None, at_most: int
) -> list[str]:
    """The ids of the merchant's events that the endpoint asks for, of a span, oldest first; more
    than `at_most` only shows that there are more.
    """
    found: list[str] = []
    last = 2**62
    while len(found) <= at_most:
        rows = await store.report(
            Sql(
                "SELECT position, event_id, type, at FROM merchant_event"
                " WHERE merchant_id = ? AND position < ? ORDER BY position DESC LIMIT ?",
                (endpoint.merchant_id, last, MOVED_AT_ONCE),
            )
        )
        for row in rows:
            at = from_microseconds(row["at"])
            is_wanted = endpoint.event_types is None or row["type"] in endpoint.event_types
            if is_wanted and at >= since and (before is None or at < before):
                found.append(row["event_id"])
        # Positions follow the clocks of the processes that wrote them, within a minute.
        if len(rows) < MOVED_AT_ONCE or _is_older(rows[-1], since):
            break
        last = rows[-1]["position"]
    return found[::-1]


def _is_older(row: Row, since: datetime) -> bool:
    return from_microseconds(row["at"]) < since - timedelta(minutes=1)


async def load_delivery(store: Store, endpoint_id: str, event_id: str) -> Delivery | None:
    """One delivery as last saved."""
    statement = f"SELECT {COLUMNS} FROM webhook_delivery{ONE}"
    rows = await store.read(Sql(statement, (endpoint_id, event_id)))
    return to_delivery(rows[0]) if rows else None


async def load_attempts(store: Store, endpoint_id: str, event_id: str) -> list[Attempt]:
    """Its attempts that are over, oldest first."""
    statement = f"SELECT attempt, at, duration_ms, status, error FROM webhook_attempt{ONE}"
    rows = await store.read(Sql(f"{statement} ORDER BY attempt", (endpoint_id, event_id)))
    return [
        Attempt(
            attempt=row["attempt"],
            at=from_microseconds(row["at"]),
            duration_ms=row["duration_ms"],
            status=row["status"],
            error=row["error"],
        )
        for row in rows
    ]


async def load_deliveries(
    store: Store, endpoint_ids: Sequence[str], event_ids: Sequence[str]
) -> list[Delivery]:
    """Those of these events to these endpoints, in the order of both."""
    if not endpoint_ids or not event_ids:
        return []
    marks = (", ".join("?" * len(each)) for each in (endpoint_ids, event_ids))
    rows = await store.report(
        Sql(
            f"SELECT {COLUMNS} FROM webhook_delivery WHERE endpoint_id IN ({next(marks)})"
            f" AND event_id IN ({next(marks)}) ORDER BY endpoint_id, sequence",
            (*endpoint_ids, *event_ids),
        )
    )
    return [to_delivery(row) for row in rows]


async def list_deliveries(
    store: Store,
    endpoint_id: str,
    *,
    state: DeliveryState | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[Delivery]:
    """The newest ones, from behind `before` (when its event happened, its id)."""
    values: list[Value] = [endpoint_id]
    also = ""
    if state is not None:
        also += " AND state = ?"
        values.append(state.value)
    if before is not None:
        also += " AND (created_at, event_id) < (?, ?)"
        values += [to_microseconds(before[0]), before[1]]
    rows = await store.report(
        Sql(
            f"SELECT {COLUMNS} FROM webhook_delivery WHERE endpoint_id = ?{also}"
            " ORDER BY created_at DESC, event_id DESC LIMIT ?",
            (*values, limit),
        )
    )
    return [to_delivery(row) for row in rows]
