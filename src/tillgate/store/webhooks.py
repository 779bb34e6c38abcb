"""Deliveries of webhooks, on either engine: made in the commit of their event, leased for each
attempt, settled after it.

A process that sends takes a lease: the row says when somebody else may make the next attempt. So
several processes share the work, and what a dead one had comes again by itself. Of one payment only
the lowest event that is pending can be leased. The decisions are `core/webhooks.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tillgate.core.webhooks import DeliveryState, EndpointStatus, Verdict
from tillgate.store import MerchantEvent, Row, Sql, Store, Transaction
from tillgate.store.rows import from_microseconds, to_microseconds, to_placed
from tillgate.store.webhook_endpoints import SELECT_ENDPOINT, Endpoint, to_endpoint

Value = str | int | bytes | None

MOVED_AT_ONCE = 500
"""Rows of one commit: about 10 ms, then everybody else has a turn. Ours."""

_INSERT = (
    "INSERT INTO webhook_delivery (endpoint_id, event_id, payment_request_id, sequence, type,"
    " created_at, state, attempts, failures, is_leased, next_attempt_at, payload)"
)
_DELIVERIES = (
    f"{_INSERT} SELECT e.endpoint_id, {{event_id}}, {{payment}}, {{sequence}}, {{type}}, {{at}},"
    " 'pending', 0, 0, false,"
    # Behind an event of the same payment that still waits, it waits as long; behind one that is
    # being sent, until that is settled.
    " coalesce((SELECT max(d.next_attempt_at) FROM webhook_delivery d"
    " WHERE d.endpoint_id = e.endpoint_id AND d.payment_request_id = {payment}"
    " AND d.state = 'pending' AND d.is_leased = false), {at}), NULL"
    " FROM {told}webhook_endpoint e WHERE e.merchant_id = {merchant} AND e.status <> 'disabled'"
    " AND (e.event_types IS NULL OR e.event_types LIKE '% ' || {type} || ' %')"
)
INSERT_DELIVERIES = _DELIVERIES.format(
    told="",
    event_id="CAST(? AS TEXT)",
    payment="CAST(? AS TEXT)",
    sequence="CAST(? AS INTEGER)",
    type="CAST(? AS TEXT)",
    at="CAST(? AS BIGINT)",
    merchant="CAST(? AS TEXT)",
)
"""Follows the insert of each merchant's event, in its transaction, with `delivery_values`."""


def insert_deliveries(told: str) -> str:
    """The same for a batch: `told` is a relation with `payment_request_id` and the columns of an
    event, each with `t_` before its name.
    """
    return _DELIVERIES.format(
        told=f"{told}, ",
        event_id="t_event_id",
        payment=f"{told}.payment_request_id",
        sequence="t_sequence",
        type="t_type",
        at="t_at",
        merchant="t_merchant_id",
    )


INSERT_ONE = (
    f"{_INSERT} VALUES (?, ?, ?, ?, ?, ?, 'pending', 0, 0, false, ?, ?) ON CONFLICT DO NOTHING"
)
COLUMNS = (
    "endpoint_id, event_id, payment_request_id, sequence, type, created_at, state, attempts,"
    " failures, tried_since, next_attempt_at, is_leased, last_status, last_error, delivered_at,"
    " payload"
)
ONE = " WHERE endpoint_id = ? AND event_id = ?"

