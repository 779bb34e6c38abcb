"""What the clock is told, and a whole script, as bodies."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tillgate.sandbox.plays import Words
from tillgate.sandbox.scripts import Faults, RuleRequest

ADVANCE_S_MAX = 10 * 366 * 86400
"""Ten years at once: the 365th day of a refund, and any contract's end."""


class ClockRequest(Words, frozen=True):
    """What the clock is told: `follow` first, then `now`, `advance_s`, and whether it stands.

    Attributes:
        follow: the machine's time again; alone.
        now: ISO 8601 with an offset.
    """

    follow: bool = False
    now: str | None = None
    advance_s: Annotated[float, Meta(ge=0, le=ADVANCE_S_MAX)] | None = None
    frozen: bool | None = None


class ScriptRequest(Words, frozen=True):
    """Everything at once, instead of what was. A clock that is not named stays as it is."""

    rules: tuple[RuleRequest, ...] = ()
    faults: Faults | None = None
    clock: ClockRequest | None = None
