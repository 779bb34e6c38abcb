"""How the last hour went, for the console: small counts in memory, ten seconds each, of this
process; `merged` puts several processes together. What is true of the whole installation (the
oldest payment that waits, webhooks that wait, how quickly the database answers) is looked up once
for each of these spans.

Prometheus' figures (`metrics.py`) are for alarms and for longer than an hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter
from typing import TypeVar

import msgspec

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


STEPS = 8
"""So finely times are kept: so many steps from one to its double, 4.4 % to either side."""


def step_of(took_ms: float) -> int:
    """Where a time is counted. Counts and not times: memory is the same at any load."""
    return round(math.log2(max(took_ms, 0.01)) * STEPS)


@dataclass(slots=True)
class Span:
    """Ten seconds.

    Attributes:
        began: aware UTC.
        ended: payments that came to a status that is an end, by status.
        calls: how many pay calls took so long, by `step_of`.
        inquiries: calls of inquiryPayment.
        oldest_s: how long the oldest open payment waits, in seconds; None: the store did not say.
        webhook_s: how long the oldest webhook waits.
        database_ms: how long the store took to say so.
    """

    began: datetime
    ended: dict[str, int] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)
    inquiries: int = 0
    oldest_s: float | None = None
    webhook_s: float | None = None
    database_ms: float | None = None

    def percentile(self, share: float) -> float | None:
        """Of the pay calls' times, in milliseconds; None without any."""
        place = sum(self.calls.values()) * share
        for step in sorted(self.calls):
            place -= self.calls[step]
            if place < 0 or step == max(self.calls):
                return float(2 ** (step / STEPS))
        return None


def together(spans: Sequence[Span]) -> Span:
    """One span of several: counts are added, the worst of what is no count. At least one."""
    whole = Span(spans[0].began)
    for span in spans:
        for status, count in span.ended.items():
            whole.ended[status] = whole.ended.get(status, 0) + count
        for step, count in span.calls.items():
            whole.calls[step] = whole.calls.get(step, 0) + count
        whole.inquiries += span.inquiries
        for name in ("oldest_s", "webhook_s", "database_ms"):
            known = [
                each for each in (getattr(whole, name), getattr(span, name)) if each is not None
            ]
            setattr(whole, name, max(known, default=None))
    return whole


def merged(all_spans: Sequence[Sequence[Span]]) -> tuple[Span, ...]:
    """Several processes' last hours as one. They end now, so that they are put together from their
    ends: to ten seconds.
    """
    length = max(len(spans) for spans in all_spans)
    return tuple(
        together([spans[len(spans) - back] for spans in all_spans if len(spans) >= back])
        for back in range(length, 0, -1)
    )


def write_spans(spans: Sequence[Span]) -> bytes:
    """For another process of the same release."""
    return msgspec.msgpack.encode(spans)


def read_spans(text: bytes) -> list[Span]:
    """What `write_spans` wrote.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return msgspec.msgpack.decode(text, type=list[Span])


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
            _count(self._spans[-1].ended, after.status.value)

    def refunded(self, before: Refund | None, after: Refund) -> None:
        """See `Watch`."""
        self._behind.refunded(before, after)

    def called(
        self, connector: str, call: str, outcome: Event | RefundEvent, took: timedelta
    ) -> None:
        """See `Watch`."""
        self._behind.called(connector, call, outcome, took)
        if call == "pay":
            _count(self._spans[-1].calls, step_of(took.total_seconds() * 1000))
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


Key = TypeVar("Key")


def _count(counts: dict[Key, int], key: Key) -> None:
    counts[key] = counts.get(key, 0) + 1


def _since(at: int | None, now: datetime) -> float:
    return 0.0 if at is None else max(0.0, (now - from_microseconds(at)).total_seconds())