# From one endpoint with something pending to the next, along the index: those that wait for nothing
# cost nothing, however much waits for each.
SELECT_WAITING_ENDPOINTS = (
    "WITH RECURSIVE waiting (endpoint_id) AS ("
    "SELECT min(endpoint_id) FROM webhook_delivery WHERE state = 'pending'"
    " UNION ALL SELECT (SELECT min(d.endpoint_id) FROM webhook_delivery d"
    " WHERE d.state = 'pending' AND d.endpoint_id > w.endpoint_id)"
    " FROM waiting w WHERE w.endpoint_id IS NOT NULL)"
    " SELECT e.endpoint_id, e.failing_since, e.not_before,"
    # Of what can be leased: what waits for an earlier event of its payment is never due itself.
    " (SELECT d.next_attempt_at FROM webhook_delivery d"
    " WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending' AND NOT EXISTS ("
    "SELECT 1 FROM webhook_delivery p WHERE p.endpoint_id = d.endpoint_id"
    " AND p.payment_request_id = d.payment_request_id AND p.state = 'pending'"
    " AND p.sequence < d.sequence) ORDER BY d.next_attempt_at LIMIT 1) AS due_at"
    " FROM waiting w JOIN webhook_endpoint e ON e.endpoint_id = w.endpoint_id"
    " WHERE e.status = 'active' ORDER BY due_at"
)
CLAIM = (
    "UPDATE webhook_delivery SET attempts = attempts + 1, is_leased = true, next_attempt_at = ?,"
    " failures = CASE WHEN tried_since < ? THEN 0 ELSE failures END,"
    " tried_since = CASE WHEN tried_since >= ? THEN tried_since ELSE ? END"
    " WHERE endpoint_id = ? AND state = 'pending' AND next_attempt_at <= ? AND event_id IN ("
    "SELECT d.event_id FROM webhook_delivery d"
    " WHERE d.endpoint_id = ? AND d.state = 'pending' AND d.next_attempt_at <= ?"
    " AND NOT EXISTS (SELECT 1 FROM webhook_delivery p WHERE p.endpoint_id = d.endpoint_id"
    " AND p.payment_request_id = d.payment_request_id AND p.state = 'pending'"
    " AND p.sequence < d.sequence)"
    " ORDER BY d.next_attempt_at, d.created_at, d.sequence LIMIT ?)"
    f" RETURNING {COLUMNS}"
)
_MOVE_FOLLOWERS = (
    "UPDATE webhook_delivery SET next_attempt_at = ? WHERE endpoint_id = ?"
    " AND payment_request_id = ? AND state = 'pending' AND sequence > ? AND is_leased = false"
    " AND next_attempt_at {} ?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one endpoint. Times are aware UTC.

    Attributes:
        attempts: all that were begun.
        failures: since its first attempt, since its endpoint was resumed, or since it was replayed.
        tried_since: the first attempt since then.
        next_attempt_at: None once it is over.
        payload: what is sent; None where it is made of the merchant's event.
    """

    endpoint_id: str
    event_id: str
    payment_request_id: str
    sequence: int
    type: str
    created_at: datetime
    state: DeliveryState
    attempts: int
    failures: int
    tried_since: datetime | None
    next_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    delivered_at: datetime | None
    payload: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt, over."""

    attempt: int
    at: datetime
    duration_ms: int
    status: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """What is to be sent now; the lease is this process's."""

    endpoint: Endpoint
    delivery: Delivery
    event: MerchantEvent | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An active endpoint that something waits for."""

    endpoint_id: str
    is_failing: bool
    due_at: datetime


def delivery_values(event: MerchantEvent) -> tuple[Value, ...]:
    """The values of `INSERT_DELIVERIES`."""
    at, payment = to_microseconds(event.at), event.payment_request_id
    return (
        event.event_id,
        payment,
        event.sequence,
        event.type,
        at,
        payment,
        at,
        event.merchant_id,
        event.type,
    )


async def waiting_endpoints(store: Store) -> list[Waiting]:
    """Every active endpoint that something waits for, the most overdue first."""
    return [
        Waiting(
            row["endpoint_id"],
            row["failing_since"] is not None,
            from_microseconds(max(row["due_at"], row["not_before"])),
        )
        for row in await store.read(Sql(SELECT_WAITING_ENDPOINTS))
    ]


async def claim(
    store: Store, wanted: Mapping[str, int], now: datetime, lease: timedelta
) -> list[Claimed]:
    """Lease what is due, at most so many of each endpoint."""
    now_us, until_us = to_microseconds(now), to_microseconds(now + lease)

    def work() -> Transaction[list[Claimed]]:
        found: list[tuple[Endpoint, Row]] = []
        for endpoint_id, count in wanted.items():
            rows = yield Sql(
                f"{SELECT_ENDPOINT} AND status = ? AND not_before <= ?",
                (endpoint_id, EndpointStatus.ACTIVE.value, now_us),
            )
            if not rows:
                continue
            endpoint = to_endpoint(rows[0])
            since_us = to_microseconds(endpoint.active_since)
            fresh = (since_us, since_us, now_us)
            due = (endpoint_id, now_us)
            rows = yield Sql(CLAIM, (until_us, *fresh, *due, *due, count))
            found += [(endpoint, row) for row in rows]
        names = tuple({row["event_id"] for _, row in found if row["payload"] is None})
        events: dict[str, MerchantEvent] = {}
        if names:
            marks = ", ".join("?" * len(names))
            rows = yield Sql(f"SELECT * FROM merchant_event WHERE event_id IN ({marks})", names)
            events = {row["event_id"]: to_placed(row).event for row in rows}
        return [
            Claimed(endpoint, to_delivery(row), events.get(row["event_id"]))
            for endpoint, row in found
        ]

    return await store.transact(work)


async def settle(
    store: Store, delivery: Delivery, attempt: Attempt, verdict: Verdict, now: datetime
) -> bool:
    """Keep what became of an attempt, and what follows for its event, its payment's later events
    and its endpoint. A success counts also when the lease was over; a failure only while it is
    ours. Whether the verdict held: an endpoint that took something meanwhile is not paused.
    """
    key = (delivery.endpoint_id, delivery.event_id)
    is_taken = verdict.state is DeliveryState.DELIVERED
    next_us = _or_none(verdict.next_attempt_at)

    def work() -> Transaction[bool]:
        yield Sql(
            "INSERT INTO webhook_attempt (endpoint_id, event_id, attempt, at, duration_ms, status,"
            " error) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                *key,
                attempt.attempt,
                to_microseconds(attempt.at),
                attempt.duration_ms,
                attempt.status,
                attempt.error,
            ),
        )
        rows = yield Sql(
            "UPDATE webhook_delivery SET state = ?, failures = failures + ?, is_leased = false,"
            " next_attempt_at = ?, last_status = ?, last_error = ?, delivered_at = ?"
            f"{ONE} AND state = 'pending' AND (attempts = ? OR ?) RETURNING event_id",
            (
                verdict.state.value,
                0 if is_taken else 1,
                next_us,
                attempt.status,
                attempt.error,
                to_microseconds(now) if is_taken else None,
                *key,
                attempt.attempt,
                is_taken,
            ),
        )
        if rows:
            yield _followers(delivery, next_us, to_microseconds(now))
        if verdict.endpoint_status is not None:
            rows = yield _stopped(delivery.endpoint_id, verdict, attempt.at, now)
            if rows:
                return True
        yield _endpoint_after(delivery.endpoint_id, verdict, now)
        return verdict.endpoint_status is None

    return await store.transact(work)


def _followers(delivery: Delivery, next_us: int | None, now_us: int) -> Sql:
    """Later events of the payment wait as long as this one, and no longer."""
    at, sign = (now_us, ">") if next_us is None else (next_us, "<")
    values = (at, delivery.endpoint_id, delivery.payment_request_id, delivery.sequence, at)
    return Sql(_MOVE_FOLLOWERS.format(sign), values)


def _stopped(endpoint_id: str, verdict: Verdict, began: datetime, now: datetime) -> Sql:
    """Pause or disable it, unless it took something or was resumed since the attempt began."""
    assert verdict.endpoint_status is not None
    since = _or_none(verdict.failing_since)
    return Sql(
        "UPDATE webhook_endpoint SET status = ?, paused_reason = ?, changed_at = ?,"
        " failing_since = coalesce(failing_since, ?) WHERE endpoint_id = ? AND status = 'active'"
        " AND active_since <= ? AND (failing_since <= ? OR ?) RETURNING endpoint_id",
        (
            verdict.endpoint_status.value,
            verdict.paused_reason.value if verdict.paused_reason else None,
            to_microseconds(now),
            since,
            endpoint_id,
            to_microseconds(began),
            since,
            verdict.endpoint_status is EndpointStatus.DISABLED,
        ),
    )


def _endpoint_after(endpoint_id: str, verdict: Verdict, now: datetime) -> Sql:
    if verdict.state is DeliveryState.DELIVERED:
        return Sql(
            "UPDATE webhook_endpoint SET failing_since = NULL"
            " WHERE endpoint_id = ? AND failing_since IS NOT NULL AND status = 'active'",
            (endpoint_id,),
        )
    not_before = _or_none(verdict.not_before) or 0
    return Sql(
        "UPDATE webhook_endpoint SET failing_since = coalesce(failing_since, ?),"
        " not_before = CASE WHEN not_before < ? THEN ? ELSE not_before END"
        " WHERE endpoint_id = ? AND (failing_since IS NULL OR not_before < ?)",
        # From now on, where it took something since this attempt began.
        (to_microseconds(now), not_before, not_before, endpoint_id, not_before),
    )


async def hurry(store: Store, endpoint_id: str, now: datetime) -> None:
    """Make all that waits for an endpoint due, in the order in which it happened."""
    now_us = to_microseconds(now)

    def some() -> Transaction[int]:
        rows = yield Sql(
            "UPDATE webhook_delivery SET next_attempt_at = created_at"
            " WHERE endpoint_id = ? AND state = 'pending' AND is_leased = false AND event_id IN ("
            "SELECT event_id FROM webhook_delivery WHERE endpoint_id = ? AND state = 'pending'"
            " AND is_leased = false AND next_attempt_at > ? AND created_at <= ? LIMIT ?)"
            " RETURNING event_id",
            (endpoint_id, endpoint_id, now_us, now_us, MOVED_AT_ONCE),
        )
        return len(rows)

    while await store.transact(some) == MOVED_AT_ONCE:
        pass


async def give_up_all(store: Store, endpoint_id: str) -> None:
    """Nothing that waits for an endpoint is sent any more."""

    def some() -> Transaction[int]:
        rows = yield Sql(
            "UPDATE webhook_delivery SET state = 'given_up', next_attempt_at = NULL"
            " WHERE endpoint_id = ? AND state = 'pending' AND event_id IN (SELECT event_id"
            " FROM webhook_delivery WHERE endpoint_id = ? AND state = 'pending' LIMIT ?)"
            " RETURNING event_id",
            (endpoint_id, endpoint_id, MOVED_AT_ONCE),
        )
        return len(rows)

    while await store.transact(some) == MOVED_AT_ONCE:
        pass


def to_delivery(row: Row) -> Delivery:
    """Read a row of `webhook_delivery`."""
    return Delivery(
        endpoint_id=row["endpoint_id"],
        event_id=row["event_id"],
        payment_request_id=row["payment_request_id"],
        sequence=row["sequence"],
        type=row["type"],
        created_at=from_microseconds(row["created_at"]),
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        failures=row["failures"],
        tried_since=_time(row["tried_since"]),
        next_attempt_at=_time(row["next_attempt_at"]),
        last_status=row["last_status"],
        last_error=row["last_error"],
        delivered_at=_time(row["delivered_at"]),
        payload=row["payload"],
    )


def _or_none(at: datetime | None) -> int | None:
    return None if at is None else to_microseconds(at)


def _time(microseconds: Any) -> datetime | None:
    return None if microseconds is None else from_microseconds(microseconds)
