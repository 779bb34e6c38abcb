"""Live events: who listens is woken when something new may be read, whichever node wrote it.

One look per process at what is new in the store, several times a second while anybody listens; each
listener of a merchant that has news then reads its own events from where it stands. Nothing is kept
in memory that could be lost: the store is the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tillgate.core.access import Caller
from tillgate.core.errors import StoreError
from tillgate.store import Placed, Store

LOOK_INTERVAL_S = 0.2
"""A result that lands on another node is seen within this and a read. Design: up to 250 ms."""
BATCH = 100
LISTENERS_MAX = 1000
"""Streams of one process; each costs a socket and a read per event of its merchant."""
LISTENERS_OF_A_MERCHANT_MAX = 256
LISTENERS_OF_A_KEY_MAX = 64
"""So that nobody takes them all. Ours: the tills of a store may share a key."""
NEWS_MAX = 500
"""More news than this in one look wakes everybody: cheaper than to ask whose they are."""


class Listener:
    """Who listens, and whether something of his merchant may have come."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.news = asyncio.Event()


class Streams:
    """One per process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._position: int | None = None
        self._listeners: set[Listener] = set()
        self._look: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def count(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def enter(self, caller: Caller) -> Listener | None:
        """A place for one who listens, until he leaves; None where he may have no more.

        Without a merchant he hears of all; without a store, of all of his merchant.
        """
        others = [each.caller for each in self._listeners]
        of_key = sum(each.key_id == caller.key_id for each in others)
        of_merchant = sum(each.merchant_id == caller.merchant_id for each in others)
        if (
            len(others) >= LISTENERS_MAX
            or of_key >= LISTENERS_OF_A_KEY_MAX
            or of_merchant >= LISTENERS_OF_A_MERCHANT_MAX
        ):
            return None
        listener = Listener(caller)
        self._listeners.add(listener)
        self._ensure_look()
        return listener

    def leave(self, listener: Listener) -> None:
        """Give the place back. Safe to call twice."""
        self._listeners.discard(listener)

    async def listen(
        self, listener: Listener, after: int, pause_s: float
    ) -> AsyncIterator[list[Placed]]:
        """What he may hear, as it comes, from behind `after`; an empty list after each pause
        without any, whatever happens to others. Ends when this process stops.

        Args:
            listener: as he entered.
            after: a position that was told before.
            pause_s: how long nothing may be said.

        Raises:
            StoreError: the store cannot be read.
        """
        caller, position = listener.caller, after
        loop = asyncio.get_running_loop()
        quiet_until = loop.time() + pause_s
        while not self._is_stopping:
            listener.news.clear()
            batch = await self._store.load_events(
                caller.merchant_id, store_id=caller.store_id, after=position, limit=BATCH
            )
            if batch:
                position = batch[-1].position
                yield list(batch)
                quiet_until = loop.time() + pause_s
            # Also where each look takes so long that there is always news meanwhile.
            elif loop.time() >= quiet_until or not await _until(listener.news, quiet_until):
                yield []
                quiet_until = loop.time() + pause_s

    def stop(self) -> None:
        """End every stream. Safe to call twice."""
        self._is_stopping = True
        self._wake(None)

    def _ensure_look(self) -> None:
        if self._look is None or self._look.done():
            self._position = None
            self._look = asyncio.get_running_loop().create_task(self._look_for_news())

    async def _look_for_news(self) -> None:
        while self._listeners and not self._is_stopping:
            # A store that cannot be read now is looked at again; who listens hears it himself.
            with contextlib.suppress(StoreError):
                await self._look_once()
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def _look_once(self) -> None:
        position = await self._store.last_position()
        if position == self._position:
            return
        merchants: set[str] | None = None
        if self._position is not None:
            news = await self._store.load_events(None, after=self._position, limit=NEWS_MAX)
            if len(news) < NEWS_MAX:
                merchants = {placed.event.merchant_id for placed in news}
        self._position = position
        self._wake(merchants)

    def _wake(self, merchants: set[str] | None) -> None:
        """Those of these merchants and those who hear of all; None wakes everybody."""
        for listener in self._listeners:
            merchant_id = listener.caller.merchant_id
            if merchants is None or merchant_id is None or merchant_id in merchants:
                listener.news.set()


async def _until(news: asyncio.Event, moment: float) -> bool:
    """Whether there was news before that moment of the loop's clock."""
    try:
        async with asyncio.timeout_at(moment):
            await news.wait()
    except TimeoutError:
        return False
    return True
