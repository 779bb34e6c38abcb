"""What is due at one network and when: orders that expire, and words that wallets say later."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from tillgate.alipayplus.messages import Result


@dataclass(frozen=True, slots=True)
class Due:
    """At this moment the wallet says `result` of the payment; None: its order is over."""

    at: datetime
    payment_id: str
    result: Result | None


class Agenda:
    """In the order of time; at one moment a word comes before an end."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, bool, int, Due]] = []
        self._number = count()

    def add(self, at: datetime, payment_id: str, result: Result | None = None) -> None:
        """One more thing."""
        due = Due(at, payment_id, result)
        heapq.heappush(self._heap, (at, result is None, next(self._number), due))

    def next_at(self) -> datetime | None:
        """When the next thing is due."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: datetime) -> Due | None:
        """The next thing that is due by now, once."""
        if not self._heap or self._heap[0][0] > now:
            return None
        return heapq.heappop(self._heap)[3]
