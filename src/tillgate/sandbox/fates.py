"""Looks up what a tester wants of one network's messages, and keeps their order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any

from tillgate.alipayplus.messages import PayRequest
from tillgate.core.errors import PaymentNotFound
from tillgate.sandbox.network import Network
from tillgate.sandbox.payment import Payment
from tillgate.sandbox.plays import NOTHING, Api, Do, Notify, When
from tillgate.sandbox.scripts import Message, Scripts

TURN_S_MAX = 5.0
"""How long a message waits to be overtaken."""


class Fates:
    """One network's.

    Attributes:
        tell_now: waits until a payment's notification was sent, and whatever comes of it; None:
            there is nobody who could.
    """

    def __init__(self, network: Network, scripts: Scripts) -> None:
        self._network = network
        self._scripts = scripts
        self._turns: dict[tuple[str, str], list[asyncio.Event]] = {}
        self.notifies: dict[tuple[str, str], Notify] = {}
        self.tell_now: Callable[[Payment], Awaitable[None]] | None = None

    def of(self, api: Api, client_id: str, request: Any, now: datetime) -> Do:
        """What becomes of this request; `NOTHING` where nobody wants anything."""
        if isinstance(request, PayRequest):
            amount = request.payment_amount
            code = request.payment_method.payment_method_id
            id_, value = request.payment_request_id, int(amount.value)
            return self.of_pay(client_id, id_, code, amount.currency, value)
        if self._scripts.is_silent:
            return NOTHING
        payment = self._network.orders.asked_for(client_id, request, now)
        if payment is None:
            id_ = request.payment_request_id or ""
            message = Message(
                api=api,
                network=self._network.name,
                client_id=client_id,
                payment_request_id=id_,
            )
            return self._scripts.take(message)
        return self._scripts.take(_about(payment, api))

    def of_notification(self, payment: Payment) -> Do:
        """What becomes of one send of its notification."""
        if self._scripts.is_silent:
            return NOTHING
        return self._scripts.take(_about(payment, Api.NOTIFY))

    def notify(self, payment: Payment) -> Notify | None:
        """How its end is to be told; None: as usual."""
        return self.notifies.get((payment.client_id, payment.payment_request_id))

    @contextlib.asynccontextmanager
    async def turn(self, client_id: str, request: Any, *, must_wait: bool) -> AsyncIterator[None]:
        """One message's time with a payment. Whoever must wait comes after the next one."""
        if must_wait:
            overtaken = asyncio.Event()
            self._turns.setdefault((client_id, _id_in(request)), []).append(overtaken)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(overtaken.wait(), TURN_S_MAX)
        try:
            yield
        finally:
            self.overtake(client_id, request)

    def overtake(self, client_id: str, request: Any) -> None:
        """A message about this payment was answered: whoever waited to be overtaken goes on."""
        if self._turns:
            for waiting in self._turns.pop((client_id, _id_in(request)), ()):
                waiting.set()

    async def told_before(self, client_id: str, id_: str, now: datetime) -> None:
        """Wait for the notification where the answer to the pay of that `paymentRequestId` has to
        come after it.
        """
        plan = self.notifies.get((client_id, id_))
        if self.tell_now is not None and plan is not None and plan.when is When.BEFORE_REPLY:
            with contextlib.suppress(PaymentNotFound):
                await self.tell_now(self._network.orders.find(id_, now, client_id))

    def of_pay(self, client_id: str, id_: str, code: str, currency: str, value: int) -> Do:
        """What becomes of a pay with this code, for so many minor units."""
        issued = self._network.codes.look(code)
        customer = issued.customer if issued else None
        play = issued.play if issued else None
        message = Message(
            api=Api.PAY,
            network=self._network.name,
            client_id=client_id,
            payment_request_id=id_,
            wallet=customer.wallet_id if customer else None,
            customer=customer.id if customer else None,
            amount=value,
            currency=currency,
            plays=(play or "", self._network.town.conditions[customer.id].play or "")
            if customer
            else (),
        )
        do = self._scripts.take(message)
        if do.notify is not None:
            self.notifies[client_id, id_] = do.notify
        return do


def _id_in(request: Any) -> str:
    """Which payment a request is about, as it names it."""
    return request.payment_request_id or request.payment_id or ""


def _about(payment: Payment, api: Api) -> Message:
    return Message(
        api=api,
        network=payment.network,
        client_id=payment.client_id,
        payment_request_id=payment.payment_request_id,
        wallet=payment.wallet.id if payment.wallet else None,
        customer=payment.customer.id if payment.customer else None,
        amount=payment.amount.value,
        currency=payment.amount.currency,
    )
