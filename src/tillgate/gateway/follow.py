"""Follows each payment to its end: the only place where steps are saved and their effects
performed.

The four lines of the house, for a till, a notification and a timer alike: load the payment, step,
save it with its history row where the version matches, perform the effects. An effect's answer is
the next fact and goes through the same lines. Nothing is lost when this process dies anywhere in
between: the row in the store says what is due and when.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, assert_never

from tillgate.clock import Clock
from tillgate.connectors import Connector
from tillgate.core.errors import NetworkDown, PaymentIdTaken, StaleVersion, StoreError
from tillgate.core.model import (
    Alert,
    Effect,
    Event,
    InquiryAnswered,
    Notified,
    PayAnswered,
    Payment,
    PaymentRequestId,
    PayNeverLeft,
    SendCancel,
    SendInquiry,
    SendPay,
    SendRefund,
    Status,
    Step,
    TellTill,
    TimerDue,
)
from tillgate.core.payment import step
from tillgate.gateway.circuit import Circuit
from tillgate.gateway.history import row_of
from tillgate.gateway.sealing import CannotUnseal, Sealer
from tillgate.store import KeyHeld, Opened, Opening, OrderHeld, Store

log = logging.getLogger(__name__)

SAVE_ATTEMPTS_MAX = 8
"""Each lost race means that somebody else made progress; more than a few in a row is a fault of
ours.
"""
STORE_RETRY_S = 1.0
"""Wait before a due step is tried again when the store could not save it."""
LOOK_INTERVAL_S = 2.0
OVERDUE = timedelta(seconds=2)
"""A row this long overdue that nobody drives is taken up: within 5 s of its moment, as designed."""
STOP_GRACE_S = 9.0
"""How long a stop lets running calls end: the longest one takes 8 s."""


@dataclass(slots=True, eq=False)
class _Driven:
    """A payment that this process drives, as last saved. Who waits is woken in the order they came:
    a simulation repeats only where no order hangs on addresses in memory.
    """

    payment: Payment
    body: bytes | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    timer: asyncio.TimerHandle | None = None
    waiters: dict[asyncio.Future[None], None] = field(default_factory=dict)


class Follower:
    """Drives payments from memory. One per process."""

    def __init__(
        self, store: Store, connectors: Mapping[str, Connector], sealer: Sealer, clock: Clock
    ) -> None:
        self._store = store
        self._connectors = connectors
        self._sealer = sealer
        self._clock = clock
        self._circuits = {name: Circuit() for name in connectors}
        self._driven: dict[PaymentRequestId, _Driven] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    def check_admitted(self, connector: str) -> None:
        """Refuse a new sale while its network is away.

        Raises:
            NetworkDown: nothing was saved; come again in a moment.
        """
        circuit = self._circuits[connector]
        if not circuit.admits(self._clock.now()):
            raise NetworkDown(
                "The payment network cannot be reached just now; nothing was charged."
                " Try again in a few seconds or take another method."
            )

    def networks(self) -> dict[str, str]:
        """`up` or `down` by connector, for operators."""
        return {name: "down" if c.is_open else "up" for name, c in self._circuits.items()}

    async def recover(self) -> int:
        """Take up every payment that an earlier process left unfinished; returns how many."""
        waiting = await self._store.load_waiting()
        for payment in waiting:
            self._drive(_Driven(payment))
        self._spawn(self._look_for_forgotten())
        return len(waiting)

    async def _look_for_forgotten(self) -> None:
        """Take up rows that are overdue and driven by nobody: whatever went wrong, the row is the
        queue.

        A commit that was reported as failed and is durable all the same leaves such a row.
        """
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await self._stopping.wait()
            try:
                overdue = await self._store.load_waiting(self._clock.now() - OVERDUE)
            except StoreError as error:
                log.error("the queue cannot be read: %s", error)
                continue
            for payment in overdue:
                if payment.payment_request_id not in self._driven and not self._stopping.is_set():
                    log.warning("%s: taken up, overdue", payment.payment_request_id)
                    self._drive(_Driven(payment))

    async def open(
        self, opening: Opening, body: bytes, taken: Step
    ) -> Opened | KeyHeld | OrderHeld:
        """Make a new payment durable, then perform its first effects.

        Raises:
            StoreError: it is not saved and nothing was sent.
        """
        payment = opening.payment
        driven = _Driven(payment, body)
        # Registered before the commit: whoever finds the row a moment later waits on this very
        # object.
        self._driven[payment.payment_request_id] = driven
        try:
            result = await self._store.open(opening)
        except BaseException:
            self._driven.pop(payment.payment_request_id, None)
            raise
        if isinstance(result, Opened):
            self._drive(driven)
            self._perform(driven, taken.effects)
        else:
            self._driven.pop(payment.payment_request_id, None)
        return result

    async def apply(self, payment_request_id: PaymentRequestId, event: Event) -> Payment | None:
        """Apply one fact to a payment, save, and perform what follows.

        Returns:
            The payment as saved, or None when there is no such payment.

        Raises:
            StoreError: nothing was saved; the fact may be brought again.
        """
        driven = self._driven.get(payment_request_id)
        if driven is None:
            payment = await self._store.load(payment_request_id)
            if payment is None:
                return None
            # Whoever comes while this one is busy shares it: one payment, one lock.
            driven = self._driven.setdefault(payment_request_id, _Driven(payment))
        driven.users += 1
        try:
            async with driven.lock:
                await self._apply_locked(driven, event)
                return driven.payment
        finally:
            driven.users -= 1
            self._let_go(driven)

    async def current(self, payment_request_id: PaymentRequestId) -> Payment | None:
        """The payment as it is now."""
        driven = self._driven.get(payment_request_id)
        return driven.payment if driven else await self._store.load(payment_request_id)

    async def wait(
        self,
        payment: Payment,
        seconds: float,
        is_done: Callable[[Payment], bool] = lambda payment: payment.is_final,
    ) -> Payment:
        """The payment once it is final (or as `is_done` says), or as it is after so many seconds
        or at a stop of this process.
        """
        driven = self._driven.get(payment.payment_request_id)
        if driven is None:
            return await self._store.load(payment.payment_request_id) or payment
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not is_done(driven.payment) and not self._stopping.is_set():
                    await self._next_word(driven)
        return driven.payment

    async def _next_word(self, driven: _Driven) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        driven.waiters[waiter] = None
        try:
            await waiter
        finally:
            driven.waiters.pop(waiter, None)

    def release_waiters(self) -> None:
        """Answer every waiting till now with what is known: a stop has begun. Safe to call
        twice.
        """
        self._stopping.set()
        for driven in self._driven.values():
            _wake(driven)

    async def stop(self) -> None:
        """Send nothing new, let running calls end, and leave the rest to the next process."""
        self.release_waiters()
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

    async def _apply_locked(self, driven: _Driven, event: Event) -> None:
        key = driven.payment.payment_request_id
        for _ in range(SAVE_ATTEMPTS_MAX):
            now = self._clock.now()
            policy = self._connectors[driven.payment.order.connector].policy
            taken = step(driven.payment, event, now, policy)
            if taken.payment is driven.payment:
                return
            try:
                await self._store.save(
                    taken.payment,
                    row_of(taken, event, now),
                    keep_body=taken.payment.status is Status.PENDING,
                )
            except StaleVersion:
                driven.payment = await self._store.load(key) or driven.payment
                self._drive(driven)
                continue
            except PaymentIdTaken:
                event = _with_taken_id(event)
                continue
            driven.payment = taken.payment
            self._drive(driven)
            self._perform(driven, taken.effects)
            return
        raise StaleVersion(f"{key}: somebody else keeps saving this payment")

    def _drive(self, driven: _Driven) -> None:
        """Keep a waiting payment in memory, with its timer set."""
        if driven.timer:
            driven.timer.cancel()
            driven.timer = None
        payment = driven.payment
        _wake(driven)
        if payment.next_action_at is not None:
            self._driven[payment.payment_request_id] = driven
        if payment.next_action_at is not None and not self._stopping.is_set():
            delay = (payment.next_action_at - self._clock.now()).total_seconds()
            self._set_timer(driven, max(delay, 0.001))

    def _let_go(self, driven: _Driven) -> None:
        """Forget a payment that rests, or that was only looked at, once nobody uses it.

        Kept without a timer, it would pass for driven here and never be taken up.
        """
        rests = driven.payment.next_action_at is None or driven.timer is None
        key = driven.payment.payment_request_id
        if driven.users == 0 and rests and self._driven.get(key) is driven:
            del self._driven[key]

    def _set_timer(self, driven: _Driven, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        driven.timer = loop.call_later(delay_s, lambda: self._spawn(self._timer_due(driven)))

    async def _timer_due(self, driven: _Driven) -> None:
        before = driven.payment
        try:
            await self.apply(before.payment_request_id, TimerDue())
        except StoreError as error:
            log.error("%s: not saved, trying again: %s", before.payment_request_id, error)
            self._set_timer(driven, STORE_RETRY_S)
            return
        except Exception:
            # A fault of ours must not leave a payment without a timer.
            log.exception("%s: a step failed, trying again", before.payment_request_id)
            self._set_timer(driven, STORE_RETRY_S)
            return
        if driven.payment is before:
            # The timer came a moment early by the wall clock.
            self._drive(driven)

    def _perform(self, driven: _Driven, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if self._stopping.is_set() and isinstance(effect, _CALLS):
                # The row says that it is due: the next process sends it.
                continue
            match effect:
                case SendPay():
                    self._spawn(self._call(driven, self._pay(driven)))
                case SendInquiry():
                    self._spawn(self._call(driven, self._connector(driven).inquire(driven.payment)))
                case SendCancel():
                    self._spawn(self._call(driven, self._connector(driven).cancel(driven.payment)))
                case SendRefund():
                    self._spawn(self._call(driven, self._connector(driven).refund(driven.payment)))
                case TellTill():
                    pass  # `_drive` wakes whoever waits; each looks for itself whether it is done
                case Alert(reason):
                    log.warning("%s: alert: %s", driven.payment.payment_request_id, reason)
                case _:
                    assert_never(effect)

    async def _call(self, driven: _Driven, call: Coroutine[Any, Any, Event]) -> None:
        """Perform one call and apply its outcome."""
        event = await call
        changed = self._circuits[driven.payment.order.connector].heard(event, self._clock.now())
        if changed:
            log.warning("alert: %s: %s", driven.payment.order.connector, changed)
        try:
            await self.apply(driven.payment.payment_request_id, event)
        except StoreError as error:
            # The row still awaits this call's outcome; its timer will ask the network again.
            log.error("%s: outcome not saved: %s", driven.payment.payment_request_id, error)

    async def _pay(self, driven: _Driven) -> Event:
        key = driven.payment.payment_request_id
        if driven.body is None:
            try:
                sealed = await self._store.load_pay_body(key)
                driven.body = self._sealer.unseal(sealed or b"", key)
            except (CannotUnseal, StoreError) as error:
                return PayNeverLeft(f"the stored request cannot be read: {error}")
        return await self._connector(driven).pay(driven.body)

    def _connector(self, driven: _Driven) -> Connector:
        return self._connectors[driven.payment.order.connector]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # A fault of ours. The payment's row is intact and its timer set.
            log.error("a step failed", exc_info=error)


_CALLS = (SendPay, SendInquiry, SendCancel, SendRefund)


def _wake(driven: _Driven) -> None:
    for waiter in driven.waiters:
        if not waiter.done():
            waiter.set_result(None)


def _with_taken_id(event: Event) -> Event:
    match event:
        case PayAnswered(report) | InquiryAnswered(report) | Notified(report):
            return type(event)(replace(report, is_payment_id_taken=True))
        case _:
            return event
