"""`tillgate db archive`: what is said of it, and where the file goes."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tillgate.cli.db import Progress, refuse_other, store_of, writing
from tillgate.clock import SystemClock
from tillgate.core.errors import StoreError
from tillgate.ids import new_secret
from tillgate.store import Row, Sql
from tillgate.store.archive import Moved
from tillgate.store.archive import archive as archive_all
from tillgate.store.archive import plan as plan_all
from tillgate.store.archive_file import ArchiveFile, make_folder, name_of, written
from tillgate.store.migrate import HEAD
from tillgate.store.upkeep import Where, reading


class _Told:
    """What was done so far, also where it could not go on."""

    def __init__(self) -> None:
        self.moved = Moved()
        self._progress = Progress()

    def say(self, moved: Moved) -> None:
        self.moved = moved
        self._progress.say(f"{moved.payments:,} payments, {moved.steps:,} steps")

    def clear(self) -> None:
        self._progress.clear()


def archive(arguments: Namespace) -> int:
    """Move the histories of payments that are long over; 1 when it could not be done."""
    now, told = SystemClock().now(), _Told()
    bound = now - timedelta(days=arguments.older_than)
    where = store_of(arguments)
    if arguments.plan:
        failed = _run(_plan(where, bound, told), told)
        _print(told.moved)
        return failed
    header = {"schema": HEAD, "made_at": written(now), "bound": written(bound)}
    name = name_of(now, new_secret(4).hex())
    file = ArchiveFile(Path(arguments.to).resolve(), name, header)
    failed = _run(_archive(where, bound, file, told), told)
    _print(told.moved)
    if file.is_there:
        print(f"in {file.path}\nTo read one: zgrep -h pay_... {file.path}")
    return failed


def _run(work: Coroutine[Any, Any, Moved], told: _Told) -> int:
    try:
        told.moved = asyncio.run(work)
    except StoreError as error:
        told.clear()
        print(f"tillgate: {error}", file=sys.stderr)
        return 1
    told.clear()
    return 0


async def _plan(where: Where, bound: datetime, told: _Told) -> Moved:
    async with reading(where) as database:
        refuse_other(database, where)

        async def read(statement: Sql) -> Sequence[Row]:
            return await database.rows(statement.text, *statement.values)

        return await plan_all(read, bound, told.say)


async def _archive(where: Where, bound: datetime, file: ArchiveFile, told: _Told) -> Moved:
    async with writing(where) as store:
        make_folder(file.path.parent)
        try:
            return await archive_all(store, bound, file, told.say)
        finally:
            file.close()


def _print(moved: Moved) -> None:
    print(f"{moved.payments:>12,}  payments")
    print(f"{moved.refunds:>12,}  refunds")
    print(f"{moved.steps:>12,}  steps of their histories")
    if moved.damaged:
        some = " ".join(moved.damaged[:5])
        print(
            f"{len(moved.damaged):>12,}  left as they are, for a step is missing:"
            f" see tillgate db check ({some}{' ...' if moved.damaged[5:] else ''})"
        )
