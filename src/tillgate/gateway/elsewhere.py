"""What other nodes do to payments that this one drives: seen several times a second, in one query.

A payment may be created here and notified there. Its till waits here, so those that somebody waits
for are looked at every 200 ms; the others every 2 s, so that inquiries of what is settled elsewhere
stop. Nothing depends on it: a step on an old version is refused by the store and taken anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from tillgate.core.errors import StoreError
from tillgate.core.model import Payment, PaymentRequestId
from tillgate.store import Store

log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 0.2
"""A result that lands on another node reaches its till within this and a read: below 250 ms."""
LOOKS_PER_SWEEP = 10
"""Each tenth look takes all that is driven, not only what is waited for."""
BATCH = 1000

Known = tuple[PaymentRequestId, int]
"""A payment with the version that is known here."""


class Elsewhere:
    """One per process, where the store is shared."""

    def __init__(
        self,
        store: Store,
        awaited: Callable[[], Iterable[Known]],
        driven: Callable[[], Iterable[Known]],
        adopt: Callable[[Payment], Awaitable[None]],
    ) -> None:
        """`adopt` is told of each payment that is newer than it is known here."""
        self._store = store
        self._awaited = awaited
        self._driven = driven
        self._adopt = adopt

    async def run(self) -> None:
        """Look for ever."""
        looks = 0
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            looks += 1
            is_sweep = looks % LOOKS_PER_SWEEP == 0
            try:
                await self.look(self._driven() if is_sweep else self._awaited())
            except StoreError as error:
                log.error("what other nodes did cannot be read: %s", error)

    async def look(self, known: Iterable[Known]) -> None:
        """One look at these.

        Raises:
            StoreError: the store cannot be read.
        """
        every = iter(list(known))
        while batch := list(islice(every, BATCH)):
            for payment in await self._store.load_newer(batch):
                await self._adopt(payment)
