"""A database as operators look after it, beside the gateways or without any: plain rows of either
engine, read only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from tillgate.core.errors import StoreError
from tillgate.store import Row
from tillgate.store.migrate import revision_of as sqlite_revision
from tillgate.store.migrate_postgres import revision_of
from tillgate.store.postgres_connections import (
    FAULTS,
    Connection,
    connect,
    hang_up,
    store_error,
)
from tillgate.store.postgres_statements import numbered
from tillgate.store.postgres_url import PostgresUrl

Where = Path | PostgresUrl
"""A SQLite file or a PostgreSQL database."""


class Database(Protocol):
    """Rows for a statement with `?` for each value; nothing is ever written.

    Attributes:
        engine: `sqlite` or `postgresql`.
        revision: its schema, None where there is none of ours.
    """

    engine: str
    revision: str | None

    async def rows(self, text: str, *values: Any) -> Sequence[Row]:
        """What is there now: each statement sees one moment.

        Raises:
            StoreError: it could not be read.
        """
        ...


class SqliteDatabase:
    """See `Database`."""

    engine = "sqlite"

    def __init__(self, path: Path) -> None:
        """The file has to exist: it is opened read only, also beside a gateway."""
        self.revision = sqlite_revision(path)
        self._path = path
        self.connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        self.connection.row_factory = sqlite3.Row

    async def rows(self, text: str, *values: Any) -> Sequence[Row]:
        """See `Database`."""
        try:
            return self.connection.execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} could not be read: {error}") from None


class PostgresDatabase:
    """See `Database`."""

    engine = "postgresql"

    def __init__(self, url: PostgresUrl, connection: Connection, revision: str | None) -> None:
        self.revision = revision
        self._url = url
        self._connection = connection

    async def rows(self, text: str, *values: Any) -> Sequence[Row]:
        """See `Database`."""
        try:
            async with self._connection.transaction(readonly=True):
                rows: Sequence[Row] = await self._connection.fetch(numbered(text), *values)
            return rows
        except FAULTS as error:
            raise store_error(error, self._url) from None


@asynccontextmanager
async def reading(where: Where) -> AsyncIterator[Database]:
    """The database, for as long as it is looked at.

    Raises:
        StoreError: it is not there, or cannot be reached.
    """
    if isinstance(where, Path):
        if not where.exists():
            raise StoreError(f"{where} is not there")
        database = SqliteDatabase(where)
        try:
            yield database
        finally:
            database.connection.close()
        return
    # As behind a pooler: nobody asked yet whether there is one.
    connection = await connect(replace(where, is_pooled=True), {})
    try:
        yield PostgresDatabase(where, connection, await revision_of(connection))
    finally:
        await hang_up(connection)
