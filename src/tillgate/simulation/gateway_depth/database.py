"""The store of a world: the gateway's own SQL on one SQLite in memory, written in this thread, with
commits that are slow, fail, are unknown or are the moment of a crash.
"""

from __future__ import annotations

import asyncio
import atexit
import sqlite3
from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from tillgate.core.errors import StaleVersion, StoreError
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import MS, Fault, S, Weather
from tillgate.simulation.gateway_depth.book import Book
from tillgate.simulation.gateway_depth.loop import NEVER, Life
from tillgate.simulation.gateway_depth.scene import Scene, Trouble
from tillgate.simulation.stage import Violated
from tillgate.store.group_commit import Write, commit_batch
from tillgate.store.schema import metadata

_TAKES: Table[int] = Table("commit.takes", (0, 12), (2 * MS, 5), (30 * MS, 2), (300 * MS, 1))
"""In all, half of it before the transaction and half between it and the answer."""
_SLOWLY: Table[int] = Table("commit.slow", (900 * MS, 2), (3 * S, 2), (7 * S, 1), (12 * S, 1))
_BUSY_FOR: Table[int] = Table("commit.busy", (0, 2), (5 * S, 1))
"""Ours waits 5 s for a lock."""

_CLEAN = tuple(f"DELETE FROM {table.name}" for table in metadata.sorted_tables)


@cache
def database() -> sqlite3.Connection:
    """The one of this process, with its tables, in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    metadata.create_all(engine)
    connection.row_factory = sqlite3.Row
    atexit.register(connection.close)
    return connection


def cleaned() -> sqlite3.Connection:
    """The same, with nothing in its tables."""
    connection = database()
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    for statement in _CLEAN:
        connection.execute(statement)
    return connection


class Reader:
    """In place of a reading connection: the same rows, but it may fail."""

    def __init__(self, scene: Scene, connection: sqlite3.Connection, *, may_fail: bool) -> None:
        self._scene = scene
        self._connection = connection
        self._may_fail = may_fail

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        """Read."""
        scene = self._scene
        if self._may_fail and scene.is_stormy() and scene.dice.chance("read.fails", 0.03):
            scene.trouble(Trouble.READ_FAILED)
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(statement, values)

    def close(self) -> None:
        """Others still read."""


class Writer:
    """One worker's. See `tillgate.store.group_commit.Writer`."""

    def __init__(
        self,
        scene: Scene,
        weather: Weather,
        book: Book,
        connection: sqlite3.Connection,
        life: Life,
        crash: Callable[[], None],
    ) -> None:
        self._scene = scene
        self._weather = weather
        self._book = book
        self._connection = connection
        self._life = life
        self._crash = crash

    async def commit(self, write: Write) -> Any:
        """Run a write in a transaction of its own, whatever becomes of it and of us."""
        if self._life.is_dead:
            await NEVER
        fate, takes_s = self._fate(), self._takes() / S
        await asyncio.sleep(takes_s / 2)
        match fate:
            case Fault.STORE_BUSY:
                await asyncio.sleep(self._scene.dice.pick(_BUSY_FOR) / S)
                raise StoreError("the database could not save it: database is locked")
            case Fault.CRASH_BEFORE_COMMIT:
                self._crash()
                await NEVER
            case _:
                pass
        [result] = commit_batch(self._connection, [write])
        if isinstance(result, StaleVersion):
            self._scene.count(Fault.STALE_VERSION)
        try:
            self._book.look()
        except Violated as violated:
            self._scene.violated(violated)
            await NEVER
        if takes_s:
            await asyncio.sleep(takes_s / 2)
        await self._after(fate)
        if isinstance(result, Exception):
            raise result
        return result

    async def _after(self, fate: Fault | None) -> None:
        scene = self._scene
        match fate:
            case Fault.COMMIT_UNKNOWN:
                raise StoreError("the database could not say whether it is saved")
            case Fault.CRASH_DURING_COMMIT:
                self._crash()
                await NEVER
            case Fault.CRASH_AFTER_COMMIT:
                # Whoever asked goes on to its next wait; nothing that it starts begins.
                scene.loop.call_soon(self._crash, context=scene.loop.outside.context)
            case Fault.CRASH_AFTER_SEND:
                scene.after(MS, self._crash)
            case _:
                pass

    async def close(self) -> None:
        """Nothing is kept back."""

    def _takes(self) -> int:
        scene = self._scene
        if scene.is_stormy() and scene.dice.chance("commit.is_slow", 0.01):
            scene.trouble(Trouble.STORE_SLOW)
            takes = scene.dice.pick(_SLOWLY)
            self._book.touch(scene.now + takes + 9 * S)
            return takes
        return scene.dice.pick(_TAKES)

    def _fate(self) -> Fault | None:
        scene = self._scene
        if not scene.is_stormy():
            return None
        fate = scene.dice.pick(self._weather.commit)
        if fate is not None:
            scene.count(fate)
            # A lost outcome is asked for again when its call counts as lost.
            self._book.touch(scene.now + 14 * S)
        return fate
