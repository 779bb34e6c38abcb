"""Calls towards the networks: one at a time per payment, so many at once per network, none late.

The moment when a call's outcome counts as lost is saved before the call leaves, and nothing of it
may be under way after that. So a call that leaves late (a slow disk, a busy process, no place) is
cut off when the time it was saved with is over; and where less than half of that is left it does
not leave at all: it comes back as never sent, and its row plans the next one. A due payment asks
for its place before its step is taken (`ask`), so that its wait costs it nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import assert_never

from tillgate.clock import Clock
from tillgate.connectors import Connector
from tillgate.core.errors import NetworkDown, StoreError
from tillgate.core.model import (
    Call,
    CancelUnanswered,
    Event,
    InquiryUnanswered,
    Payment,
    PayNeverLeft,
    PayUnanswered,
    RefundUnanswered,
    SendCancel,
    SendInquiry,
    SendPay,
    SendRefund,
    Status,
)
from tillgate.core.pacing import Policy
from tillgate.core.refund_model import RefundEvent
from tillgate.gateway.circuit import Circuit
from tillgate.gateway.lanes import Lane, Slot, Start, Urgency
from tillgate.gateway.metrics import Watch
from tillgate.gateway.sealing import CannotUnseal, Sealer
from tillgate.store import Store

log = logging.getLogger(__name__)

Send = SendPay | SendInquiry | SendCancel | SendRefund
_NAMES: dict[type[Send], str] = {
    SendPay: "pay",
    SendInquiry: "inquiryPayment",
    SendCancel: "cancelPayment",
    SendRefund: "refund",
}
TOO_MANY = "not sent: this process is too busy"


class _Unreadable(Exception):
    """The stored pay cannot be had, so nothing leaves."""


class Calls:
    """The way out of one process."""

    def __init__(
        self,
        store: Store,
        connectors: Mapping[str, Connector],
        sealer: Sealer,
        clock: Clock,
        watch: Watch,
    ) -> None:
        self._watch = watch
        self._store = store
        self._connectors = connectors
        self._sealer = sealer
        self._clock = clock
        self._circuits = defaultdict(Circuit, {name: Circuit() for name in connectors})
        self._lanes: defaultdict[str, Lane] = defaultdict(Lane)

    def check_admitted(self, connector: str) -> None:
        """Refuse a new sale while its network is away.

        Raises:
            NetworkDown: nothing was saved; come again in a moment.
        """
        if not self._circuits[connector].admits(self._clock.now()):
            raise NetworkDown(
                "The payment network cannot be reached just now; nothing was charged."
                " Try again in a few seconds or take another method."
            )

    def networks(self) -> dict[str, str]:
        """`up` or `down` by connector, for operators."""
        return {name: "down" if c.is_open else "up" for name, c in self._circuits.items()}

    def policy(self, payment: Payment) -> Policy:
        """The numbers of the payment's network."""
        return self._connectors[payment.order.connector].policy

    def ask(self, payment: Payment, send: Send, start: Start) -> None:
        """Call `start` with a place for this call of the payment as its step makes it, in its
        turn.
        """
        self.lane(payment.order.connector).ask(_urgency(payment, send), start)

    def lane(self, connector: str) -> Lane:
        """The places towards one network; also those of refunds."""
        return self._lanes[connector]

    async def place(self, payment: Payment, send: Send) -> Slot | None:
        """A place for a call that a fact led to and that is saved already; None when there was none
        in time.
        """
        spare = self._time_left(payment) - _timeout(self.policy(payment), send) / 2
        return await place_within(
            self.lane(payment.order.connector), _urgency(payment, send), spare
        )

    def heard(
        self, connector: str, name: str, outcome: Event | RefundEvent, began: datetime
    ) -> None:
        """Take note that a call ended, and whether the network answered."""
        ended = self._clock.now()
        self._watch.called(connector, name, outcome, ended - began)
        changed = self._circuits[connector].heard(outcome, ended)
        if changed:
            log.warning("alert: %s: %s", connector, changed)

    async def perform(
        self, asked: Payment, now: Payment, send: Send, body: bytes | None = None
    ) -> Event:
        """Make one call and tell its outcome.

        Args:
            asked: the payment as it was saved with this call counted.
            now: the payment as it is now, which may not want it any more.
            send: which call.
            body: the pay request, if it is at hand.
        """
        left, timeout = self._time_left(asked), _timeout(self.policy(asked), send)
        is_late = left + self.policy(asked).outcome_grace < timeout
        if is_late and left < timeout / 2:
            return not_sent(send, TOO_MANY)
        if not _is_wanted(now, send):
            return not_sent(send, "not sent: not wanted any more")
        began = self._clock.now()
        try:
            if is_late:
                outcome = await self._send_late(now, send, body, left)
            else:
                outcome = await self._send(now, send, body)
        except _Unreadable as error:
            # The network was not asked, so this says nothing of it: the circuit does not hear it.
            return not_sent(send, str(error))
        self.heard(now.order.connector, _NAMES[type(send)], outcome, began)
        return outcome

    async def _send_late(
        self, payment: Payment, send: Send, body: bytes | None, left: timedelta
    ) -> Event:
        try:
            async with asyncio.timeout(left.total_seconds()):
                return await self._send(payment, send, body)
        except TimeoutError:
            return _unanswered(send, f"it left late; no answer in the {left} that were left")

    async def _send(self, payment: Payment, send: Send, body: bytes | None) -> Event:
        connector = self._connectors[payment.order.connector]
        match send:
            case SendPay():
                if body is None:
                    body = await self._stored_body(payment)
                return await connector.pay(body)
            case SendInquiry():
                return await connector.inquire(payment)
            case SendCancel():
                return await connector.cancel(payment)
            case SendRefund():
                return await connector.refund(payment)
            case _:
                assert_never(send)

    async def _stored_body(self, payment: Payment) -> bytes:
        key = payment.payment_request_id
        try:
            return self._sealer.unseal(await self._store.load_pay_body(key) or b"", key)
        except (CannotUnseal, StoreError) as error:
            raise _Unreadable(f"the stored request cannot be read: {error}") from error

    def _time_left(self, payment: Payment) -> timedelta:
        """Until the time-out that the call was saved with; its grace for saving comes after it."""
        assert payment.next_action_at is not None, "a counted call has its moment saved"
        return payment.next_action_at - self.policy(payment).outcome_grace - self._clock.now()


