"""Grouped look-ups on PostgreSQL: what is looked up while the last look is out goes into one
statement.

A look-up of its own costs this process as much as a third of a signature; in a group it costs a
tenth of that. Alone, it is as quick as an ungrouped one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from tillgate.core.errors import StoreError
from tillgate.store.postgres_connections import Connections
from tillgate.store.postgres_statements import arrays

BATCH_MAX = 512
"""Look-ups in one statement, as commits."""

_Asked = tuple[tuple[str, ...], "asyncio.Future[list[Mapping[str, Any]]]"]


class BatchReader:
    """Runs one kind of look-up, one statement at a time.

    What is found is at least as new as the moment it was asked for: nobody joins a statement that
    is out already.
    """

    def __init__(self, connections: Connections, statement: str) -> None:
        """`statement` takes an array of texts for each value; its rows say by `n`, from 1, whose
        they are.
        """
        self._connections = connections
        self._statement = statement
        self._queue: deque[_Asked] = deque()
        self._running: asyncio.Task[None] | None = None

    async def look(self, *values: str) -> list[Mapping[str, Any]]:
        """The rows for these values.

        Raises:
            StoreError: they could not be read.
        """
        if not all(map(can_hold, values)):
            return []
        found: asyncio.Future[list[Mapping[str, Any]]]
        found = asyncio.get_running_loop().create_future()
        self._queue.append((values, found))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await found

    async def close(self) -> None:
        """Let go of the connection."""
        await self._connections.close()

    async def _run(self) -> None:
        try:
            while self._queue:
                size = min(len(self._queue), BATCH_MAX)
                await self._look([self._queue.popleft() for _ in range(size)])
        finally:
            self._running = asyncio.create_task(self._run()) if self._queue else None

    async def _look(self, batch: list[_Asked]) -> None:
        reason = "the look-up was given up"
        try:
            rows = await self._connections.fetch(
                self._statement, arrays(values for values, _ in batch)
            )
            found: list[list[Mapping[str, Any]]] = [[] for _ in batch]
            for row in rows:
                found[row["n"] - 1].append(row)
            for (_, waiting), mine in zip(batch, found, strict=True):
                if not waiting.done():
                    waiting.set_result(mine)
        except StoreError as error:
            reason = str(error)
        finally:
            for _, waiting in batch:
                if not waiting.done():
                    waiting.set_exception(StoreError(reason))


def can_hold(value: object) -> bool:
    """Whether PostgreSQL can hold this; what it cannot hold, no row has."""
    if not isinstance(value, str):
        return True
    if value.isascii():
        return "\0" not in value
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value
