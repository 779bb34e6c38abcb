"""Who may call and sell, held in memory and kept true to the store.

Every request asks here and none reads the database for it. The store's version is looked at twice
a second, so what one node changes counts on every other within a second; on the node that changed
it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Mapping
from datetime import datetime, timedelta

from tillgate.clock import Clock
from tillgate.core.access import Caller
from tillgate.core.errors import StoreError
from tillgate.merchants import Directory, Merchant
from tillgate.store import Store
from tillgate.store.registry import (
    Act,
    import_directory,
    load_directory,
    note_uses,
    version_of,
)

log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 0.5
"""How soon another node's change is seen. Issue 6: a revocation counts within 1 s."""
USES_INTERVAL = timedelta(seconds=60)
"""How exactly `last_used_at` is kept: one write per key and minute, off the path of a request."""


class Registry:
    """One per process."""

    def __init__(self, store: Store, clock: Clock, *, is_live: bool) -> None:
        self._store = store
        self._clock = clock
        self._is_live = is_live
        self._directory = Directory({}, ())
        self._version = -1
        self._used: dict[str, datetime] = {}
        self._saved: dict[str, datetime] = {}
        self._look: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()

    @property
    def merchants(self) -> Mapping[str, Merchant]:
        """All merchants by id, closed ones too."""
        return self._directory.merchants

    @property
    def directory(self) -> Directory:
        """Everything, as it is now."""
        return self._directory

    async def start(self, seed: Directory | None) -> None:
        """Begin an empty registry with the seed, load it, and go on watching it.

        Raises:
            StoreError: the store cannot be read.
        """
        if seed is not None and not await self._import(seed):
            self._tell_what_is_not_imported(seed)
        self._look = asyncio.get_running_loop().create_task(self._watch())

    async def _import(self, seed: Directory) -> bool:
        act = Act(at=self._clock.now(), key_id="", operator_id="", address="")
        is_new = await import_directory(self._store, seed, act)
        await self.refresh()
        if is_new:
            log.info("began the registry with %d merchants of the file", len(seed.merchants))
        return is_new

    def _tell_what_is_not_imported(self, seed: Directory) -> None:
        known = {key.caller.key_id for key in self._directory.keys}
        unknown = [key.caller.key_id for key in seed.keys if key.caller.key_id not in known]
        unknown += [name for name in seed.merchants if name not in self.merchants]
        if unknown:
            log.warning(
                "gateway.merchants_file began the registry once and is not read again: %s stand in"
                " it only. Use `tillgate merchant` and `tillgate key`.",
                ", ".join(unknown),
            )

    async def stop(self) -> None:
        """Save what is left to be saved."""
        if self._look:
            self._look.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._look
        with contextlib.suppress(StoreError):
            await self._save_uses(self._used)

    def caller(self, key: str) -> Caller | None:
        """Whose API key this is, or None. A test key opens nothing where money is real."""
        if self._is_live and not key.startswith("tg_live_"):
            return None
        now = self._clock.now()
        caller = self._directory.caller(key, now)
        if caller is not None:
            self._used[caller.key_id] = now
        return caller

    def caller_by_id(self, key_id: str) -> Caller | None:
        """Whose key has this id, or None where it opens nothing (any more)."""
        return self._directory.caller_by_id(key_id, self._clock.now())

    async def refresh(self) -> None:
        """Read everything anew if it has changed."""
        async with self._reading:  # an older reading must not replace a newer one
            if await version_of(self._store) != self._version:
                self._version, self._directory = await load_directory(self._store)

    async def after(self, change: Awaitable[object]) -> None:
        """Make a change, and know it here at once."""
        await change
        await self.refresh()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            try:
                await self.refresh()
                await self._save_uses(self._due_uses())
            except StoreError as error:
                # What is held goes on to count; without the store no payment begins anyway.
                log.error("the registry cannot be read: %s", error)
            except Exception:
                log.exception("the registry cannot be read")

    def _due_uses(self) -> dict[str, datetime]:
        never = datetime.min.replace(tzinfo=self._clock.now().tzinfo)
        return {
            key_id: at
            for key_id, at in self._used.items()
            if at - self._saved.get(key_id, never) >= USES_INTERVAL
        }

    async def _save_uses(self, used: dict[str, datetime]) -> None:
        if not used:
            return
        await note_uses(self._store, used)
        self._saved |= used
        self._used = {key: at for key, at in self._used.items() if self._saved.get(key) != at}
