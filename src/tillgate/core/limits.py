"""How many requests a key may send: a token bucket, whose time is an argument."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in the long run, and so many at once.

    Attributes:
        per_second: 0 means that there is no limit.
        burst: at least 1.
    """

    per_second: int
    burst: int


class Buckets:
    """One bucket for each key; as many as there are keys."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._filled: dict[str, tuple[int, datetime]] = {}

    def wait_s(self, key_id: str, now: datetime) -> int:
        """0 takes a place; else how many whole seconds until there is one.

        A clock that is set back fills nothing and takes nothing away.
        """
        limit = self._limit
        if not limit.per_second:
            return 0
        full = limit.burst * 1_000_000  # millionths of a request, so that no part is lost
        level, since = self._filled.get(key_id, (full, now))
        gained = max(0, round((now - since).total_seconds() * 1_000_000)) * limit.per_second
        level = min(full, level + gained)
        if level >= 1_000_000:
            self._filled[key_id] = (level - 1_000_000, now)
            return 0
        self._filled[key_id] = (level, now)
        return max(1, math.ceil((1_000_000 - level) / limit.per_second / 1_000_000))
