"""Live events: who listens is woken when something new may be read, whichever node wrote it.

One look per process at the store's last position, several times a second while anybody listens;
each listener then reads its own events from where it stands. Nothing is kept in memory that could
be lost: the store is the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tillgate.core.errors import StoreError
from tillgate.store import Placed, Store

LOOK_INTERVAL_S = 0.2
"""A result that lands on another node is seen within this and a read. Design: up to 250 ms."""
BATCH = 100


class Streams:
    """One per process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._position = 0
        self._listeners: set[asyncio.Event] = set()
        self._look: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def count(self) -> int:
        """How many listen."""
        return len(self._listeners)

    async def listen(
        self, merchant_id: str | None, store_id: str | None, after: int, pause_s: float
    ) -> AsyncIterator[list[Placed]]:
        """Events as they come, from behind `after`; an empty list after each pause without any.
        Ends when this process stops.

        Args:
            merchant_id: None for those of all merchants.
            store_id: None for those of all stores.
            after: a position that was told before.
            pause_s: how long nothing may be said.

        Raises:
            StoreError: the store cannot be read.
        """
        news = asyncio.Event()
        position = after
        self._listeners.add(news)
        self._ensure_look()
        try:
            while not self._is_stopping:
                news.clear()
                batch = await self._store.load_events(
                    merchant_id, store_id=store_id, after=position, limit=BATCH
                )
                if batch:
                    position = batch[-1].position
                    yield list(batch)
                elif not await _within(news, pause_s):
                    yield []
        finally:
            self._listeners.discard(news)

    def stop(self) -> None:
        """End every stream. Safe to call twice."""
        self._is_stopping = True
        for news in self._listeners:
            news.set()

    def _ensure_look(self) -> None:
        if self._look is None or self._look.done():
            self._look = asyncio.get_running_loop().create_task(self._look_for_news())

    async def _look_for_news(self) -> None:
        while self._listeners and not self._is_stopping:
            # A store that cannot be read now is looked at again; who listens hears it himself.
            with contextlib.suppress(StoreError):
                position = await self._store.last_position()
                if position != self._position:
                    self._position = position
                    for news in self._listeners:
                        news.set()
            await asyncio.sleep(LOOK_INTERVAL_S)


async def _within(news: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return False
    return True
