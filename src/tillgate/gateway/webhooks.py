"""Delivers webhooks: takes what is due, sends it, settles what became of it.

The row is the queue: each attempt is leased and counted before it leaves, so nothing is lost when
this process dies, and several processes share the work. Of one payment the next event waits until
the one before was taken or given up; other payments, endpoints and merchants never wait for it.
Nobody takes all places: an endpoint has so many, one that fails two, one that is not known here
yet one, and those that fail or are slow have half of all places together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any

from tillgate.clock import Clock
from tillgate.core.errors import StoreError
from tillgate.core.webhook_signing import signed_headers
from tillgate.core.webhooks import (
    HURRY_AFTER,
    LEASE,
    DeliveryState,
    EndpointStatus,
    Failure,
    Outcome,
    Verdict,
    judge,
    outcome_of,
)
from tillgate.gateway.announce import payload_of
from tillgate.gateway.sealing import CannotUnseal, Sealer
from tillgate.gateway.webhook_secrets import signing_keys, unseal_secrets
from tillgate.store import Store
from tillgate.store.webhook_endpoints import Endpoint
from tillgate.store.webhooks import (
    Attempt,
    Claimed,
    Waiting,
    claim,
    give_up_all,
    hurry,
    settle,
    waiting_endpoints,
)
from tillgate.webhook_transport import NotAnswered, WebhookTransport

log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 0.25
"""What another process committed is found within this; the first attempt has 1 s (issue 6)."""
PLACES = 512
"""Attempts under way in this process. Ours: each costs a socket and some 20 KiB."""
PLACES_OF_ENDPOINT = 16
PLACES_OF_FAILING = 2
"""Of an endpoint that took nothing lately: enough to notice that it is back."""
PLACES_OF_UNKNOWN = 1
"""Of an endpoint until it answered this process once: a hundred new ones that never answer take a
hundred places, not all.
"""
PLACES_OF_SLOW = PLACES // 2
"""Of all together that fail or are slow."""
SLOW_S = 1.0
"""An endpoint whose last answer took longer is slow. Ours: most answer within a tenth of it."""
ENDPOINTS_AT_ONCE = 50
"""Claimed in one commit: bounds how long a payment's commit waits for it."""
STOP_GRACE_S = 11.0
"""How long a stop lets attempts end: one takes 10 s and the rest of an answer 1 s."""


