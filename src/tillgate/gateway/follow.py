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
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from tillgate.clock import Clock
from tillgate.connectors import Connector
from tillgate.core.errors import PaymentIdTaken, StaleVersion, StoreError
from tillgate.core.model import (
    Alert,
    Call,
    Effect,
    Event,
    InquiryAnswered,
    Notified,
    PayAnswered,
    Payment,
    PaymentRequestId,
    SendCancel,
    SendInquiry,
    SendPay,
    SendRefund,
    Status,
    Step,
    TellTill,
    TimerDue,
)
from tillgate.core.payment import is_call_of, step
from tillgate.gateway.announce import told_of
from tillgate.gateway.calls import TOO_MANY, Calls, Send, not_sent
from tillgate.gateway.elsewhere import Elsewhere, Known
from tillgate.gateway.history import row_of
from tillgate.gateway.lanes import Slot
from tillgate.gateway.metrics import Watch
from tillgate.gateway.sealing import Sealer
from tillgate.store import History, KeyHeld, Opened, Opening, OrderHeld, Store

log = logging.getLogger(__name__)

SAVE_ATTEMPTS_MAX = 8
"""Each lost race means that somebody else made progress; more than a few in a row is a fault of
ours.
"""
STORE_RETRY_S = 1.0
"""Wait before a due step is tried again when the store could not save it."""
READ_AGAIN_S = 0.25
"""How often a waiting till's payment is read that this process does not drive."""
LOOK_INTERVAL_S = 2.0
OVERDUE = timedelta(seconds=2)
"""A row this long overdue that nobody drives is taken up: within 5 s of its moment, as designed."""
BATCH_ROWS = 500
"""Waiting rows read at once: about 20 ms of this process, then everybody else has a turn. Ours."""
REMEMBERED_MAX = 1_000
"""Payments at rest that stay in memory: a notification comes a moment after its payment's end, and
is answered without reading all of the row. About 2 MB. Ours.
"""
STOP_GRACE_S = 9.0
"""How long a stop lets running calls end: the longest one takes 8 s."""


Fact = Callable[[Payment, datetime], Event]
"""What happens to a payment as it is now; whatever it raises reaches the caller."""
Save = Callable[[Step, History, datetime], Awaitable[None]]
"""Saves a step and its history row in one commit with something else.

Raises `StaleVersion` where somebody else saved the payment first.
"""


@dataclass(slots=True, eq=False)
class _Driven:
    """A payment that this process drives, as last saved. Who waits is woken in the order they came:
    a simulation repeats only where no order hangs on addresses in memory.

    While it `is_opening` the store may know more: its place among the attempts of its order.
    """

    payment: Payment
    body: bytes | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    is_opening: bool = False
    timer: asyncio.TimerHandle | None = None
    is_queued: bool = False
    waiters: dict[asyncio.Future[None], None] = field(default_factory=dict)


class _Locked:
    """A payment, nobody else's meanwhile in this process; None when there is none.

    Every fact of every payment goes through one, and a generator would take it three times as long.
    """

    __slots__ = ("_done_with", "_driven", "_taking_up")

    def __init__(
        self, taking_up: Awaitable[_Driven | None], done_with: Callable[[_Driven], None]
    ) -> None:
        self._taking_up = taking_up
        self._done_with = done_with
        self._driven: _Driven | None = None

    async def __aenter__(self) -> _Driven | None:
        driven = await self._taking_up
        if driven is not None:
            try:
                await driven.lock.acquire()
            except BaseException:
                self._done_with(driven)
                raise
            self._driven = driven
        return driven

    async def __aexit__(self, *error: object) -> None:
        if self._driven is not None:
            self._driven.lock.release()
            self._done_with(self._driven)


