"""The registry in the store: merchants, stores, terminals, keys, and the audit of every change.

A change, its audit row and the registry's next version are one commit. Each process keeps a
`Directory` in memory and reads it anew when the version has moved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import msgspec

from tillgate.core.access import Caller, Role
from tillgate.core.errors import AlreadyThere, NotThere
from tillgate.merchants import ApiKey, Directory, Merchant, Store, Terminal
from tillgate.store import Row, Sql, Transaction
from tillgate.store import Store as Database
from tillgate.store.rows import from_microseconds, to_microseconds

T = TypeVar("T")

_VERSION = Sql("SELECT version FROM registry_version")
_NEXT_VERSION = Sql("UPDATE registry_version SET version = version + 1 RETURNING version")
_CLAIM_EMPTY = Sql("UPDATE registry_version SET version = 1 WHERE version = 0 RETURNING version")
_AUDIT = (
    "INSERT INTO audit_log (at, key_id, operator_id, address, act, subject, detail)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_MERCHANT = (
    "INSERT INTO merchant (merchant_id, name, mcc, region, city, settlement_currency, is_closed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING merchant_id"
)
_INSERT_STORE = (
    "INSERT INTO store (merchant_id, store_id, name, mcc, is_closed)"
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING store_id"
)
_INSERT_TERMINAL = (
    "INSERT INTO terminal (merchant_id, store_id, terminal_id, is_closed)"
    " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING terminal_id"
)
_INSERT_KEY = (
    "INSERT INTO api_key (key_id, key_hash, roles, merchant_id, store_id, terminal_id,"
    " operator_id, label, created_at, expires_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING key_id"
)
_ROLES = {role.value: role for role in Role}
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who does something, when, and from where.

    Attributes:
        key_id: the operator's key; empty for what this process does by itself.
        address: the other end of the connection.
    """

    at: datetime
    key_id: str
    operator_id: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A key with what an operator wants to know of it. Times are aware UTC."""

    key: ApiKey
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One administrative act. `detail` is JSON without secrets."""

    id: int
    at: datetime
    key_id: str
    operator_id: str
    address: str
    act: str
    subject: str
    detail: bytes


async def version_of(database: Database) -> int:
    """The registry's version: one more with each change."""
    [row] = await database.read(_VERSION)
    return int(row["version"])


async def load_directory(database: Database) -> tuple[int, Directory]:
    """Everything, as of one version.

    The version is read first: what is changed meanwhile leads to one more reading, never to none.
    """
    version = await version_of(database)
    terminals: dict[tuple[str, str], dict[str, Terminal]] = {}
    for row in await database.read(Sql("SELECT * FROM terminal ORDER BY terminal_id")):
        place = terminals.setdefault((row["merchant_id"], row["store_id"]), {})
        place[row["terminal_id"]] = Terminal(row["terminal_id"], bool(row["is_closed"]))
    stores: dict[str, dict[str, Store]] = {}
    for row in await database.read(Sql("SELECT * FROM store ORDER BY store_id")):
        stores.setdefault(row["merchant_id"], {})[row["store_id"]] = Store(
            id=row["store_id"],
            name=row["name"],
            mcc=row["mcc"],
            terminals=terminals.get((row["merchant_id"], row["store_id"]), {}),
            is_closed=bool(row["is_closed"]),
        )
    merchants = {
        row["merchant_id"]: Merchant(
            id=row["merchant_id"],
            name=row["name"],
            mcc=row["mcc"],
            region=row["region"],
            city=row["city"],
            settlement_currency=row["settlement_currency"],
            stores=stores.get(row["merchant_id"], {}),
            is_closed=bool(row["is_closed"]),
        )
        for row in await database.read(Sql("SELECT * FROM merchant ORDER BY merchant_id"))
    }
    keys = await database.read(Sql("SELECT * FROM api_key WHERE revoked_at IS NULL"))
    return version, Directory(merchants, tuple(_api_key(row) for row in keys))


