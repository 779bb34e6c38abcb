"""Where merchants want to be told: the endpoints, on either engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tillgate.core.webhooks import EndpointStatus, PausedReason
from tillgate.store import Row, Sql, Store, Transaction
from tillgate.store.registry import Noting
from tillgate.store.rows import from_microseconds, to_microseconds

DELETED_AT_ONCE = 500
"""Rows of one commit: about 10 ms, then everybody else has a turn. Ours."""

_COLUMNS = (
    "endpoint_id, merchant_id, url, description, event_types, secrets, status, paused_reason,"
    " failing_since, not_before, active_since, created_at, changed_at"
)
Changes = Mapping[str, str | tuple[str, ...] | None]
"""Of `url`, `description` and `event_types` those that change."""
SELECT_ENDPOINT = f"SELECT {_COLUMNS} FROM webhook_endpoint WHERE endpoint_id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint. Times are aware UTC.

    Attributes:
        event_types: None for all, also those that come to be.
        secrets: sealed.
        failing_since: its first failure since it last took anything.
        not_before: nothing is sent earlier.
        active_since: since it was made or last resumed: each event has its three days from there.
    """

    endpoint_id: str
    merchant_id: str
    url: str
    description: str | None
    event_types: tuple[str, ...] | None
    secrets: bytes
    status: EndpointStatus = EndpointStatus.ACTIVE
    paused_reason: PausedReason | None = None
    failing_since: datetime | None = None
    not_before: datetime | None = None
    active_since: datetime
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class UrlTaken:
    """The merchant has an endpoint with this address; nothing was saved."""

    endpoint_id: str


@dataclass(frozen=True, slots=True)
class TooMany:
    """The merchant has as many as one may have; nothing was saved."""


