"""Whether the network can be asked at all: a circuit that opens when it is down or refuses our
signature.

While it is open, new sales are refused before they exist, which costs a till nothing but a moment;
what is already under way goes on asking and cancelling, and each such call is a probe. With nothing
under way, one sale is let through now and then to look. Any signed answer closes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tillgate.core.model import (
    CancelUnanswered,
    Event,
    InquiryUnanswered,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    RefundUnanswered,
)
from tillgate.core.refund_model import (
    LookUnanswered,
    RefundEvent,
    SendNeverLeft,
    SendRefusedUnsigned,
    SendUnanswered,
)

FAILURES_TO_OPEN = 5
"""Calls in a row without a usable answer: one lost reply is weather, five are a storm. Ours."""
PROBE_INTERVAL = timedelta(seconds=5)
"""How often a sale may look whether the network is back; also the till's Retry-After. Ours."""

_SILENCE = (
    PayUnanswered,
    InquiryUnanswered,
    CancelUnanswered,
    RefundUnanswered,
    PayNeverLeft,
    SendUnanswered,
    SendNeverLeft,
    LookUnanswered,
)


@dataclass(slots=True)
class Circuit:
    """The state of one connector's network, as its calls tell it."""

    failures: int = 0
    reason: str | None = None
    next_probe_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """New sales are refused."""
        return self.reason is not None

    def heard(self, outcome: Event | RefundEvent, now: datetime) -> str | None:
        """Take note of a call's outcome; gives one sentence when the circuit opens or closes."""
        if isinstance(outcome, PayRefusedUnsigned | SendRefusedUnsigned):
            return self._open(f"the network refuses our messages: {outcome.code}", now)
        if isinstance(outcome, _SILENCE):
            self.failures += 1
            if self.failures < FAILURES_TO_OPEN:
                return None
            return self._open(f"the network does not answer: {outcome.reason}", now)
        was_open, self.failures, self.reason = self.is_open, 0, None
        return "the network answers again" if was_open else None

    def admits(self, now: datetime) -> bool:
        """Whether a new sale may begin; while open, one may at each probe interval."""
        if self.reason is None:
            return True
        if self.next_probe_at is not None and now < self.next_probe_at:
            return False
        self.next_probe_at = now + PROBE_INTERVAL
        return True

    def _open(self, reason: str, now: datetime) -> str | None:
        was_open, self.reason = self.is_open, reason
        if was_open:
            return None
        self.next_probe_at = now + PROBE_INTERVAL
        return reason
