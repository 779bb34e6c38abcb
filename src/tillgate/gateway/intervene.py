"""What people ask of a payment that exists: a till cancels it, an operator says what became of it.

The rules stand in `core/payment.py`; here they become the answer to whoever asked.
"""

from __future__ import annotations

from collections.abc import Mapping

from tillgate.clock import Clock
from tillgate.connectors import Connector
from tillgate.core.access import Caller, Role, why_not_cancel
from tillgate.core.codes import mask_in
from tillgate.core.errors import (
    CannotCancel,
    CannotResolve,
    NotAllowed,
    PaymentNotFound,
    RefundInstead,
)
from tillgate.core.model import CancelRequested, Payment, PaymentRequestId, Resolved, Status
from tillgate.core.payment import may_cancel, may_resolve
from tillgate.gateway.follow import Follower


class Interventions:
    """The use cases, with what they need."""

    def __init__(
        self, follower: Follower, connectors: Mapping[str, Connector], clock: Clock
    ) -> None:
        self._follower = follower
        self._connectors = connectors
        self._clock = clock

    async def cancel(self, payment: Payment, caller: Caller) -> Payment:
        """Begin to cancel a payment in full; the same again changes nothing.

        Returns as soon as that is durable: CANCELLING while the network is asked, CANCELLED where
        nothing ever left.

        Raises:
            NotAllowed: this caller may not cancel it; nothing changed.
            CannotCancel: nobody knows whether it is paid; nothing changed.
            RefundInstead: a refund of it is open or done, or its window is over; nothing changed.
            StoreError: nothing changed.
        """
        now = self._clock.now()
        forbidden = why_not_cancel(caller, payment, now)
        if forbidden is not None:
            raise NotAllowed(forbidden)
        policy = self._connectors[payment.order.connector].policy
        problem = may_cancel(payment, now, policy)
        if problem is not None and payment.status is Status.SUCCEEDED:
            raise RefundInstead(problem)
        if problem is not None:
            raise CannotCancel(problem)
        by = "operator" if Role.OPERATOR in caller.roles else "till"
        after = await self._apply(payment.payment_request_id, CancelRequested(by))
        if after.status is Status.SUCCEEDED:
            # Something came first: a refund, most likely.
            problem = may_cancel(after, self._clock.now(), policy)
            raise RefundInstead(problem or "It was paid meanwhile: try again.")
        return after

    async def resolve(
        self, payment_request_id: PaymentRequestId, status: Status, by: str, why: str
    ) -> Payment:
        """End a payment that nobody could decide, on a person's word.

        Raises:
            PaymentNotFound: there is none.
            CannotResolve: there is nothing to resolve, or not so; nothing changed.
            StoreError: nothing changed.
        """
        payment = await self._follower.current(payment_request_id)
        if payment is None:
            raise PaymentNotFound("There is no such payment.")
        policy = self._connectors[payment.order.connector].policy
        problem = may_resolve(payment, status, self._clock.now(), policy)
        if problem is not None:
            raise CannotResolve(f"It cannot be resolved as {status.value}: {problem}.")
        after = await self._apply(payment_request_id, Resolved(status, by, mask_in(why)))
        if after.status is not status:
            raise CannotResolve(f"Something came first: it is {after.status.value} now.")
        return after

    async def _apply(
        self, payment_request_id: PaymentRequestId, event: CancelRequested | Resolved
    ) -> Payment:
        after = await self._follower.apply(payment_request_id, event)
        assert after is not None, "it was there a moment ago, and nothing deletes one"
        return after
