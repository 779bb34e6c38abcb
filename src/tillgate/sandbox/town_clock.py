"""The sandbox's own clock: it runs with the machine's until a tester freezes, sets or advances it.

Everything of the sandbox that waits, waits by this clock, so that midnight, 00:15 or the 365th day
come when a tester says so. Delays on the wire are the machine's own: they are for clients.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from tillgate.clock import Clock

WAKE_S_MAX = 3600.0
"""No timer of the loop is longer; it looks again and is set anew."""


class Alarm:
    """Something that is to happen. `cancel` it, or it does, once."""

    def __init__(self, at: datetime, act: Callable[[], None]) -> None:
        self.at = at
        self.act: Callable[[], None] | None = act

    def cancel(self) -> None:
        """It never happens."""
        self.act = None


class TownClock:
    """A `Clock` that can be told the time.

    Attributes:
        is_frozen: it stands still.
    """

    def __init__(self, source: Clock) -> None:
        self._source = source
        self._ahead = timedelta(0)
        self._stands_at: datetime | None = None
        self._alarms: list[tuple[datetime, int, Alarm]] = []
        self._number = count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_frozen(self) -> bool:
        """Whether it stands still."""
        return self._stands_at is not None

    def now(self) -> datetime:
        """Aware UTC."""
        return self._stands_at or self._source.now() + self._ahead

    def offset(self) -> timedelta:
        """How far it is ahead of the machine's; negative when behind."""
        return self.now() - self._source.now()

    def freeze(self) -> None:
        """Stand still. Set and advance move it all the same."""
        self._stands_at = self.now()
        self._rearm()

    def run(self) -> None:
        """Go on from where it stands."""
        self.set(self.now())
        self._stands_at = None
        self._rearm()

    def set(self, at: datetime) -> None:
        """It is `at` now; whatever was due until then happens, in order, each at its own time."""
        self._move(at)
        self._rearm()

    def advance(self, by: timedelta) -> None:
        """So much later at once."""
        self.set(self.now() + by)

    def follow(self) -> None:
        """The machine's time again."""
        self._stands_at = None
        self._ahead = timedelta(0)
        self._ring()

    def call_at(self, at: datetime, act: Callable[[], None]) -> Alarm:
        """Do it once this clock shows `at`."""
        alarm = Alarm(at, act)
        heapq.heappush(self._alarms, (at, next(self._number), alarm))
        if self._alarms[0][2] is alarm:
            self._rearm()
        return alarm

    async def sleep(self, seconds: float) -> None:
        """Wait so long by this clock."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        done = asyncio.get_running_loop().create_future()
        alarm = self.call_at(
            self.now() + timedelta(seconds=seconds),
            lambda: None if done.done() else done.set_result(None),
        )
        try:
            await done
        finally:
            alarm.cancel()

    def stop(self) -> None:
        """No more alarms."""
        self._alarms.clear()
        self._rearm()

    def _move(self, at: datetime) -> None:
        was_frozen = self.is_frozen
        while self._alarms and self._alarms[0][0] <= at:
            due, _, alarm = heapq.heappop(self._alarms)
            self._stands_at = max(due, self.now()) if due <= at else at
            _act(alarm)
        self._stands_at = at if was_frozen else None
        self._ahead = at - self._source.now()

    def _ring(self) -> None:
        self._timer = None
        now = self.now()
        while self._alarms and self._alarms[0][0] <= now:
            _act(heapq.heappop(self._alarms)[2])
        self._rearm()

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._alarms and self._alarms[0][2].act is None:
            heapq.heappop(self._alarms)
        if not self._alarms or self.is_frozen:
            return
        wait_s = (self._alarms[0][0] - self.now()).total_seconds()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(max(0.001, wait_s), WAKE_S_MAX), self._ring)


def _act(alarm: Alarm) -> None:
    act, alarm.act = alarm.act, None
    if act is not None:
        act()
