"""How long an account waits after wrong passwords: longer with each, so that guessing takes years
and a person who mistyped waits seconds.
"""

from __future__ import annotations

from datetime import timedelta

FREE_TRIES = 5
"""Wrong ones in a row that cost nothing. OWASP (Authentication Cheat Sheet) leaves it open."""
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
"""Ours: some nine thousand tries a year, and whoever forgot is let in again within the hour."""


def wait_after(failures: int) -> timedelta:
    """From the last of so many failures in a row until the next try."""
    beyond = failures - FREE_TRIES
    if beyond < 0:
        return timedelta(0)
    doubled: int = 2 ** min(beyond, 16)
    return min(LONGEST_WAIT, FIRST_WAIT * doubled)