class Deliverer:
    """One per process. `start` it inside the loop that uses it."""

    def __init__(
        self,
        store: Store,
        transport: WebhookTransport,
        sealer: Sealer,
        clock: Clock,
        draw_permille: Callable[[], int],
        *,
        look_interval_s: float = LOOK_INTERVAL_S,
    ) -> None:
        self._store = store
        self._transport = transport
        self._sealer = sealer
        self._clock = clock
        self._draw_permille = draw_permille
        self._look_interval_s = look_interval_s
        self._running: Counter[str] = Counter()
        self._is_slow: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._look: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Begin to deliver."""
        await self._transport.start()
        self._look = asyncio.get_running_loop().create_task(self._deliver())

    def nudge(self) -> None:
        """Something may be due now."""
        self._news.set()

    async def stop(self) -> None:
        """Begin nothing new and let what is under way end; the rest is for the next process."""
        if self._look is not None:
            self._look.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._look
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_GRACE_S)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self._transport.close()

    async def _deliver(self) -> None:
        while True:
            self._news.clear()
            wait_s = self._look_interval_s
            try:
                wait_s = await self._take_what_is_due()
            except StoreError as error:
                log.error("webhooks cannot be read: %s", error)
            except Exception:  # a fault of ours: what it concerns waits, and nothing else
                log.exception("alert: webhooks cannot be taken")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()

    async def _take_what_is_due(self) -> float:
        """Send what is due, as far as there are places; in how many seconds to look again."""
        waiting = await waiting_endpoints(self._store)
        now = self._clock.now()
        wanted = self._wanted([each for each in waiting if each.due_at <= now])
        claimed = await claim(self._store, wanted, now, LEASE) if wanted else []
        for each in claimed:
            self._running[each.endpoint.endpoint_id] += 1
            self._spawn(self._attempt(each))
        if claimed:
            return 0  # more may be due; what is not, is told by the next look
        later = [each.due_at for each in waiting if each.due_at > now]
        if not later:
            return self._look_interval_s
        return min(self._look_interval_s, (min(later) - now).total_seconds())

    def _wanted(self, due: Sequence[Waiting]) -> dict[str, int]:
        """How much of each endpoint is taken now. Those with the least under way come first."""
        running = self._running
        left = PLACES - running.total()
        slow = sum(count for each, count in running.items() if self._is_slow.get(each))
        left_of_slow = PLACES_OF_SLOW - slow
        wanted: dict[str, int] = {}
        for each in sorted(due, key=lambda each: (running[each.endpoint_id], each.due_at)):
            if each.is_failing:
                self._is_slow[each.endpoint_id] = True
            free = min(self._places_of(each) - running[each.endpoint_id], left)
            is_slow = self._is_slow.get(each.endpoint_id, False)
            if is_slow:
                free = min(free, left_of_slow)
            if free <= 0:
                continue
            wanted[each.endpoint_id] = free
            left -= free
            left_of_slow -= free if is_slow else 0
            if len(wanted) == ENDPOINTS_AT_ONCE:
                break
        return wanted

    def _places_of(self, each: Waiting) -> int:
        if each.is_failing:
            return PLACES_OF_FAILING
        is_known = each.endpoint_id in self._is_slow
        return PLACES_OF_ENDPOINT if is_known else PLACES_OF_UNKNOWN

    async def _attempt(self, claimed: Claimed) -> None:
        endpoint_id = claimed.endpoint.endpoint_id
        try:
            await self._send_and_settle(claimed)
        except StoreError as error:
            # The lease ends, and it is sent again: the receiver knows it by its id.
            log.error("%s: an attempt's outcome was not saved: %s", endpoint_id, error)
        finally:
            self._running[endpoint_id] -= 1
            if not self._running[endpoint_id]:
                del self._running[endpoint_id]
            self.nudge()

    async def _send_and_settle(self, claimed: Claimed) -> None:
        endpoint, delivery = claimed.endpoint, claimed.delivery
        began = self._clock.now()
        try:
            outcome = await self._send(claimed, began)
        except Exception:  # counted as any failure: else it would be sent for ever
            log.exception("alert: %s: an attempt failed by a fault of ours", endpoint.endpoint_id)
            outcome = Outcome(failure=Failure.FAULT)
        now = self._clock.now()
        self._note_pace(endpoint, began, now, outcome)
        verdict = judge(
            outcome,
            failures=delivery.failures,
            tried_since=delivery.tried_since or began,
            failing_since=endpoint.failing_since,
            now=now,
            permille=self._draw_permille(),
        )
        attempt = Attempt(
            attempt=delivery.attempts,
            at=began,
            duration_ms=max(round((now - began).total_seconds() * 1000), 0),
            status=outcome.http_status,
            error=outcome.failure.value if outcome.failure else None,
        )
        if await settle(self._store, delivery, attempt, verdict, now):
            await self._look_after(endpoint, verdict, now)

    async def _send(self, claimed: Claimed, now: datetime) -> Outcome:
        endpoint, delivery = claimed.endpoint, claimed.delivery
        body = delivery.payload
        if body is None:
            assert claimed.event is not None
            body = payload_of(claimed.event)
        try:
            secrets = unseal_secrets(self._sealer, endpoint.endpoint_id, endpoint.secrets)
        except CannotUnseal as error:
            log.error("alert: %s: its secrets cannot be read: %s", endpoint.endpoint_id, error)
            return Outcome(failure=Failure.NOT_SIGNED)
        headers = signed_headers(delivery.event_id, now, body, signing_keys(secrets, now))
        try:
            answered = await self._transport.post(endpoint.url, body, headers)
        except NotAnswered as error:
            return Outcome(failure=error.failure)
        return outcome_of(answered.status, answered.retry_after, self._clock.now())

    def _note_pace(
        self, endpoint: Endpoint, began: datetime, now: datetime, outcome: Outcome
    ) -> None:
        is_slow = outcome.failure is not None or (now - began).total_seconds() > SLOW_S
        self._is_slow[endpoint.endpoint_id] = is_slow

    async def _look_after(self, endpoint: Endpoint, verdict: Verdict, now: datetime) -> None:
        """What follows for all else that waits for this endpoint."""
        endpoint_id, since = endpoint.endpoint_id, endpoint.failing_since
        if verdict.endpoint_status is EndpointStatus.DISABLED:
            log.warning("alert: %s of %s wants no more", endpoint_id, endpoint.merchant_id)
            await give_up_all(self._store, endpoint_id)
        elif verdict.endpoint_status is not None:
            log.warning(
                "alert: %s of %s took nothing for 3 days", endpoint_id, endpoint.merchant_id
            )
        elif verdict.state is DeliveryState.DELIVERED and since and now - since >= HURRY_AFTER:
            await hurry(self._store, endpoint_id, now)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("an attempt failed by a fault of ours", exc_info=error)