async def create_endpoint(
    store: Store, endpoint: Endpoint, at_most: int, noting: Noting | None = None
) -> Endpoint | UrlTaken | TooMany:
    """Save a new one."""
    values = (
        endpoint.endpoint_id,
        endpoint.merchant_id,
        endpoint.url,
        endpoint.description,
        _written(endpoint.event_types),
        endpoint.secrets,
        endpoint.status.value,
        to_microseconds(endpoint.active_since),
        to_microseconds(endpoint.created_at),
        to_microseconds(endpoint.changed_at),
    )

    def work() -> Transaction[Endpoint | UrlTaken | TooMany]:
        rows = yield Sql(
            "SELECT endpoint_id, url FROM webhook_endpoint WHERE merchant_id = ?",
            (endpoint.merchant_id,),
        )
        for row in rows:
            if row["url"] == endpoint.url:
                return UrlTaken(row["endpoint_id"])
        if len(rows) >= at_most:
            return TooMany()
        # Two at the same moment: the second is told by the unique address.
        yield Sql(
            "INSERT INTO webhook_endpoint (endpoint_id, merchant_id, url, description,"
            " event_types, secrets, status, active_since, created_at, changed_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        if noting:
            yield noting.row(
                endpoint.endpoint_id,
                {
                    "merchant_id": endpoint.merchant_id,
                    "url": endpoint.url,
                    "event_types": endpoint.event_types,
                },
            )
        return endpoint

    return await store.transact(work)


async def load_endpoint(store: Store, endpoint_id: str) -> Endpoint | None:
    """The endpoint as last saved."""
    rows = await store.read(Sql(SELECT_ENDPOINT, (endpoint_id,)))
    return to_endpoint(rows[0]) if rows else None


async def list_endpoints(
    store: Store, merchant_id: str | None, *, after: str = "", limit: int
) -> list[Endpoint]:
    """Those of a merchant, or of all, oldest first, behind the one of that id."""
    whose = "" if merchant_id is None else " AND merchant_id = ?"
    values = (after, limit) if merchant_id is None else (after, merchant_id, limit)
    rows = await store.read(
        Sql(
            f"SELECT {_COLUMNS} FROM webhook_endpoint WHERE endpoint_id > ?{whose}"
            " ORDER BY endpoint_id LIMIT ?",
            values,
        )
    )
    return [to_endpoint(row) for row in rows]


async def change_endpoint(
    store: Store,
    endpoint_id: str,
    now: datetime,
    changes: Changes,
    noting: Noting | None = None,
) -> Endpoint | UrlTaken | None:
    """Replace what its merchant says of it; None where there is none (any more)."""
    given = {name: _column(value) for name, value in changes.items()}

    def work() -> Transaction[Endpoint | UrlTaken | None]:
        rows = yield Sql(SELECT_ENDPOINT, (endpoint_id,))
        if not rows:
            return None
        before = to_endpoint(rows[0])
        rows = yield Sql(
            "SELECT endpoint_id FROM webhook_endpoint"
            " WHERE merchant_id = ? AND url = ? AND endpoint_id <> ?",
            (before.merchant_id, given.get("url"), endpoint_id),
        )
        if rows:
            return UrlTaken(rows[0]["endpoint_id"])
        columns = "".join(f"{name} = ?, " for name in given)
        rows = yield Sql(
            f"UPDATE webhook_endpoint SET {columns}changed_at = ?"
            f" WHERE endpoint_id = ? RETURNING {_COLUMNS}",
            (*given.values(), to_microseconds(now), endpoint_id),
        )
        after = to_endpoint(rows[0])
        if noting:
            yield noting.row(
                endpoint_id,
                {
                    name: {"before": getattr(before, name), "after": getattr(after, name)}
                    for name in given
                },
            )
        return after

    return await store.transact(work)


async def replace_secrets(
    store: Store,
    endpoint_id: str,
    before: bytes,
    after: bytes,
    now: datetime,
    noting: Noting | None = None,
) -> Endpoint | None:
    """Replace the sealed secrets; None where they are not those from before (any more)."""

    def work() -> Transaction[Endpoint | None]:
        rows = yield Sql(
            "UPDATE webhook_endpoint SET secrets = ?, changed_at = ?"
            f" WHERE endpoint_id = ? AND secrets = ? RETURNING {_COLUMNS}",
            (after, to_microseconds(now), endpoint_id, before),
        )
        if not rows:
            return None
        if noting:
            yield noting.row(endpoint_id, {})
        return to_endpoint(rows[0])

    return await store.transact(work)


async def pause_endpoint(
    store: Store, endpoint_id: str, now: datetime, noting: Noting | None = None
) -> Endpoint | None:
    """Send nothing there; what happens is kept. Does nothing to one that is not active."""
    paused = "status = ?, paused_reason = ?, changed_at = ?"
    values = (EndpointStatus.PAUSED.value, PausedReason.MERCHANT.value, to_microseconds(now))

    def work() -> Transaction[Endpoint | None]:
        rows = yield Sql(SELECT_ENDPOINT, (endpoint_id,))
        if not rows or rows[0]["status"] != EndpointStatus.ACTIVE.value:
            return to_endpoint(rows[0]) if rows else None
        return (yield from _set(endpoint_id, paused, values, rows[0]["status"], noting))

    return await store.transact(work)


async def activate_endpoint(
    store: Store, endpoint_id: str, now: datetime, noting: Noting | None = None
) -> Endpoint | None:
    """Send there (again), and forget that it failed."""
    active = (
        "status = ?, paused_reason = NULL, failing_since = NULL, not_before = 0,"
        " active_since = ?, changed_at = ?"
    )
    values = (EndpointStatus.ACTIVE.value, to_microseconds(now), to_microseconds(now))

    def work() -> Transaction[Endpoint | None]:
        rows = yield Sql(SELECT_ENDPOINT, (endpoint_id,))
        if not rows:
            return None
        return (yield from _set(endpoint_id, active, values, rows[0]["status"], noting))

    return await store.transact(work)


def _set(
    endpoint_id: str, columns: str, values: Sequence[Any], before: str, noting: Noting | None
) -> Transaction[Endpoint]:
    rows = yield Sql(
        f"UPDATE webhook_endpoint SET {columns} WHERE endpoint_id = ? RETURNING {_COLUMNS}",
        (*values, endpoint_id),
    )
    after = to_endpoint(rows[0])
    if noting:
        change = {"before": before, "after": after.status.value}
        yield noting.row(endpoint_id, {"status": change})
    return after


async def delete_endpoint(store: Store, endpoint_id: str, noting: Noting | None = None) -> None:
    """Delete it at once, and then all that was kept for it, some at a time."""

    def endpoint() -> Transaction[None]:
        rows = yield Sql(
            "DELETE FROM webhook_endpoint WHERE endpoint_id = ? RETURNING merchant_id, url",
            (endpoint_id,),
        )
        if rows and noting:
            yield noting.row(endpoint_id, dict(rows[0]))

    await store.transact(endpoint)
    for table, key in (
        ("webhook_attempt", "event_id, attempt"),
        ("webhook_delivery", "event_id"),
    ):

        def some(table: str = table, key: str = key) -> Transaction[int]:
            rows = yield Sql(
                f"DELETE FROM {table} WHERE endpoint_id = ? AND ({key}) IN"
                f" (SELECT {key} FROM {table} WHERE endpoint_id = ? LIMIT ?) RETURNING event_id",
                (endpoint_id, endpoint_id, DELETED_AT_ONCE),
            )
            return len(rows)

        while await store.transact(some) == DELETED_AT_ONCE:
            pass


def to_endpoint(row: Row) -> Endpoint:
    """Read a row of `webhook_endpoint`."""
    types: str | None = row["event_types"]
    return Endpoint(
        endpoint_id=row["endpoint_id"],
        merchant_id=row["merchant_id"],
        url=row["url"],
        description=row["description"],
        event_types=tuple(types.split()) if types is not None else None,
        secrets=row["secrets"],
        status=EndpointStatus(row["status"]),
        paused_reason=PausedReason(row["paused_reason"]) if row["paused_reason"] else None,
        failing_since=_time(row["failing_since"]),
        not_before=_time(row["not_before"]),
        active_since=from_microseconds(row["active_since"]),
        created_at=from_microseconds(row["created_at"]),
        changed_at=from_microseconds(row["changed_at"]),
    )


def _column(value: str | tuple[str, ...] | None) -> str | None:
    return _written(value) if isinstance(value, tuple) else value


def _written(types: Sequence[str] | None) -> str | None:
    """Each between spaces, so that a statement finds it with LIKE."""
    return None if types is None else f" {' '.join(types)} "


def _time(microseconds: Any) -> datetime | None:
    return from_microseconds(microseconds) if microseconds else None