async def import_directory(database: Database, directory: Directory, act: Act) -> bool:
    """Fill an empty registry, all of it or nothing; whether it was empty."""

    def work() -> Transaction[bool]:
        # Two nodes may start at once: the row is one's, and the other one finds it taken.
        if not (yield _CLAIM_EMPTY):
            return False
        for merchant in directory.merchants.values():
            yield from _insert_merchant(merchant)
            for store in merchant.stores.values():
                yield from _insert_store(merchant.id, store)
                for terminal in store.terminals.values():
                    yield Sql(_INSERT_TERMINAL, (merchant.id, store.id, terminal.id, False))
        for key in directory.keys:
            yield from _insert_key(key, act.at)
        detail = {"merchants": len(directory.merchants), "keys": len(directory.keys)}
        yield audit_row(act, "registry.import", "", detail)
        return True

    return await database.transact(work)


async def add_merchant(database: Database, merchant: Merchant, act: Act) -> None:
    """A new merchant, without stores.

    Raises:
        AlreadyThere: there is one with this id.
    """
    detail = {"name": merchant.name, "region": merchant.region}
    await _add(
        database, lambda: _insert_merchant(merchant), act, "merchant.add", merchant.id, detail
    )


async def add_store(database: Database, merchant_id: str, store: Store, act: Act) -> None:
    """A new store, without terminals.

    Raises:
        AlreadyThere: there is one with this id.
        NotThere: there is no such merchant.
    """

    def insert() -> Transaction[Sequence[Row]]:
        yield from _demand("merchant", merchant_id=merchant_id)
        return (yield from _insert_store(merchant_id, store))

    subject = f"{merchant_id}/{store.id}"
    await _add(database, insert, act, "store.add", subject, {"name": store.name})


async def add_terminal(
    database: Database, merchant_id: str, store_id: str, terminal_id: str, act: Act
) -> None:
    """A new terminal.

    Raises:
        AlreadyThere: there is one with this id.
        NotThere: there is no such store.
    """

    def insert() -> Transaction[Sequence[Row]]:
        yield from _demand("store", merchant_id=merchant_id, store_id=store_id)
        return (yield Sql(_INSERT_TERMINAL, (merchant_id, store_id, terminal_id, False)))

    subject = f"{merchant_id}/{store_id}/{terminal_id}"
    await _add(database, insert, act, "terminal.add", subject, {})


async def change(
    database: Database, table: str, ids: dict[str, str], changes: dict[str, str | bool], act: Act
) -> None:
    """New values for a merchant, a store or a terminal; what was there stands in the audit.

    `ids` is the whole primary key and `changes` at least one other column, each with its value.

    Raises:
        NotThere: there is no such row.
    """

    def work() -> Transaction[None]:
        row = yield from _demand(table, **ids)
        names = ", ".join(f"{name} = ?" for name in changes)
        where = " AND ".join(f"{name} = ?" for name in ids)
        text = f"UPDATE {table} SET {names} WHERE {where}"
        yield Sql(text, (*changes.values(), *ids.values()))
        detail = {
            name: {"before": type(value)(row[name] or ""), "after": value}
            for name, value in changes.items()
        }
        yield from _note(act, f"{table}.change", "/".join(ids.values()), detail)

    await database.transact(work)


async def add_key(database: Database, key: ApiKey, act: Act) -> None:
    """A new key.

    Raises:
        NotThere: it is for a merchant, store or terminal that there is not.
    """

    def work() -> Transaction[None]:
        caller = key.caller
        yield from demand_place(caller.merchant_id, caller.store_id, caller.terminal_id)
        yield from _insert_key(key, act.at)
        yield from _note(act, "key.add", caller.key_id, _described(key))

    await database.transact(work)


