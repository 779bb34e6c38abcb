"""One network's payments, and which of them is meant: by `paymentId` in the order they came, and by
(Client-Id, `paymentRequestId`), where the latest counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice

from tillgate.alipayplus.messages import CancelRequest, InquiryRequest, RefundRequest
from tillgate.core.errors import PaymentNotFound
from tillgate.sandbox.payment import Payment, State

OF_CUSTOMER_MAX = 50
"""So many of a customer's payments are found by their name: what a phone lists."""


class Orders:
    """Every look is at a moment: an unpaid payment that is over by then is closed first."""

    def __init__(self, close: Callable[[Payment, datetime], Payment]) -> None:
        """`close` ends a payment that has expired."""
        self._close = close
        self._payments: dict[str, Payment] = {}
        self._latest: dict[tuple[str, str], str] = {}
        self._orders: dict[str, list[tuple[str, str]]] = {}  # by paymentRequestId
        self._of_customer: dict[str, deque[str]] = {}

    def place(self, payment: Payment) -> None:
        """Its order is this payment from now on, though it is kept only once its wallet spoke."""
        order = payment.client_id, payment.payment_request_id
        if order not in self._latest:
            self._orders.setdefault(payment.payment_request_id, []).append(order)
        self._latest[order] = payment.payment_id

    def keep(self, payment: Payment) -> None:
        """The payment as it stands now."""
        if payment.customer is not None and payment.payment_id not in self._payments:
            own = self._of_customer.setdefault(payment.customer.id, deque(maxlen=OF_CUSTOMER_MAX))
            own.append(payment.payment_id)
        self._payments[payment.payment_id] = payment

    def __getitem__(self, payment_id: str) -> Payment:
        return self._payments[payment_id]

    def __len__(self) -> int:
        return len(self._payments)

    def current(self, order: tuple[str, str], now: datetime) -> Payment | None:
        """The latest payment of (Client-Id, paymentRequestId)."""
        payment_id = self._latest.get(order)
        return self.as_of(self._payments[payment_id], now) if payment_id else None

    def as_of(self, payment: Payment, now: datetime) -> Payment:
        """The payment at that moment."""
        if payment.state is not State.IN_PROCESS or now < payment.expires_at:
            return payment
        return self._close(payment, now)

    def asked_for(
        self, client_id: str, request: InquiryRequest | CancelRequest | RefundRequest, now: datetime
    ) -> Payment | None:
        """The caller's payment that a message names; None: it has none such."""
        # Antom's rule where both ids are sent: paymentId wins. Alipay+'s is not published.
        if request.payment_id is not None:
            payment = self._payments.get(request.payment_id)
            if payment is None or payment.client_id != client_id:
                return None
            return self.as_of(payment, now)
        return self.current((client_id, request.payment_request_id or ""), now)

    def find(self, id_: str, now: datetime, client_id: str | None = None) -> Payment:
        """By `paymentRequestId` or `paymentId`, of one acquirer or of any; of two acquirers' with
        one `paymentRequestId` the later payment.

        Raises:
            PaymentNotFound: there is none.
        """
        found = [
            self._payments[self._latest[order]]
            for order in self._orders.get(id_, ())
            if client_id in (None, order[0])
        ]
        named = self._payments.get(id_)
        if named is not None and client_id in (None, named.client_id):
            found.append(named)
        if not found:
            raise PaymentNotFound("There is no such payment.", path="$.payment_request_id")
        return self.as_of(max(found, key=lambda payment: payment.placed_at), now)

    def latest(self, count: int) -> list[Payment]:
        """The last so many payments, oldest first."""
        newest_first = islice(reversed(self._payments.values()), count)
        return list(newest_first)[::-1]

    def of_customer(self, customer_id: str, now: datetime) -> list[Payment]:
        """A customer's last payments, oldest first."""
        own = self._of_customer.get(customer_id, ())
        return [self.as_of(self._payments[payment_id], now) for payment_id in own]

    def cancelled_among(self, payment_ids: Iterable[str]) -> list[str]:
        """Those of these payments that the acquirer has cancelled."""
        return [each for each in payment_ids if self._payments[each].is_cancelled]
