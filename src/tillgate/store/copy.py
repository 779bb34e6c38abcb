"""`tillgate db copy`: everything from a SQLite file into an empty PostgreSQL database.

The file stays locked, so no gateway writes to it meanwhile. Each batch goes in with a note of how
far it went, in one transaction: whoever runs the copy again after it was stopped goes on from
there. Until all of it is there and was compared, no gateway serves from the target.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Boolean, LargeBinary, Table

from tillgate.core.errors import StoreError
from tillgate.store.file_lock import take_lock
from tillgate.store.migrate import COPYING, HEAD
from tillgate.store.migrate import revision_of as sqlite_revision
from tillgate.store.migrate_postgres import check_positions, has_pooler, prepare, revision_of
from tillgate.store.postgres_connections import FAULTS, Connection, connect, hang_up, store_error
from tillgate.store.postgres_url import PostgresUrl
from tillgate.store.schema import metadata
from tillgate.store.upkeep import SqliteDatabase

BATCH = 5000
"""Rows of one transaction."""
LOCK = 0x74696C6C636F7079
"""Of the target while it is copied into: `tillcopy` in ASCII."""
_NOTES = "tillgate_copy"
_MADE_BY_MIGRATIONS = {"registry_version"}
"""Tables that hold a row from the beginning."""

Progress = Callable[[str, str, int, int], None]
"""Is told what is done (`copy` or `compare`), to which table, how many rows of how many."""
_encoder = msgspec.json.Encoder()


async def copy(
    source: Path, target: PostgresUrl, progress: Progress, batch: int = BATCH
) -> dict[str, int]:
    """Copy and compare; rows by table.

    Raises:
        StoreInUse: a gateway serves from the file.
        StoreError: the file is of another release, the target holds other data, a value cannot be
            copied, or what is there in the end is not the same. The target serves nobody then.
    """
    lock = take_lock(source, is_new=False)
    try:
        revision = sqlite_revision(source)
        if revision != HEAD:
            raise StoreError(
                f"{source} has schema {revision or 'missing'}, this release {HEAD}:"
                f" run tillgate db upgrade --store sqlite:{source} first"
            )
        database = SqliteDatabase(source)
        try:
            return await _Copy(database.connection, source, target, progress, batch).run()
        except FAULTS as error:
            raise store_error(error, target) from None
        except sqlite3.Error as error:
            raise StoreError(f"{source} could not be read: {error}") from None
        finally:
            database.connection.close()
    finally:
        os.close(lock)


class _Copy:
    """One run, with what it needs."""

    def __init__(
        self,
        source: sqlite3.Connection,
        path: Path,
        target: PostgresUrl,
        progress: Progress,
        batch: int,
    ) -> None:
        self._source = source
        self._path = path
        self._url = target
        self._progress = progress
        self._batch = batch

    async def run(self) -> dict[str, int]:
        """See `copy`."""
        async with self._target() as target:
            await self._begin(target)
            for table in metadata.sorted_tables:
                await self._copy_table(target, table)
            counts = await self._compare(target)
            await self._end(target)
            return counts

    @asynccontextmanager
    async def _target(self) -> AsyncIterator[Connection]:
        connection = await connect(replace(self._url, is_pooled=True), {})
        try:
            if self._url.is_pooled or await has_pooler(connection, self._url):
                raise StoreError(f"{self._url}: copy into the server itself, not through a pooler")
            if not await connection.fetchval(f"SELECT pg_try_advisory_lock({LOCK})"):
                raise StoreError(f"{self._url}: another copy into it is running")
            yield connection
        finally:
            await hang_up(connection)

    async def _begin(self, target: Connection) -> None:
        """Make the tables, or find an unfinished copy."""
        if await revision_of(target) == COPYING:
            noted = await target.fetchval(f"SELECT last_key FROM {_NOTES} WHERE table_name = ''")
            if noted != self._mark():
                raise StoreError(
                    f"{self._url} holds an unfinished copy of another file: empty it first"
                )
            return
        prepare(self._url)
        for table in metadata.sorted_tables:
            if table.name in _MADE_BY_MIGRATIONS:
                continue
            if await target.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table.name})"):
                raise StoreError(
                    f"{self._url} holds data already ({table.name}): copy into an empty database"
                )
        async with target.transaction():
            for name in _MADE_BY_MIGRATIONS:
                await target.execute(f"DELETE FROM {name}")
            await target.execute(
                f"CREATE TABLE {_NOTES} (table_name text PRIMARY KEY, last_key text NOT NULL,"
                " row_count bigint NOT NULL)"
            )
            await target.execute(f"INSERT INTO {_NOTES} VALUES ('', $1, 0)", self._mark())
            await target.execute("UPDATE alembic_version SET version_num = $1", COPYING)

    def _mark(self) -> str:
        """Tells this file from others, also after it was moved: its oldest rows."""
        rows = [
            tuple(row)
            for name in ("payment", "audit_log")
            for row in self._source.execute(f"SELECT * FROM {name} ORDER BY 1 LIMIT 1")
        ]
        return hashlib.sha256(repr(rows).encode()).hexdigest()

    async def _copy_table(self, target: Connection, table: Table) -> None:
        columns = [column.name for column in table.columns]
        noted = await target.fetchrow(
            f"SELECT last_key, row_count FROM {_NOTES} WHERE table_name = $1", table.name
        )
        last: Sequence[Any] | None = msgspec.json.decode(noted["last_key"]) if noted else None
        done, total = noted["row_count"] if noted else 0, self._count(table)
        while rows := self._rows(table, last):
            records = [_record(table, row) for row in rows]
            last = [rows[-1][column.name] for column in table.primary_key]
            done += len(rows)
            async with target.transaction():
                await target.copy_records_to_table(table.name, records=records, columns=columns)
                await target.execute(
                    f"INSERT INTO {_NOTES} VALUES ($1, $2, $3) ON CONFLICT (table_name)"
                    " DO UPDATE SET last_key = excluded.last_key, row_count = excluded.row_count",
                    *(table.name, _encoder.encode(last).decode(), done),
                )
            self._progress("copy", table.name, done, total)

    def _count(self, table: Table) -> int:
        [[count]] = self._source.execute(f"SELECT count(*) FROM {table.name}").fetchall()
        return int(count)

    def _rows(self, table: Table, last: Sequence[Any] | None) -> list[sqlite3.Row]:
        """The batch behind that key, in the order of keys."""
        keys = ", ".join(column.name for column in table.primary_key)
        marks = ", ".join("?" * len(table.primary_key))
        after = f" WHERE ({keys}) > ({marks})" if last is not None else ""
        statement = f"SELECT * FROM {table.name}{after} ORDER BY {keys} LIMIT ?"
        return self._source.execute(statement, (*(last or ()), self._batch)).fetchall()

    async def _compare(self, target: Connection) -> dict[str, int]:
        """Every row of both sides, whatever was copied by an earlier run.

        Raises:
            StoreError: they are not the same.
        """
        counts, wrong = {}, []
        for table in metadata.sorted_tables:
            total, there, ours = self._count(table), _Sum(), _Sum()
            for row in self._source.execute(f"SELECT * FROM {table.name}"):
                ours.add(_record(table, row))
            columns = ", ".join(column.name for column in table.columns)
            async with target.transaction(readonly=True):
                async for row in target.cursor(
                    f"SELECT {columns} FROM {table.name}", prefetch=self._batch
                ):
                    there.add(row)
                    if there.count % self._batch == 0:
                        self._progress("compare", table.name, there.count, total)
            if (ours.count, ours.sum) != (there.count, there.sum):
                wrong.append(f"{table.name} ({ours.count} rows here, {there.count} there)")
            counts[table.name] = ours.count
        if wrong:
            raise StoreError(
                f"{self._url} is not the same as {self._path} in {', '.join(wrong)}: the file was"
                " changed after the copy began, or the target. Empty the target and copy anew"
            )
        return counts

    async def _end(self, target: Connection) -> None:
        """Numbers go on behind the highest; from now on gateways may serve from it."""
        for table in metadata.sorted_tables:
            for column in table.primary_key:
                numbers = await target.fetchval(
                    "SELECT pg_get_serial_sequence($1, $2)", table.name, column.name
                )
                if numbers:
                    highest = f"(SELECT coalesce(max({column.name}), 0) + 1 FROM {table.name})"
                    await target.execute(f"SELECT setval($1, {highest}, false)", numbers)
        await check_positions(target, self._url)
        await target.execute("ANALYZE")
        async with target.transaction():
            await target.execute(f"DROP TABLE {_NOTES}")
            await target.execute("UPDATE alembic_version SET version_num = $1", HEAD)


def _record(table: Table, row: sqlite3.Row) -> tuple[Any, ...]:
    """A row as PostgreSQL's types have it.

    Raises:
        StoreError: it holds a text that PostgreSQL cannot hold.
    """
    values: list[Any] = []
    for column in table.columns:
        value = row[column.name]
        if value is None:
            values.append(None)
        elif isinstance(column.type, Boolean):
            values.append(bool(value))
        elif isinstance(column.type, LargeBinary):
            values.append(bytes(value))
        elif isinstance(value, str) and "\0" in value:
            key = ", ".join(str(row[each.name]) for each in table.primary_key)
            raise StoreError(
                f"{table.name} {key}: {column.name} has a NUL character, which PostgreSQL cannot"
                " hold"
            )
        else:
            values.append(value)
    return tuple(values)


class _Sum:
    """Of rows in any order: two sides sort text in their own ways."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0

    def add(self, row: Iterable[Any]) -> None:
        self.count += 1
        digest = hashlib.blake2b(_encoder.encode(list(row)), digest_size=16).digest()
        self.sum = (self.sum + int.from_bytes(digest)) % 2**128
