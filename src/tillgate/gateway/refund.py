"""Merchants refund what was paid, in full or in parts: the use case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tillgate.clock import Clock
from tillgate.core.access import Caller, sees
from tillgate.core.codes import mask_in
from tillgate.core.errors import CannotRefund, CannotResolve, KeyReused, RefundNotFound
from tillgate.core.model import Payment, PaymentRequestId, RefundReserved, Step
from tillgate.core.money import Money
from tillgate.core.refund import may_resolve_refund, open_refund
from tillgate.core.refund_model import (
    Refund,
    RefundRequestId,
    RefundResolved,
    RefundStatus,
    RefundStep,
)
from tillgate.core.refunding import may_refund, refundable, utc_text
from tillgate.gateway.follow import Follower
from tillgate.gateway.refund_calls import RefundCalls
from tillgate.gateway.refund_follow import RefundFollower
from tillgate.gateway.refund_history import refund_opened_row
from tillgate.store import History, Store
from tillgate.store.refunds import (
    RefundOpening,
    RefundRequest,
    load_refund_request,
    load_refunds,
    save_new_refund,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRefund:
    """What a merchant asks for, its form already checked.

    Attributes:
        amount: None for all that is left.
        reason: the merchant's words, or None.
    """

    amount: Money | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class OpenedRefund:
    """The refund that answers the request, and whether this request opened it."""

    refund: Refund
    is_new: bool


class _KeyHeld(Exception):
    """Another request came first with this key; nothing was saved."""

    def __init__(self, request: RefundRequest) -> None:
        super().__init__("this key has a refund already")
        self.request = request


class Refunds:
    """The use cases, with what they need."""

    def __init__(
        self,
        *,
        store: Store,
        payments: Follower,
        refunds: RefundFollower,
        calls: RefundCalls,
        clock: Clock,
        draw_id: Callable[[datetime], str],
    ) -> None:
        self._store = store
        self._payments = payments
        self._refunds = refunds
        self._calls = calls
        self._clock = clock
        self._draw_id = draw_id

    async def open(
        self, caller: Caller, payment: Payment, idempotency_key: str, asked: AskedRefund
    ) -> OpenedRefund:
        """Open a refund of a payment that the caller sees, or find the one that the same request
        opened before.

        Returns as soon as it is durable: the amount is reserved on the payment in the same commit.

        Raises:
            CannotRefund: it is not paid, or so much is not left, or its window is over; nothing
                was saved or sent.
            KeyReused: the key belongs to another request of this merchant.
            StoreError: nothing was sent.
        """
        merchant_id = payment.order.merchant_id
        earlier = await load_refund_request(self._store, merchant_id, idempotency_key)
        if earlier is not None:
            return await self._replayed(caller, earlier, payment, asked)
        if not self._calls.can(payment.order.connector):
            raise CannotRefund(f"The connector {payment.order.connector} refunds nothing.")
        try:
            begun = await self._reserve(caller, payment, idempotency_key, asked)
        except _KeyHeld as held:
            return await self._replayed(caller, held.request, payment, asked)
        except CannotRefund:
            # Perhaps because the very same request came first and took all that was left.
            earlier = await load_refund_request(self._store, merchant_id, idempotency_key)
            if earlier is None:
                raise
            return await self._replayed(caller, earlier, payment, asked)
        self._refunds.begin(begun)
        return OpenedRefund(begun.refund, is_new=True)

    async def _reserve(
        self, caller: Caller, payment: Payment, idempotency_key: str, asked: AskedRefund
    ) -> RefundStep:
        """Open it and reserve its amount on the payment, in one commit under the payment's lock."""
        opened: RefundStep | None = None

        def reserve(payment: Payment, now: datetime) -> RefundReserved:
            nonlocal opened
            policy = self._payments.calls.policy(payment)
            problem = may_refund(payment, asked.amount, now, policy)
            amount = asked.amount or refundable(payment)
            if problem is not None or amount is None:
                raise CannotRefund(problem or "Nothing is left of it.")
            key = RefundRequestId(self._draw_id(now))
            opened = open_refund(key, payment, amount, asked.reason, caller.key_id, now, policy)
            return RefundReserved(amount.value)

        async def save(taken: Step, row: History, now: datetime) -> None:
            assert opened is not None, "it was reserved a moment ago"
            held = await save_new_refund(
                self._store,
                RefundOpening(
                    refund=opened.refund,
                    history=refund_opened_row(opened),
                    payment=taken.payment,
                    payment_history=row,
                    idempotency_key=idempotency_key,
                    asked_value=asked.amount.value if asked.amount else None,
                ),
            )
            if held is not None:
                raise _KeyHeld(held)

        await self._payments.apply_with(payment.payment_request_id, reserve, save)
        assert opened is not None, "what may be refunded is reserved"
        return opened

    async def _replayed(
        self, caller: Caller, earlier: RefundRequest, payment: Payment, asked: AskedRefund
    ) -> OpenedRefund:
        refund = earlier.refund
        if refund.payment_request_id != payment.payment_request_id:
            other = await self._payments.current(refund.payment_request_id)
            is_told = other is not None and sees(caller, other.order)
            whose = f"a refund of payment {refund.payment_request_id}" if is_told else "another one"
            raise KeyReused(f"This Idempotency-Key belongs to {whose}. Use a new key.")
        before = earlier.asked_value
        currency = refund.amount.currency
        pairs = (
            ("$.amount", before is None, asked.amount is None),
            ("$.amount.currency", currency, asked.amount.currency if asked.amount else currency),
            ("$.amount.value", before, asked.amount.value if asked.amount else None),
            ("$.reason", refund.reason, asked.reason),
        )
        for path, then, now in pairs:
            if then != now:
                raise KeyReused(
                    "This Idempotency-Key belongs to another request; the first difference is"
                    f" {path}. Use a new key for a new refund, and the same body for a retry.",
                    path=path,
                )
        current = await self._refunds.current(refund.refund_request_id)
        return OpenedRefund(current or refund, is_new=False)

    async def of_payment(
        self, payment_request_id: PaymentRequestId, *, before: str | None, limit: int
    ) -> list[Refund]:
        """Refunds of a payment, newest first, at most so many; see `load_refunds`."""
        return await load_refunds(self._store, payment_request_id, before=before, limit=limit)

    async def one(self, payment: Payment, refund_request_id: str) -> Refund:
        """A refund of this payment, as it is now.

        Raises:
            RefundNotFound: there is none.
        """
        refund = await self._refunds.current(RefundRequestId(refund_request_id))
        if refund is None or refund.payment_request_id != payment.payment_request_id:
            raise RefundNotFound("There is no such refund of this payment.")
        return refund

    async def resolve(
        self,
        refund_request_id: RefundRequestId,
        status: RefundStatus,
        *,
        seen_version: int,
        by: str,
        why: str,
    ) -> Refund:
        """End a refund that nobody could decide, on a person's word about the version they saw.

        Raises:
            RefundNotFound: there is none.
            CannotResolve: there is nothing to resolve, or not so; nothing changed.
            StoreError: nothing changed.
        """
        refund = await self._refunds.current(refund_request_id)
        if refund is None:
            raise RefundNotFound("There is no such refund.")
        if refund.version != seen_version and refund.status is RefundStatus.UNRESOLVED:
            raise CannotResolve(
                f"It is version {refund.version} now, not {seen_version}: it was asked about or"
                f" sent again since (last sent {utc_text(refund.sent_at)}). Read it, look at the"
                " network once more, and then say so."
            )
        policy = self._calls.policy(refund)
        problem = may_resolve_refund(refund, status, self._clock.now(), policy)
        if problem is not None:
            raise CannotResolve(f"It cannot be resolved as {status.value}: {problem}.")
        event = RefundResolved(status, by, mask_in(why))
        after = await self._refunds.apply(refund_request_id, event)
        assert after is not None, "it was there a moment ago, and nothing deletes one"
        if after.status is not status:
            raise CannotResolve(f"Something came first: it is {after.status.value} now.")
        return after