async def rotate_key(
    database: Database, key_id: str, new_hash: str, new_id: str, until: datetime, act: Act
) -> ApiKey:
    """A new key for the same; the old one opens until then, and never longer than before.

    Raises:
        NotThere: there is no such key, or it opens nothing any more.
    """

    def work() -> Transaction[ApiKey]:
        row = yield from _open_key(key_id, act.at)
        old = _api_key(row)
        caller = replace(old.caller, key_id=new_id)
        new = replace(old, caller=caller, key_hash=new_hash)
        ends = until if old.expires_at is None else min(until, old.expires_at)
        yield from _insert_key(new, act.at)
        yield Sql(
            "UPDATE api_key SET expires_at = ? WHERE key_id = ?", (to_microseconds(ends), key_id)
        )
        detail = {"new": new_id, "old_until": ends.isoformat()}
        yield from _note(act, "key.rotate", key_id, detail)
        return new

    return await database.transact(work)


async def revoke_key(database: Database, key_id: str, act: Act) -> None:
    """The key opens nothing any more. The same again is harmless.

    Raises:
        NotThere: there is no such key.
    """

    def work() -> Transaction[None]:
        row = yield from _demand("api_key", key_id=key_id)
        if row["revoked_at"] is not None:
            return
        yield Sql(
            "UPDATE api_key SET revoked_at = ? WHERE key_id = ?", (to_microseconds(act.at), key_id)
        )
        yield from _note(act, "key.revoke", key_id, {})

    await database.transact(work)


async def note_uses(database: Database, used: dict[str, datetime]) -> None:
    """When each key was last used."""

    def work() -> Transaction[None]:
        for key_id, at in sorted(used.items()):
            yield Sql(
                "UPDATE api_key SET last_used_at = ? WHERE key_id = ?",
                (to_microseconds(at), key_id),
            )

    await database.transact(work)


async def load_keys(
    database: Database, merchant_id: str | None, after: str, limit: int
) -> list[KeyRow]:
    """Keys by id, revoked ones too; `after` is the id before."""
    rows = await database.report(
        Sql(
            "SELECT * FROM api_key WHERE key_id > ? AND"
            " (CAST(? AS TEXT) IS NULL OR merchant_id = ?) ORDER BY key_id LIMIT ?",
            (after, merchant_id, merchant_id, limit),
        )
    )
    return [
        KeyRow(
            key=_api_key(row),
            created_at=from_microseconds(row["created_at"]),
            revoked_at=_time(row["revoked_at"]),
            last_used_at=_time(row["last_used_at"]),
        )
        for row in rows
    ]


