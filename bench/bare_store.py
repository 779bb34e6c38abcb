"""The bare programs' two stores: whatever is asked for while a commit is in flight is the next one.

The tables hold what a payment needs and no more. Both are as durable as the gateway's: PostgreSQL
with its defaults, SQLite in WAL mode with `synchronous=FULL`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

import asyncpg

from bench.bare_work import Ended, Opened

TABLE = (
    "CREATE TABLE bare (id text PRIMARY KEY, merchant_order_id text NOT NULL, currency text"
    " NOT NULL, value bigint NOT NULL, at bigint NOT NULL, body {blob} NOT NULL, status text"
    " NOT NULL DEFAULT 'PENDING', code text, payment_id text, paid_at text)"
)
BATCH = (
    "WITH opened AS (INSERT INTO bare (id, merchant_order_id, currency, value, at, body)"
    " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],"
    " $6::bytea[])), ended AS (UPDATE bare SET status = given.status, code = given.code,"
    " payment_id = given.payment_id, paid_at = given.paid_at FROM unnest($7::text[], $8::text[],"
    " $9::text[], $10::text[], $11::text[]) AS given (id, status, code, payment_id, paid_at)"
    " WHERE bare.id = given.id AND bare.status = 'PENDING') SELECT 1"
)
PLAN = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
PLAN |= {"plan_cache_mode": "force_generic_plan"}
INSERT = (
    "INSERT INTO bare (id, merchant_order_id, currency, value, at, body) VALUES (?, ?, ?, ?, ?, ?)"
)
UPDATE = (
    "UPDATE bare SET status = ?2, code = ?3, payment_id = ?4, paid_at = ?5"
    " WHERE id = ?1 AND status = 'PENDING'"
)
Asked = tuple[Any, asyncio.Future[None]]


def _columns(rows: Sequence[Sequence[Any]], count: int) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [()] * count


class PostgresStore:
    """One connection and one prepared statement, which opens and ends a batch in one commit."""

    @classmethod
    async def start(cls, url: str) -> PostgresStore:
        store = cls()
        connection = await asyncpg.connect(url, server_settings=PLAN)
        await connection.execute("DROP TABLE IF EXISTS bare")
        await connection.execute(TABLE.format(blob="bytea"))
        store._fetch = (await connection.prepare(BATCH)).fetch
        store._loop = asyncio.get_running_loop()
        return store

    def __init__(self) -> None:
        self._opened: list[Asked] = []
        self._ended: list[Asked] = []
        self._writing: asyncio.Task[None] | None = None

    def open(self, row: Opened) -> asyncio.Future[None]:
        return self._ask(self._opened, row)

    def end(self, row: Ended) -> asyncio.Future[None]:
        return self._ask(self._ended, row)

    def _ask(self, rows: list[Asked], row: Any) -> asyncio.Future[None]:
        done = self._loop.create_future()
        rows.append((row, done))
        if self._writing is None:
            self._writing = self._loop.create_task(self._write())
        return done

    async def _write(self) -> None:
        while opened_ended := self._opened + self._ended:
            opened = [row for row, _ in self._opened]
            ended = [row for row, _ in self._ended]
            self._opened.clear()
            self._ended.clear()
            await self._fetch(*_columns(opened, 6), *_columns(ended, 5))
            for _, done in opened_ended:
                done.set_result(None)
        self._writing = None


class SqliteStore:
    """One thread that does all the writing."""

    @classmethod
    async def start(cls, file: str) -> SqliteStore:
        return cls(file, asyncio.get_running_loop())

    def __init__(self, file: str, loop: asyncio.AbstractEventLoop) -> None:
        connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(TABLE.format(blob="blob"))
        self._connection, self._loop = connection, loop
        self._asked: SimpleQueue[Asked] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def open(self, row: Opened) -> asyncio.Future[None]:
        done = self._loop.create_future()
        self._asked.put((row, done))
        return done

    end = open  # type: ignore[assignment]

    def _run(self) -> None:
        connection = self._connection
        while True:
            batch = [self._asked.get()]
            while not self._asked.empty():
                batch.append(self._asked.get())
            opened = [row for row, _ in batch if type(row) is Opened]
            ended = [row for row, _ in batch if type(row) is Ended]
            connection.execute("BEGIN IMMEDIATE")
            if opened:
                connection.executemany(INSERT, opened)
            if ended:
                connection.executemany(UPDATE, ended)
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_deliver, batch)


def _deliver(batch: list[Asked]) -> None:
    for _, done in batch:
        done.set_result(None)


async def start(store: str) -> PostgresStore | SqliteStore:
    """Of a PostgreSQL URL or a file's name; its table is new."""
    if store.startswith("postgresql:"):
        return await PostgresStore.start(store)
    return await SqliteStore.start(store)
