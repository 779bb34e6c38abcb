"""`tillgate db`: what operators do with the database itself, beside the gateways or without any."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter

from tillgate import logs
from tillgate.clock import SystemClock
from tillgate.config import load_store, read_store
from tillgate.core.errors import StoreError
from tillgate.store import Store
from tillgate.store.check import check as look
from tillgate.store.copy import copy as copy_all
from tillgate.store.migrate import HEAD, SHARED_SINCE, revisions_after, upgrade_locked
from tillgate.store.migrate_postgres import prepare
from tillgate.store.postgres import open_postgres
from tillgate.store.sqlite import open_sqlite
from tillgate.store.trim import trim as trim_all
from tillgate.store.upkeep import Database, Where, reading

SAY_EVERY_S = 1.0
"""How often progress is told."""


def upgrade(arguments: Namespace) -> int:
    """Bring the database to this release's schema, or only say how."""
    where = store_of(arguments)
    current = asyncio.run(_revision(where))
    steps = revisions_after(current)
    if not steps:
        print(f"schema {current}: nothing to do")
        return 0
    print(f"schema {current or 'none'} -> {HEAD}")
    for step in steps:
        print(f"  {step.revision}  {step.what}  ({'only adds' if step.only_adds else 'changes'})")
    if current is None:
        print("A new database: nobody uses it yet.")
    elif isinstance(where, Path):
        print("A SQLite file belongs to one gateway: stop it first, and take a backup.")
    elif all(step.only_adds for step in steps):
        print("Nodes of the release before go on to serve meanwhile and afterwards.")
    else:
        print(f"Stop every node first: up to schema {SHARED_SINCE} not all of it only adds.")
    if arguments.plan:
        return 0
    logs.set_up("INFO")
    if isinstance(where, Path):
        upgrade_locked(where)
    else:
        prepare(where)
    print(f"schema {HEAD}")
    return 0


async def _revision(where: Where) -> str | None:
    if isinstance(where, Path) and not where.exists():
        return None
    async with reading(where) as database:
        return database.revision


def check(arguments: Namespace) -> int:
    """Look at the database; 1 when something is wrong."""
    return asyncio.run(_check(store_of(arguments), as_json=arguments.json))


async def _check(where: Where, *, as_json: bool) -> int:
    progress, wrong = Progress(), 0
    try:
        async with reading(where) as database:
            findings = look(database, lambda table, rows: progress.say(f"{table}: {rows:,} rows"))
            async with aclosing(findings):  # type: ignore[type-var]
                async for finding in findings:
                    wrong += finding.is_wrong
                    progress.clear()
                    if as_json:
                        print(json.dumps({"wrong": finding.is_wrong, "finding": finding.words}))
                    else:
                        print(f"{'WRONG' if finding.is_wrong else 'ok   '}  {finding.words}")
    except StoreError as error:
        progress.clear()
        print(f"tillgate: {error}", file=sys.stderr)
        return 1
    if not as_json:
        print(f"wrong: {wrong}" if wrong else "nothing is wrong")
    return 1 if wrong else 0


def copy(arguments: Namespace) -> int:
    """Copy a SQLite file into a PostgreSQL database; 1 when it could not be done."""
    source, target = read_store(arguments.source), read_store(arguments.target)
    if not isinstance(source, Path) or isinstance(target, Path):
        print(
            "tillgate: a copy goes from a SQLite file to a PostgreSQL database:\n"
            "  tillgate db copy tillgate.db postgresql://user@host/database",
            file=sys.stderr,
        )
        return 2
    progress = Progress()

    def say(what: str, table: str, done: int, total: int) -> None:
        progress.say(f"{what} {table}: {done:,} of {total:,}")

    try:
        counts = asyncio.run(copy_all(source, target, say, arguments.batch))
    except StoreError as error:
        progress.clear()
        print(f"tillgate: {error}", file=sys.stderr)
        return 1
    progress.clear()
    for name, count in counts.items():
        if count:
            print(f"{count:>12,}  {name}")
    print(
        f"All {sum(counts.values()):,} rows are the same in {target}.\n"
        "Give the gateways this as gateway.store, with the same key files as before."
    )
    return 0


def trim(arguments: Namespace) -> int:
    """Remove old events and the log of their deliveries; 1 when it could not be done."""
    before = SystemClock().now() - timedelta(days=arguments.older_than)
    where, progress = store_of(arguments), Progress()
    try:
        gone = asyncio.run(_trim(where, before, progress))
    except StoreError as error:
        progress.clear()
        print(f"tillgate: {error}", file=sys.stderr)
        return 1
    progress.clear()
    for table, rows in gone.items():
        print(f"{rows:>12,}  {table}")
    return 0


async def _trim(where: Where, before: datetime, progress: Progress) -> dict[str, int]:
    async with writing(where) as store:
        return await trim_all(
            store, before, lambda table, rows: progress.say(f"{table}: {rows:,} removed")
        )


@asynccontextmanager
async def writing(where: Where) -> AsyncIterator[Store]:
    """The store, for as long as something is done with it.

    Raises:
        StoreError: it is not there, is in use, or has another release's schema.
    """
    async with reading(where) as database:
        refuse_other(database, where)  # to open it would upgrade it
    store = open_sqlite(where) if isinstance(where, Path) else open_postgres(where)
    try:
        yield store
    finally:
        await store.close()


def refuse_other(database: Database, where: Where) -> None:
    """Nothing is done with a schema that is not this release's.

    Raises:
        StoreError: it is another one.
    """
    if (revision := database.revision) != HEAD:
        raise StoreError(f"{where} has schema {revision}, this release {HEAD}: tillgate db upgrade")


def store_of(arguments: Namespace) -> Where:
    """The store that is meant: the one that is named, or that of the settings."""
    if arguments.store:
        return read_store(arguments.store)
    return load_store(os.environ, Path(arguments.settings) if arguments.settings else None)


class Progress:
    """One line on standard error, now and then; on a terminal it is written over."""

    def __init__(self) -> None:
        self._said_at = perf_counter()
        self._is_shown = False

    def say(self, words: str) -> None:
        """Write it, unless something was written just now."""
        if perf_counter() - self._said_at < SAY_EVERY_S:
            return
        self._said_at = perf_counter()
        is_terminal = sys.stderr.isatty()
        print(
            f"\r\x1b[K{words}" if is_terminal else words,
            end="" if is_terminal else "\n",
            file=sys.stderr,
            flush=True,
        )
        self._is_shown = is_terminal

    def clear(self) -> None:
        """Make room for what stays."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._is_shown = False
