"""Slow reads of a SQLite file: in a thread and on a connection of their own, each with an end."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tillgate.core.errors import StoreError
from tillgate.store import REPORT_LIMIT_S, Row, Sql


class Reporter:
    """One per process."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take over a connection that was opened with `check_same_thread=False`."""
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, "store-reports")
        self._turn = asyncio.Lock()

    async def run(self, statement: Sql) -> Sequence[Row]:
        """The rows; see `Store.report`."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            reading = loop.run_in_executor(self._thread, self._read, statement)
            stop = loop.call_later(REPORT_LIMIT_S, self._connection.interrupt)
            try:
                # Who asked may go away; the reading ends first, because the next one wants its
                # place.
                return await asyncio.shield(reading)
            except asyncio.CancelledError:
                self._connection.interrupt()
                await asyncio.wait([reading])
                raise
            finally:
                stop.cancel()

    def _read(self, statement: Sql) -> Sequence[Row]:
        try:
            return self._connection.execute(statement.text, statement.values).fetchall()
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise StoreError(f"the report took longer than {REPORT_LIMIT_S:g} s") from None
            raise StoreError(f"the database could not be read: {error}") from None
        except sqlite3.Error as error:
            raise StoreError(f"the database could not be read: {error}") from None

    async def close(self) -> None:
        """Let go of the connection."""
        self._connection.interrupt()
        await asyncio.to_thread(self._thread.shutdown)
        self._connection.close()