async def place_within(lane: Lane, urgency: Urgency, spare: timedelta) -> Slot | None:
    """A place in its turn; None when there was none in so much time."""
    given: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()

    def start(slot: Slot) -> bool:
        if given.done():
            return False
        given.set_result(slot)
        return True

    lane.ask(urgency, start)
    if not given.done():
        await asyncio.wait([given], timeout=max(spare.total_seconds(), 0))
    if given.done():
        return given.result()
    given.cancel()
    return None


def not_sent(send: Send, reason: str) -> Event:
    """The outcome of a call that never left this process."""
    match send:
        case SendPay():
            return PayNeverLeft(reason)
        case SendInquiry():
            return InquiryUnanswered(reason)
        case SendCancel():
            return CancelUnanswered(reason)
        case SendRefund():
            return RefundUnanswered(reason)
        case _:
            assert_never(send)


def _unanswered(send: Send, reason: str) -> Event:
    """The outcome of a call that may have arrived."""
    return PayUnanswered(reason) if isinstance(send, SendPay) else not_sent(send, reason)


def _urgency(payment: Payment, send: Send) -> Urgency:
    match send:
        case SendPay():
            return Urgency.SALE if payment.sends == 1 else Urgency.MONEY
        case SendInquiry():
            return Urgency.QUESTION
        case SendCancel() | SendRefund():
            return Urgency.MONEY
        case _:
            assert_never(send)


def _is_wanted(payment: Payment, send: Send) -> bool:
    """Whether the payment still awaits this call; a pay that is being cancelled must not leave."""
    match send:
        case SendPay():
            return payment.calling is Call.PAY and payment.status is Status.PENDING
        case SendInquiry():
            return payment.calling is Call.INQUIRY
        case SendCancel():
            return payment.calling is Call.CANCEL
        case SendRefund():
            return payment.calling is Call.REFUND
        case _:
            assert_never(send)


def _timeout(policy: Policy, send: Send) -> timedelta:
    match send:
        case SendPay():
            return policy.pay_timeout
        case SendInquiry():
            return policy.inquiry_timeout
        case SendCancel():
            return policy.cancel_timeout
        case SendRefund():
            return policy.refund_timeout
        case _:
            assert_never(send)
