"""How long somebody who signed in on a page stays signed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Life:
    """How long a session goes on without use, and at most."""

    idle: timedelta
    whole: timedelta


TILL_LIFE = Life(idle=timedelta(hours=4), whole=timedelta(hours=16))
"""A cashier's shift, with a quiet afternoon in it. Ours; `pages.till_idle_minutes` says another."""
OPERATOR_LIFE = Life(idle=timedelta(minutes=30), whole=timedelta(hours=12))
"""`pages.operator_idle_minutes` says another. OWASP (Session Management Cheat Sheet): 15 to 30
minutes idle, 4 to 8 hours of work. PCI DSS 8.2.8: 15 minutes where card data is seen, which is
nowhere here.
"""
