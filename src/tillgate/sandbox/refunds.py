"""`refund` of one network: in full or in parts, never more than was paid, idempotent by
`refundRequestId` for ever once it is S; a refused one may be tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from tillgate.alipayplus.messages import RefundRequest, RefundResponse
from tillgate.core.money import Money
from tillgate.sandbox.answers import Answers
from tillgate.sandbox.checks import canonical
from tillgate.sandbox.followups import refund_refusal, share
from tillgate.sandbox.payment import RESULTS, Payment, Refund
from tillgate.sandbox.town import Town
from tillgate.sandbox.wallet_side import WalletSide


class Refunds:
    """Those that were made, by (Client-Id, refundRequestId)."""

    def __init__(
        self,
        town: Town,
        wallet_side: WalletSide,
        answers: Answers,
        new_id: Callable[[datetime, set[str]], str],
        keep: Callable[[Payment], None],
    ) -> None:
        """`keep` stores a payment as it stands after a refund."""
        self._town = town
        self._wallet_side = wallet_side
        self._answers = answers
        self._new_id = new_id
        self._keep = keep
        self._made: dict[tuple[str, str], Refund] = {}
        self._ids: set[str] = set()

    def answer(
        self, client_id: str, request: RefundRequest, payment: Payment | None, now: datetime
    ) -> RefundResponse:
        """Of a legal request about this payment; None: there is no such."""
        amount = canonical(request.refund_amount)
        known = self._made.get((client_id, request.refund_request_id))
        if known is not None:
            # The fields that must agree: Alipay+ "Idempotency". Either id may name the payment.
            asked = payment.payment_id if payment else None, *amount
            if asked != (known.payment_id, known.amount.currency, known.amount.value):
                return RefundResponse(result=RESULTS["REPEAT_REQ_INCONSISTENT"])
            assert payment is not None
            return self._answers.refunded(payment, known)
        if payment is None:
            return RefundResponse(result=RESULTS["ORDER_NOT_EXIST"])
        left = self._town.ledger.net_debit(payment.payment_id)
        refusal = refund_refusal(payment, amount, left, now)
        if refusal is not None:
            return RefundResponse(result=refusal)
        refund = self._make(request, payment, Money(*amount), left, now)
        self._made[client_id, request.refund_request_id] = refund
        return self._answers.refunded(payment, refund)

    def _make(
        self, request: RefundRequest, payment: Payment, amount: Money, left: int, now: datetime
    ) -> Refund:
        left_after = left - amount.value
        refund = Refund(
            refund_request_id=request.refund_request_id,
            refund_id=self._new_id(now, self._ids),
            payment_id=payment.payment_id,
            amount=amount,
            pay_to_value=share(payment, payment.pay_to_value, left, left_after),
            settled_value=share(payment, payment.settled_value, left, left_after),
            refunded_at=now,
        )
        self._wallet_side.refund(payment, refund, now)
        self._town.book.refunded(payment, refund, now)
        self._keep(replace(payment, refunds=(*payment.refunds, refund)))
        return refund
