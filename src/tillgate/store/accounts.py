"""People who sign in, and their sessions. Administrative changes are audited in their commit.

A session's token is never kept, only its hash; a password only as Argon2id made it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tillgate.core.access import Caller, Role
from tillgate.core.errors import AlreadyThere, NotThere
from tillgate.core.lockout import wait_after
from tillgate.store import Row, Sql, Transaction
from tillgate.store import Store as Database
from tillgate.store.registry import Act, audit_row, demand_place
from tillgate.store.rows import from_microseconds, to_microseconds

_ROLES = {role.value: role for role in Role}
_COLUMNS = (
    "account.account_id, name, password_hash, roles, merchant_id, store_id, terminal_id,"
    " totp_secret, totp_used, failures, waits_until, is_closed, created_at, signed_in_at"
)
_BY_NAME = f"SELECT {_COLUMNS} FROM account WHERE name = ?"
_INSERT = (
    "INSERT INTO account (account_id, name, password_hash, roles, merchant_id, store_id,"
    " terminal_id, failures, is_closed, created_at, changed_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING account_id"
)
_BY_SESSION = (
    f"SELECT {_COLUMNS}, opened_at, seen_at, ends_at FROM session"
    " JOIN account ON account.account_id = session.account_id WHERE session_hash = ?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who may sign in. Times are aware UTC.

    Attributes:
        name: as they type it, in lower case.
        totp_secret: sealed; None asks for no one-time code.
        totp_used: the step of the last one-time code that was taken.
        failures: wrong passwords since the last right one.
        waits_until: no try counts before.
    """

    account_id: str
    name: str
    password_hash: str
    roles: frozenset[Role]
    merchant_id: str | None = None
    store_id: str | None = None
    terminal_id: str | None = None
    totp_secret: bytes | None = None
    totp_used: int | None = None
    failures: int = 0
    waits_until: datetime | None = None
    is_closed: bool = False
    created_at: datetime
    signed_in_at: datetime | None = None

    def caller(self) -> Caller:
        """What the person may do, as a caller of the API."""
        is_operator = Role.OPERATOR in self.roles
        return Caller(
            key_id=self.account_id,
            roles=self.roles,
            merchant_id=self.merchant_id,
            store_id=self.store_id,
            terminal_id=self.terminal_id,
            operator_id=self.name if is_operator else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sign-in. It ends at `ends_at` whatever is done in it."""

    account: Account
    opened_at: datetime
    seen_at: datetime
    ends_at: datetime


async def add_account(database: Database, account: Account, act: Act) -> None:
    """A new account.

    Raises:
        AlreadyThere: there is one with this name.
        NotThere: it is for a merchant, store or terminal that there is not.
    """
    at = to_microseconds(act.at)
    place = (account.merchant_id, account.store_id, account.terminal_id)

    def work() -> Transaction[None]:
        yield from demand_place(*place)
        roles = ",".join(sorted(account.roles))
        values = (account.account_id, account.name, account.password_hash, roles, *place)
        if not (yield Sql(_INSERT, (*values, account.is_closed, at, at))):
            raise AlreadyThere(f"There is an account {account.name!r} already.")
        detail = {"roles": sorted(account.roles), "place": [each for each in place if each]}
        yield audit_row(act, "user.add", account.name, detail)

    await database.transact(work)


async def load_accounts(database: Database, after: str, limit: int) -> list[Account]:
    """Accounts by name, closed ones too; `after` is the name before."""
    text = f"SELECT {_COLUMNS} FROM account WHERE name > ? ORDER BY name LIMIT ?"
    return [_account(row) for row in await database.report(Sql(text, (after, limit)))]


async def load_account(database: Database, name: str) -> Account | None:
    """The account of that name."""
    rows = await database.read(Sql(_BY_NAME, (name,)))
    return _account(rows[0]) if rows else None


async def change_account(
    database: Database, name: str, what: str, changes: dict[str, Any], act: Act
) -> Account:
    """New values for columns of an account; every session of it ends, and its wait too.

    Args:
        database: of either engine.
        name: whose.
        what: how the audit calls it; values are never in it.
        changes: by column.
        act: who does it.

    Raises:
        NotThere: there is no such account.
    """
    given = {**changes, "failures": 0, "waits_until": None, "changed_at": to_microseconds(act.at)}

    def work() -> Transaction[Account]:
        rows = yield Sql(_BY_NAME, (name,))
        if not rows:
            raise NotThere(f"There is no account {name!r}.")
        names = ", ".join(f"{column} = ?" for column in given)
        account_id = rows[0]["account_id"]
        yield Sql(f"UPDATE account SET {names} WHERE account_id = ?", (*given.values(), account_id))
        yield Sql("DELETE FROM session WHERE account_id = ?", (account_id,))
        yield audit_row(act, what, name, {})
        [row] = yield Sql(_BY_NAME, (name,))
        return _account(row)

    return await database.transact(work)


async def count_try(database: Database, name: str, now: datetime) -> Account | None:
    """Count a try as a wrong one before its password is looked at, so that many at once are all
    counted; the account as it was before.

    Returns:
        None where nobody may try now: there is no such account, it is closed, or it waits.
    """

    def work() -> Transaction[Account | None]:
        rows = yield Sql(_BY_NAME, (name,))
        account = _account(rows[0]) if rows else None
        if account is None or account.is_closed:
            return None
        if account.waits_until is not None and now < account.waits_until:
            return None
        failures = account.failures + 1
        waits_until = to_microseconds(now + wait_after(failures))
        yield Sql(
            "UPDATE account SET failures = ?, waits_until = ? WHERE account_id = ?",
            (failures, waits_until, account.account_id),
        )
        return account

    return await database.transact(work)


async def open_session(
    database: Database,
    account: Account,
    session_hash: str,
    ends_at: datetime,
    totp_step: int | None,
    act: Act,
) -> bool:
    """Sign in: the tries are forgotten, the one-time code is used up, old sessions are removed.

    Returns:
        False where the code was used up meanwhile, or the account was closed or changed.
    """
    at = to_microseconds(act.at)

    def work() -> Transaction[bool]:
        taken = yield Sql(
            "UPDATE account SET failures = 0, waits_until = NULL, signed_in_at = ?,"
            " totp_used = coalesce(?, totp_used) WHERE account_id = ? AND password_hash = ?"
            " AND NOT is_closed AND (CAST(? AS BIGINT) IS NULL OR totp_used IS NULL"
            " OR totp_used < ?) RETURNING account_id",
            (at, totp_step, account.account_id, account.password_hash, totp_step, totp_step),
        )
        if not taken:
            return False
        yield Sql(
            "DELETE FROM session WHERE account_id = ? AND ends_at < ?", (account.account_id, at)
        )
        yield Sql(
            "INSERT INTO session (session_hash, account_id, opened_at, seen_at, ends_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (session_hash, account.account_id, at, at, to_microseconds(ends_at)),
        )
        yield audit_row(act, "user.sign_in", account.name, {})
        return True

    return await database.transact(work)


async def load_session(database: Database, session_hash: str) -> Session | None:
    """The session with its account as it is now; whether it is over is the caller's to say."""
    rows = await database.read(Sql(_BY_SESSION, (session_hash,)))
    if not rows:
        return None
    times = {name: from_microseconds(rows[0][name]) for name in ("opened_at", "seen_at", "ends_at")}
    return Session(account=_account(rows[0]), **times)


async def note_seen(database: Database, session_hash: str, now: datetime) -> None:
    """It is in use."""

    def work() -> Transaction[None]:
        text = "UPDATE session SET seen_at = ? WHERE session_hash = ?"
        yield Sql(text, (to_microseconds(now), session_hash))

    await database.transact(work)


async def close_session(database: Database, session_hash: str) -> None:
    """Sign out. The same again is harmless."""

    def work() -> Transaction[None]:
        yield Sql("DELETE FROM session WHERE session_hash = ?", (session_hash,))

    await database.transact(work)


def roles_of(names: Iterable[str]) -> frozenset[Role]:
    """Roles by their names; one of a later release opens nothing here."""
    return frozenset(_ROLES[name] for name in names if name in _ROLES)


def _account(row: Row) -> Account:
    def time(name: str) -> datetime | None:
        return None if row[name] is None else from_microseconds(row[name])

    return Account(
        account_id=row["account_id"],
        name=row["name"],
        password_hash=row["password_hash"],
        roles=roles_of(row["roles"].split(",")),
        merchant_id=row["merchant_id"],
        store_id=row["store_id"],
        terminal_id=row["terminal_id"],
        totp_secret=None if row["totp_secret"] is None else bytes(row["totp_secret"]),
        totp_used=row["totp_used"],
        failures=row["failures"],
        waits_until=time("waits_until"),
        is_closed=bool(row["is_closed"]),
        created_at=from_microseconds(row["created_at"]),
        signed_in_at=time("signed_in_at"),
    )
