"""Follows each refund to its end, as `gateway/follow.py` does payments: load, step, save, perform.

The end of a refund is saved in one commit with what its payment makes of it and what the merchant
is told, under the payment's own lock. Locks are taken in one order: the refund's, then the
payment's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, assert_never

import msgspec

from tillgate.clock import Clock
from tillgate.core.errors import StaleRefund, StoreError
from tillgate.core.model import (
    Alert,
    Payment,
    Step,
    TellTill,
    TimerDue,
)
from tillgate.core.refund import is_refund_call_of, refund_step
from tillgate.core.refund_model import (
    GiveBack,
    LookUp,
    Refund,
    RefundEffect,
    RefundEvent,
    RefundRequestId,
    RefundStatus,
    RefundStep,
)
from tillgate.core.refunding import RefundFact, fact_of
from tillgate.gateway.announce import event_of
from tillgate.gateway.calls import TOO_MANY
from tillgate.gateway.follow import (
    BATCH_ROWS,
    LOOK_INTERVAL_S,
    OVERDUE,
    READ_AGAIN_S,
    SAVE_ATTEMPTS_MAX,
    STOP_GRACE_S,
    STORE_RETRY_S,
    Follower,
)
from tillgate.gateway.lanes import Slot
from tillgate.gateway.metrics import Watch
from tillgate.gateway.refund_calls import RefundCalls, not_sent
from tillgate.gateway.refund_history import refund_row_of
from tillgate.gateway.resources import refund_resource
from tillgate.store import History, Store
from tillgate.store.refunds import (
    load_refund,
    load_waiting_refunds,
    save_refund,
    save_told_refund,
)

log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


@dataclass(slots=True, eq=False)
class _Driven:
    """A refund that this process drives, as last saved."""

    refund: Refund
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    timer: asyncio.TimerHandle | None = None
    is_queued: bool = False
    waiters: dict[asyncio.Future[None], None] = field(default_factory=dict)


class RefundFollower:
    """Drives refunds from memory. One per process, beside the follower of its payments."""

    def __init__(
        self,
        store: Store,
        payments: Follower,
        calls: RefundCalls,
        clock: Clock,
        watch: Watch | None = None,
    ) -> None:
        self._store = store
        self._payments = payments
        self._calls = calls
        self._clock = clock
        self._watch = watch or Watch()
        self._driven: dict[RefundRequestId, _Driven] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._look: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._is_ending = False

    async def recover(self) -> int:
        """Take up every refund that an earlier process left unfinished; returns how many.

        Where nodes share the store: those that are overdue.
        """
        since = self._clock.now() - OVERDUE if self._store.is_shared else None
        taken_up, last = 0, None
        while batch := await load_waiting_refunds(self._store, since, after=last, limit=BATCH_ROWS):
            taken_up += self._take_up(batch)
            last = batch[-1]
            await asyncio.sleep(0)
        self._look = self._spawn(self._look_for_forgotten())
        return taken_up

    def _take_up(self, batch: Sequence[Refund]) -> int:
        unknown = [each for each in batch if each.refund_request_id not in self._driven]
        for refund in unknown:
            self._drive(_Driven(refund))
        return len(unknown)

    async def _look_for_forgotten(self) -> None:
        """Take up rows that are overdue and driven by nobody: a dead node's, or a lost commit's."""
        last: Refund | None = None
        taken_up = 0
        while True:
            await asyncio.sleep(0 if last and taken_up else LOOK_INTERVAL_S)
            since = self._clock.now() - OVERDUE
            try:
                batch = await load_waiting_refunds(self._store, since, after=last, limit=BATCH_ROWS)
            except StoreError as error:
                log.error("the queue of refunds cannot be read: %s", error)
                taken_up = 0
                continue
            last = batch[-1] if len(batch) == BATCH_ROWS else None
            if taken_up := self._take_up(batch):
                log.warning("taken up %d overdue refunds that nobody drove", taken_up)

    def begin(self, taken: RefundStep) -> None:
        """Drive a new refund, which is durable, and perform its first effects."""
        driven = _Driven(taken.refund)
        self._watch.refunded(None, taken.refund)
        self._drive(driven)
        self._perform(driven, taken.refund, taken.effects)

    async def apply(self, refund_request_id: RefundRequestId, event: RefundEvent) -> Refund | None:
        """Apply one fact to a refund, save, and perform what follows.

        Returns:
            The refund as saved, or None when there is no such refund.

        Raises:
            StoreError: nothing was saved; the fact may be brought again.
        """
        return await self._apply(refund_request_id, event, None)

    async def _apply(
        self,
        key: RefundRequestId,
        event: RefundEvent,
        slot: Slot | None,
        asked: Refund | None = None,
    ) -> Refund | None:
        driven = self._driven.get(key)
        if driven is None:
            refund = await load_refund(self._store, key)
            if refund is None:
                return None
            driven = self._driven.setdefault(key, _Driven(refund))
        driven.users += 1
        try:
            async with driven.lock:
                await self._apply_locked(driven, event, slot, asked)
                return driven.refund
        finally:
            driven.users -= 1
            self._let_go(driven)

    async def current(self, refund_request_id: RefundRequestId) -> Refund | None:
        """The refund as it is now, also where another node has brought it further."""
        driven = self._driven.get(refund_request_id)
        if driven and not self._store.is_shared:
            return driven.refund
        refund = await load_refund(self._store, refund_request_id)
        driven = self._driven.get(refund_request_id)
        if driven and refund and not driven.lock.locked():
            if refund.version > driven.refund.version:
                driven.refund = refund
                self._drive(driven)
            self._let_go(driven)
        return _newest(refund, driven)

    async def wait(self, refund: Refund, seconds: float) -> Refund:
        """The refund once it is not PENDING any more, or as it is after so many seconds or at a
        stop of this process.
        """
        key = refund.refund_request_id
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while refund.status is RefundStatus.PENDING and not self._stopping.is_set():
                    driven = self._driven.get(key)
                    if driven is None:
                        # Somebody else drives it, or nobody took it up yet.
                        await asyncio.sleep(READ_AGAIN_S)
                    elif driven.refund.version <= refund.version:
                        await self._next_word(driven)
                    refund = await self.current(key) or refund
        return _newest(refund, self._driven.get(key)) or refund

    async def _next_word(self, driven: _Driven) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        driven.waiters[waiter] = None
        # What another node does to it, nobody tells this one.
        limit_s = READ_AGAIN_S if self._store.is_shared else None
        try:
            await asyncio.wait([waiter], timeout=limit_s)
        finally:
            driven.waiters.pop(waiter, None)

    def release_waiters(self) -> None:
        """Answer everybody who waits now: a stop has begun. Safe to call twice."""
        self._stopping.set()
        for driven in self._driven.values():
            _wake(driven)

    async def stop(self) -> None:
        """Send nothing new, let running calls end, and leave the rest to the next process."""
        self.release_waiters()
        self._is_ending = True
        if self._look:
            self._look.cancel()
        for driven in self._driven.values():
            if driven.timer:
                driven.timer.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE_S):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _apply_locked(
        self, driven: _Driven, event: RefundEvent, slot: Slot | None, asked: Refund | None
    ) -> None:
        key = driven.refund.refund_request_id
        for _ in range(SAVE_ATTEMPTS_MAX):
            now, policy = self._clock.now(), self._calls.policy(driven.refund)
            is_awaited = asked is None or is_refund_call_of(asked, driven.refund)
            taken = refund_step(driven.refund, event, now, policy, is_awaited=is_awaited)
            if taken.refund is driven.refund:
                return
            row = refund_row_of(taken, event, now)
            try:
                if TellTill() in taken.effects:
                    await self._save_told(taken.refund, row)
                else:
                    await save_refund(self._store, taken.refund, row)
            except StaleRefund:
                driven.refund = await load_refund(self._store, key) or driven.refund
                self._drive(driven)
                continue
            self._watch.refunded(driven.refund, taken.refund)
            driven.refund = taken.refund
            self._drive(driven)
            self._perform(driven, taken.refund, taken.effects, slot)
            return
        raise StaleRefund(f"{key}: somebody else keeps saving this refund")

    async def _save_told(self, refund: Refund, row: History) -> None:
        """In one commit: the refund, its payment, what the merchant is told."""
        fact = fact_of(refund)
        is_saved = False

        async def save(taken: Step, payment_row: History, now: datetime) -> None:
            nonlocal is_saved
            body = _encoder.encode(refund_resource(refund))
            type_ = f"refund.{refund.status.lower()}"
            told = event_of(taken.payment, type_, now, body, refund.refund_request_id)
            await save_told_refund(self._store, refund, row, taken.payment, payment_row, told)
            is_saved = True

        def on(payment: Payment, now: datetime) -> RefundFact:
            return fact

        await self._payments.apply_with(refund.payment_request_id, on, save)
        if not is_saved:
            # What a refund reserved is on its payment until it ends: another process ended it.
            raise StaleRefund(f"{refund.refund_request_id}: somebody else ended it first")

    def _drive(self, driven: _Driven) -> None:
        """Keep a waiting refund in memory, with its timer set."""
        if driven.timer:
            driven.timer.cancel()
            driven.timer = None
        refund = driven.refund
        _wake(driven)
        if refund.next_action_at is not None:
            self._driven[refund.refund_request_id] = driven
        if refund.next_action_at is not None and not self._stopping.is_set():
            delay = (refund.next_action_at - self._clock.now()).total_seconds()
            self._set_timer(driven, max(delay, 0.001))

    def _let_go(self, driven: _Driven) -> None:
        """Forget a refund that rests, or that was only looked at, once nobody uses it."""
        rests = driven.refund.next_action_at is None or driven.timer is None
        key = driven.refund.refund_request_id
        if driven.users == 0 and rests and self._driven.get(key) is driven:
            del self._driven[key]

    def _set_timer(self, driven: _Driven, delay_s: float) -> None:
        if self._stopping.is_set():
            return
        loop = asyncio.get_running_loop()
        driven.timer = loop.call_later(delay_s, lambda: self._ask_for_place(driven))

    def _ask_for_place(self, driven: _Driven) -> None:
        """A due step waits for its place before it is taken: what it saves is then true."""
        if not driven.is_queued:
            driven.is_queued = True
            self._calls.ask(driven.refund, lambda slot: self._start_due(driven, slot))

    def _start_due(self, driven: _Driven, slot: Slot) -> bool:
        driven.is_queued = False
        if self._stopping.is_set() or driven.refund.next_action_at is None:
            return False
        self._spawn(self._timer_due(driven, slot))
        return True

    async def _timer_due(self, driven: _Driven, slot: Slot) -> None:
        before, is_over = driven.refund, False
        try:
            await self._apply(before.refund_request_id, TimerDue(), slot)
            is_over = True
        except StoreError as error:
            log.error("%s: not saved, trying again: %s", before.refund_request_id, error)
            self._set_timer(driven, STORE_RETRY_S)
            is_over = True
            return
        finally:
            slot.give_back()
            if not is_over:
                self._forget(driven)
        if driven.refund is before:
            # The timer came a moment early by the wall clock, or another fact came first.
            self._drive(driven)

    def _forget(self, driven: _Driven) -> None:
        """After a fault of ours: kept without a timer it would pass for driven and never be taken
        up.
        """
        if driven.timer:
            driven.timer.cancel()
        self._driven.pop(driven.refund.refund_request_id, None)
        _wake(driven)

    def _perform(
        self,
        driven: _Driven,
        asked: Refund,
        effects: tuple[RefundEffect, ...],
        slot: Slot | None = None,
    ) -> None:
        for effect in effects:
            match effect:
                case GiveBack() | LookUp():
                    if not self._is_ending:
                        place = slot.pass_on() if slot else None
                        self._spawn(self._call(driven, asked, place))
                case TellTill():
                    pass  # `_drive` wakes whoever waits
                case Alert(reason):
                    log.warning("%s: alert: %s", asked.refund_request_id, reason)
                case _:
                    assert_never(effect)

    async def _call(self, driven: _Driven, asked: Refund, slot: Slot | None) -> None:
        """Perform one call of the refund as it was saved then, and apply its outcome."""
        slot = slot or await self._calls.place(asked)
        try:
            if slot is None:
                event = not_sent(asked, TOO_MANY)
            else:
                event = await self._calls.perform(asked, driven.refund)
            await self._apply(asked.refund_request_id, event, slot, asked)
        except StoreError as error:
            # The row still awaits this call's outcome; its timer will ask the network again.
            log.error("%s: outcome not saved: %s", asked.refund_request_id, error)
        finally:
            if slot:
                slot.give_back()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # A fault of ours. The refund's row is intact; whoever looks takes it up again.
            log.error("a step of a refund failed", exc_info=error)


def _newest(refund: Refund | None, driven: _Driven | None) -> Refund | None:
    if driven is None or (refund is not None and refund.version > driven.refund.version):
        return refund
    return driven.refund


def _wake(driven: _Driven) -> None:
    for waiter in driven.waiters:
        if not waiter.done():
            waiter.set_result(None)
