"""The seeds that every run of the tests tries, and one that nobody has tried before."""

from __future__ import annotations

import os
from secrets import randbelow

CORE = (1, 7, 8, 20, 319090116)
"""Each of the last four once found a fault: a refund that was told late (7), a cancel that the
network forgot (8), an answer older than a success (20), read-lag after a reopening (319090116).
"""
GATEWAY = (70, 77)
"""A till that asked again after a restart (70), and a look that a world was left before (77). What
548994186 found, a second attempt told as a first one, has a test of its own.
"""
FRESH = int(os.environ.setdefault("TESTS_SEED", str(randbelow(10**9))))
"""Drawn anew by each run, once for all its processes; the header of the test run names it, and
`TESTS_SEED` brings it back.
"""