async def load_audit(database: Database, before: int | None, limit: int) -> list[AuditRow]:
    """The newest acts, from before that one on."""
    rows = await database.report(
        Sql(
            "SELECT * FROM audit_log WHERE id < ? ORDER BY id DESC LIMIT ?",
            (2**62 if before is None else before, limit),
        )
    )
    return [
        AuditRow(
            id=row["id"],
            at=from_microseconds(row["at"]),
            key_id=row["key_id"],
            operator_id=row["operator_id"],
            address=row["address"],
            act=row["act"],
            subject=row["subject"],
            detail=row["detail"],
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Noting:
    """An act that is noted in the very commit that does it."""

    act: Act
    what: str

    def row(self, subject: str, detail: object) -> Sql:
        """The statement that notes it."""
        return audit_row(self.act, self.what, subject, detail)


async def audit(database: Database, act: Act, what: str, subject: str, detail: object) -> None:
    """Note an act that changes nothing of the registry."""

    def work() -> Transaction[None]:
        yield audit_row(act, what, subject, detail)

    await database.transact(work)


async def _add(
    database: Database,
    insert: Callable[[], Transaction[Sequence[Row]]],
    act: Act,
    what: str,
    subject: str,
    detail: object,
) -> None:
    def work() -> Transaction[None]:
        if not (yield from insert()):
            raise AlreadyThere(f"{subject} is there already.")
        yield from _note(act, what, subject, detail)

    await database.transact(work)


def _note(act: Act, what: str, subject: str, detail: object) -> Transaction[None]:
    yield audit_row(act, what, subject, detail)
    yield _NEXT_VERSION


def audit_row(act: Act, what: str, subject: str, detail: object) -> Sql:
    """The statement that notes an act, for whoever changes something in the same commit."""
    at, said = to_microseconds(act.at), _encoder.encode(detail)
    return Sql(_AUDIT, (at, act.key_id, act.operator_id, act.address, what, subject, said))


def _demand(table: str, **ids: str) -> Transaction[Row]:
    where = " AND ".join(f"{name} = ?" for name in ids)
    rows = yield Sql(f"SELECT * FROM {table} WHERE {where}", tuple(ids.values()))
    if not rows:
        raise NotThere(f"There is no {table.replace('_', ' ')} {'/'.join(ids.values())}.")
    return rows[0]


def demand_place(
    merchant_id: str | None, store_id: str | None, terminal_id: str | None
) -> Transaction[None]:
    """Go on only where there is such a merchant, store or terminal; None is no narrower place.

    Raises:
        NotThere: there is none.
    """
    places = (("merchant_id", merchant_id), ("store_id", store_id), ("terminal_id", terminal_id))
    ids = {name: value for name, value in places if value is not None}
    if ids:
        yield from _demand(("", "merchant", "store", "terminal")[len(ids)], **ids)


def _open_key(key_id: str, now: datetime) -> Transaction[Row]:
    row = yield from _demand("api_key", key_id=key_id)
    expires_at = row["expires_at"]
    if row["revoked_at"] is not None or (
        expires_at is not None and expires_at <= to_microseconds(now)
    ):
        raise NotThere(f"The key {key_id} opens nothing any more: make a new one.")
    return row


def _insert_merchant(merchant: Merchant) -> Transaction[Sequence[Row]]:
    return (
        yield Sql(
            _INSERT_MERCHANT,
            (
                merchant.id,
                merchant.name,
                merchant.mcc,
                merchant.region,
                merchant.city,
                merchant.settlement_currency,
                merchant.is_closed,
            ),
        )
    )


def _insert_store(merchant_id: str, store: Store) -> Transaction[Sequence[Row]]:
    values = (merchant_id, store.id, store.name, store.mcc, store.is_closed)
    return (yield Sql(_INSERT_STORE, values))


def _insert_key(key: ApiKey, now: datetime) -> Transaction[None]:
    caller = key.caller
    rows = yield Sql(
        _INSERT_KEY,
        (
            caller.key_id,
            key.key_hash,
            ",".join(sorted(caller.roles)),
            caller.merchant_id,
            caller.store_id,
            caller.terminal_id,
            caller.operator_id,
            key.label,
            to_microseconds(now),
            to_microseconds(key.expires_at) if key.expires_at else None,
        ),
    )
    if not rows:
        raise AlreadyThere(f"The key {caller.key_id} is there already.")


def _api_key(row: Row) -> ApiKey:
    caller = Caller(
        key_id=row["key_id"],
        # A role of a later release opens nothing here, and keeps no other key from being read.
        roles=frozenset(_ROLES[role] for role in row["roles"].split(",") if role in _ROLES),
        merchant_id=row["merchant_id"],
        store_id=row["store_id"],
        terminal_id=row["terminal_id"],
        operator_id=row["operator_id"],
    )
    return ApiKey(
        caller=caller,
        key_hash=row["key_hash"],
        expires_at=_time(row["expires_at"]),
        label=row["label"],
    )


def _described(key: ApiKey) -> dict[str, object]:
    caller = key.caller
    return {
        "roles": sorted(caller.roles),
        "merchant": caller.merchant_id,
        "store": caller.store_id,
        "terminal": caller.terminal_id,
        "operator": caller.operator_id,
        "label": key.label,
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
    }


def _time(value: int | None) -> datetime | None:
    return None if value is None else from_microseconds(value)
