"""How the last hour went, for the console: small counts in memory, ten seconds each, of this
process. What is true of the whole installation (the oldest payment that waits, webhooks that wait,
how quickly the database answers) is looked up once for each of these spans.

Prometheus' figures (`metrics.py`) are for alarms and for longer than an hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter

from tillgate.clock import Clock
from tillgate.core.errors import StoreError
from tillgate.core.model import Event, Payment
from tillgate.core.refund_model import Refund, RefundEvent
from tillgate.gateway.metrics import Watch
from tillgate.store import Sql, Store
from tillgate.store.rows import from_microseconds

log = logging.getLogger(__name__)

SPAN = timedelta(seconds=10)
KEPT = 360
"""Spans: an hour."""
_OLDEST = Sql(
    "SELECT (SELECT min(placed_at) FROM payment WHERE next_action_at IS NOT NULL"
    " AND status = 'PENDING') AS payment, (SELECT min(created_at) FROM webhook_delivery"
    " WHERE state = 'pending') AS webhook"
)


@dataclass(slots=True)
class Span:
    """Ten seconds.

    Attributes:
        began: aware UTC.
        ended: payments that came to a status that is an end, by status.
        calls_ms: how long each pay call took, in milliseconds.
        inquiries: calls of inquiryPayment.
        oldest_s: how long the oldest open payment waits, in seconds; None: the store did not say.
        webhook_s: how long the oldest webhook waits.
        database_ms: how long the store took to say so.
    """

    began: datetime
    ended: Counter[str] = field(default_factory=Counter)
    calls_ms: list[float] = field(default_factory=list)
    inquiries: int = 0
    oldest_s: float | None = None
    webhook_s: float | None = None
    database_ms: float | None = None

    def percentile(self, share: float) -> float | None:
        """Of the pay calls' times; None without any."""
        if not self.calls_ms:
            return None
        ordered = sorted(self.calls_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


ENDS = ("SUCCEEDED", "FAILED", "CANCELLED", "UNRESOLVED")


class Health(Watch):
    """Counts, and hands on what it is told to another watch. One per process."""

    def __init__(self, behind: Watch, store: Store, clock: Clock) -> None:
        self._behind = behind
        self._store = store
        self._clock = clock
        self._spans: deque[Span] = deque([Span(clock.now())], maxlen=KEPT)
        self._task: asyncio.Task[None] | None = None

    @property
    def spans(self) -> tuple[Span, ...]:
        """From the oldest; the last one is not over."""
        return tuple(self._spans)

    def changed(self, before: Payment | None, after: Payment) -> None:
        """See `Watch`."""
        self._behind.changed(before, after)
        if (before is None or before.status is not after.status) and after.status.value in ENDS:
            self._spans[-1].ended[after.status.value] += 1

    def refunded(self, before: Refund | None, after: Refund) -> None:
        """See `Watch`."""
        self._behind.refunded(before, after)

    def called(
        self, connector: str, call: str, outcome: Event | RefundEvent, took: timedelta
    ) -> None:
        """See `Watch`."""
        self._behind.called(connector, call, outcome, took)
        if call == "pay":
            self._spans[-1].calls_ms.append(took.total_seconds() * 1000)
        elif call.startswith("inquir"):
            self._spans[-1].inquiries += 1

    def answered(self, operation: str, status: int) -> None:
        """See `Watch`."""
        self._behind.answered(operation, status)

    async def start(self) -> None:
        """Begin to look at the store."""
        self._task = asyncio.get_running_loop().create_task(self._look())

    async def stop(self) -> None:
        """No more of it."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def look(self) -> None:
        """End the span that runs with what the store says, and begin the next one."""
        span, now = self._spans[-1], self._clock.now()
        began = perf_counter()
        try:
            [row] = await self._store.report(_OLDEST)
        except StoreError as error:
            log.warning("the store does not say how it is: %s", error)
        else:
            span.database_ms = (perf_counter() - began) * 1000
            span.oldest_s = _since(row["payment"], now)
            span.webhook_s = _since(row["webhook"], now)
        self._spans.append(Span(now))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(SPAN.total_seconds())
            try:
                await self.look()
            except Exception:
                log.exception("how the gateway is cannot be told")


def _since(at: int | None, now: datetime) -> float:
    return 0.0 if at is None else max(0.0, (now - from_microseconds(at)).total_seconds())