class Follower:
    """Drives payments from memory. One per process."""

    def __init__(
        self,
        store: Store,
        connectors: Mapping[str, Connector],
        sealer: Sealer,
        clock: Clock,
        watch: Watch | None = None,
        on_told: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._on_told = on_told
        self._clock = clock
        self._watch = watch or Watch()
        self.calls = self._calls = Calls(store, connectors, sealer, clock, self._watch)
        self._driven: dict[PaymentRequestId, _Driven] = {}
        self._remembered: dict[PaymentRequestId, Payment] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._looks: list[asyncio.Task[None]] = []
        self._elsewhere = Elsewhere(
            store,
            awaited=lambda: self._known(is_awaited=True),
            driven=lambda: self._known(is_awaited=False),
            adopt=self._adopt,
        )
        self._stopping = asyncio.Event()
        self._is_ending = False
        self.check_admitted = self._calls.check_admitted
        self.networks = self._calls.networks

    async def recover(self) -> int:
        """Take up every payment that an earlier process left unfinished; returns how many.

        Where nodes share the store: those that are overdue. The others may well be driven.
        """
        since = self._clock.now() - OVERDUE if self._store.is_shared else None
        taken_up, last = 0, None
        while batch := await self._store.load_waiting(since, after=last, limit=BATCH_ROWS):
            taken_up += self._take_up(batch)
            last = batch[-1]
            # A row whose timer fired meanwhile moved on to a later moment: it is known by then.
            await asyncio.sleep(0)
        self._looks = [self._spawn(self._look_for_forgotten())]
        if self._store.is_shared:
            self._looks.append(self._spawn(self._elsewhere.run()))
        return taken_up

    def _known(self, *, is_awaited: bool) -> list[Known]:
        return [
            (key, driven.payment.version)
            for key, driven in self._driven.items()
            if driven.waiters or not is_awaited
        ]

    async def _adopt(self, payment: Payment) -> None:
        """Take over what another node made of a payment that is driven here."""
        driven = self._driven.get(payment.payment_request_id)
        if driven is None:
            return
        driven.users += 1
        try:
            async with driven.lock:
                self._catch_up(driven, payment)
        finally:
            self._done_with(driven)

    def _catch_up(self, driven: _Driven, payment: Payment) -> None:
        if payment.version > driven.payment.version:
            driven.payment = payment
            if payment.status is not Status.PENDING:
                driven.body = None  # it holds the payment code
            self._drive(driven)

    def _take_up(self, batch: Sequence[Payment]) -> int:
        """Drive those of these payments that nobody drives yet; returns how many."""
        unknown = [each for each in batch if each.payment_request_id not in self._driven]
        for payment in unknown:
            self._drive(_Driven(payment))
        return len(unknown)

    async def _look_for_forgotten(self) -> None:
        """Take up rows that are overdue and driven by nobody: whatever went wrong, the row is the
        queue.

        A commit that was reported as failed and is durable all the same leaves such a row. One look
        reads one batch, and the next one goes on behind it: also where many that are driven wait
        for a place, looking stays cheap. What a node left that drove thousands is read in one go.
        """
        last: Payment | None = None
        taken_up = 0
        while True:
            await asyncio.sleep(0 if last and taken_up else LOOK_INTERVAL_S)
            overdue_since = self._clock.now() - OVERDUE
            try:
                batch = await self._store.load_waiting(overdue_since, after=last, limit=BATCH_ROWS)
            except StoreError as error:
                log.error("the queue cannot be read: %s", error)
                taken_up = 0
                continue
            last = batch[-1] if len(batch) == BATCH_ROWS else None
            if taken_up := self._take_up(batch):
                log.warning("taken up %d overdue payments that nobody drove", taken_up)

    async def open(
        self, opening: Opening, body: bytes, taken: Step
    ) -> Payment | KeyHeld | OrderHeld:
        """Make a new payment durable, then perform its first effects.

        Returns:
            The payment with its place among the attempts of its order, or why there is none.

        Raises:
            StoreError: it is not saved and nothing was sent.
        """
        payment = opening.payment
        driven = _Driven(payment, body, is_opening=True)
        # Registered before the commit: whoever finds the row a moment later waits on this very
        # object.
        self._driven[payment.payment_request_id] = driven
        async with driven.lock:  # nobody steps on from what is not told whole yet
            try:
                result = await self._store.open(opening)
            except BaseException:
                self._driven.pop(payment.payment_request_id, None)
                raise
            if isinstance(result, Opened):
                if result.previous is not None:
                    order = replace(payment.order, attempt=result.attempt, previous=result.previous)
                    driven.payment = payment = replace(payment, order=order)
                driven.is_opening = False
                self._watch.changed(None, payment)
                self._drive(driven)
                self._perform(driven, payment, taken.effects)
                return payment
        self._driven.pop(payment.payment_request_id, None)
        return result

    async def apply(
        self, payment_request_id: PaymentRequestId, event: Event, *, of: str | None = None
    ) -> Payment | None:
        """Apply one fact to a payment, save, and perform what follows.

        Args:
            payment_request_id: of the payment.
            event: the fact.
            of: the connector that the payment has to be of.

        Returns:
            The payment as saved, or None when there is no such payment.

        Raises:
            StoreError: nothing was saved; the fact may be brought again.
        """
        async with self._locked(payment_request_id) as driven:
            if driven is None or of not in (None, driven.payment.order.connector):
                return None
            await self._apply_locked(driven, event, None, None)
            return driven.payment

    async def _apply(
        self,
        payment_request_id: PaymentRequestId,
        event: Event,
        slot: Slot | None,
        asked: Payment | None,
    ) -> Payment | None:
        """See `apply`. A place among the calls that is at hand serves the call that follows.

        `asked` is the payment as it was saved with the call whose outcome this is.
        """
        async with self._locked(payment_request_id) as driven:
            if driven is None:
                return None
            await self._apply_locked(driven, event, slot, asked)
            return driven.payment

    async def apply_with(
        self, payment_request_id: PaymentRequestId, fact: Fact, save: Save
    ) -> Payment | None:
        """Apply one fact that is saved in one commit with something else, such as a refund.

        Fact and save are asked again where another process saved the payment first.

        Returns:
            The payment as saved; as it was where the fact adds nothing, and then nothing was saved;
            None when there is no such payment.

        Raises:
            StoreError: nothing was saved.
            Exception: what `fact` and `save` raise; nothing was saved.
        """
        async with self._locked(payment_request_id) as driven:
            if driven is None:
                return None
            for _ in range(SAVE_ATTEMPTS_MAX):
                now = self._clock.now()
                event = fact(driven.payment, now)
                taken = step(driven.payment, event, now, self._calls.policy(driven.payment))
                if taken.payment is driven.payment:
                    return driven.payment
                try:
                    await save(taken, row_of(taken, event, now), now)
                except StaleVersion:
                    await self._read_again(driven)
                    continue
                self._take(driven, taken)
                return driven.payment
        raise _too_many(payment_request_id)

    def _locked(self, key: PaymentRequestId) -> _Locked:
        return _Locked(self._used(key), self._done_with)

    async def _used(self, key: PaymentRequestId) -> _Driven | None:
        """The payment as it is driven here, or as the store has it, with one user more."""
        driven = self._driven.get(key)
        if driven is None:
            payment = await self._store.load(key, self._remembered.get(key))
            if payment is None:
                return None
            # Whoever comes while this one is busy shares it: one payment, one lock.
            driven = self._driven.setdefault(key, _Driven(payment))
        driven.users += 1
        return driven

    def _done_with(self, driven: _Driven) -> None:
        driven.users -= 1
        self._let_go(driven)

    @property
    def driven_count(self) -> int:
        """Payments in this process's memory: those that wait, or are just asked for."""
        return len(self._driven)

    async def current(self, payment_request_id: PaymentRequestId) -> Payment | None:
        """The payment as it is now, also where another node has brought it further.

        Where nodes share the store, it is asked: what a till was told by one of them, no other one
        takes back.
        """
        driven = self._driven.get(payment_request_id)
        if driven and not driven.is_opening and not self._store.is_shared:
            return driven.payment
        payment = await self._store.load(payment_request_id)
        driven = self._driven.get(payment_request_id)
        if driven and payment and not driven.lock.locked():
            self._catch_up(driven, payment)
            self._let_go(driven)
        return _newest(payment, driven)

    async def wait(
        self,
        payment: Payment,
        seconds: float,
        is_done: Callable[[Payment], bool] = lambda payment: payment.is_final,
    ) -> Payment:
        """The payment once it is final (or as `is_done` says), or as it is after so many seconds
        or at a stop of this process; never an older one than was given.
        """
        key = payment.payment_request_id
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not is_done(payment) and not self._stopping.is_set():
                    driven = self._driven.get(key)
                    if driven is None:
                        # Somebody else drives it, or nobody took it up yet.
                        await asyncio.sleep(READ_AGAIN_S)
                        payment = await self._store.load(key) or payment
                        continue
                    if driven.payment.version <= payment.version:
                        await self._next_word(driven)
                    payment = _newest(payment, driven) or payment
        return _newest(payment, self._driven.get(key)) or payment

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
        self._is_ending = True
        for look in self._looks:
            look.cancel()
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
        self, driven: _Driven, event: Event, slot: Slot | None, asked: Payment | None
    ) -> None:
        for _ in range(SAVE_ATTEMPTS_MAX):
            now = self._clock.now()
            policy = self._calls.policy(driven.payment)
            is_awaited = asked is None or is_call_of(asked, driven.payment)
            taken = step(driven.payment, event, now, policy, is_awaited=is_awaited)
            if taken.payment is driven.payment:
                return
            try:
                await self._store.save(
                    taken.payment,
                    row_of(taken, event, now),
                    keep_body=taken.payment.status is Status.PENDING,
                    told=told_of(driven.payment, taken.payment, now),
                )
            except StaleVersion:
                await self._read_again(driven)
                continue
            except PaymentIdTaken:
                event = _with_taken_id(event)
                continue
            self._take(driven, taken, slot)
            return
        raise _too_many(driven.payment.payment_request_id)

    async def _read_again(self, driven: _Driven) -> None:
        found = await self._store.load(driven.payment.payment_request_id)
        driven.payment = found or driven.payment
        self._drive(driven)

    def _take(self, driven: _Driven, taken: Step, slot: Slot | None = None) -> None:
        """A step that is saved: drive the payment on from there."""
        before, driven.payment = driven.payment, taken.payment
        self._watch.changed(before, taken.payment)
        if taken.payment.announced > before.announced:
            self._on_told()
        if taken.payment.status is not Status.PENDING:
            driven.body = None  # it holds the payment code
        self._drive(driven)
        self._perform(driven, taken.payment, taken.effects, slot)

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
            self._remember(driven.payment)

    def _remember(self, payment: Payment) -> None:
        self._remembered[payment.payment_request_id] = payment
        if len(self._remembered) > REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]

    def _set_timer(self, driven: _Driven, delay_s: float) -> None:
        if self._stopping.is_set():
            return
        loop = asyncio.get_running_loop()
        driven.timer = loop.call_later(delay_s, lambda: self._ask_for_place(driven))

    def _ask_for_place(self, driven: _Driven) -> None:
        """A due step waits for its place before it is taken: what it saves is then true.

        Which call it will be, the step itself tells beforehand; it is taken anew in its turn.
        """
        if driven.is_queued:
            return
        try:
            coming, send = self._coming(driven.payment)
        except Exception:
            self._try_again(driven)
            return
        if send is None:
            self._spawn(self._timer_due(driven, None))
            return
        driven.is_queued = True
        self._calls.ask(coming, send, lambda slot: self._start_due(driven, slot))

    def _coming(self, payment: Payment) -> tuple[Payment, Send | None]:
        """What the due step would make of a payment now, and the call it would ask for."""
        is_planned_inquiry = payment.next_action is Call.INQUIRY and not payment.has_asked_last
        if is_planned_inquiry and payment.status is Status.PENDING:
            return payment, SendInquiry()  # nearly all of them: not worth a step
        coming = step(payment, TimerDue(), self._clock.now(), self._calls.policy(payment))
        sends = (effect for effect in coming.effects if isinstance(effect, Send))
        return coming.payment, next(sends, None)

    def _start_due(self, driven: _Driven, slot: Slot) -> bool:
        driven.is_queued = False
        if self._stopping.is_set() or driven.payment.next_action_at is None:
            return False
        self._spawn(self._timer_due(driven, slot))
        return True

    async def _timer_due(self, driven: _Driven, slot: Slot | None) -> None:
        before = driven.payment
        try:
            await self._apply(before.payment_request_id, TimerDue(), slot, None)
        except StoreError as error:
            log.error("%s: not saved, trying again: %s", before.payment_request_id, error)
            self._set_timer(driven, STORE_RETRY_S)
            return
        except Exception:
            self._try_again(driven)
            return
        finally:
            if slot:
                slot.give_back()
        if driven.payment is before:
            # The timer came a moment early by the wall clock, or another fact came first.
            self._drive(driven)

    def _try_again(self, driven: _Driven) -> None:
        """A fault of ours (called where it is caught) must not leave a payment without a timer."""
        log.exception("%s: a step failed, trying again", driven.payment.payment_request_id)
        self._set_timer(driven, STORE_RETRY_S)

    def _perform(
        self,
        driven: _Driven,
        asked: Payment,
        effects: tuple[Effect, ...],
        slot: Slot | None = None,
    ) -> None:
        """Perform the effects of a step that saved `asked`; the payment may have moved on since."""
        for effect in effects:
            match effect:
                case SendPay() | SendInquiry() | SendCancel() | SendRefund():
                    # At the end: the row says that it is due, and the next process sends it. Until
                    # then requests are still answered, and what they save is sent: else it would
                    # wait until it is overdue.
                    if not self._is_ending:
                        place = slot.pass_on() if slot else None
                        self._spawn(self._call(driven, asked, effect, place))
                case TellTill():
                    pass  # `_drive` wakes whoever waits; each looks for itself whether it is done
                case Alert(reason):
                    log.warning("%s: alert: %s", driven.payment.payment_request_id, reason)
                case _:
                    assert_never(effect)

    async def _call(self, driven: _Driven, asked: Payment, send: Send, slot: Slot | None) -> None:
        """Perform one call of the payment as it was saved then, and apply its outcome."""
        slot = slot or await self._calls.place(asked, send)
        try:
            if slot is None:
                event = not_sent(send, TOO_MANY)
            else:
                event = await self._calls.perform(asked, driven.payment, send, driven.body)
            await self._apply(asked.payment_request_id, event, slot, asked)
        except StoreError as error:
            # The row still awaits this call's outcome; its timer will ask the network again.
            log.error("%s: outcome not saved: %s", asked.payment_request_id, error)
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
            # A fault of ours. The payment's row is intact and its timer set.
            log.error("a step failed", exc_info=error)


def _too_many(key: PaymentRequestId) -> StaleVersion:
    return StaleVersion(f"{key}: somebody else keeps saving this payment")


def _newest(payment: Payment | None, driven: _Driven | None) -> Payment | None:
    """What was read, or what is driven here where that is as new."""
    if driven is None or (payment is not None and payment.version > driven.payment.version):
        return payment
    return payment if driven.is_opening else driven.payment


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
