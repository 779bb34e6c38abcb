"""Where a route leads. One `Connector` per network or directly connected wallet."""

from __future__ import annotations

from typing import Protocol

from tillgate.core.model import (
    CancelAnswered,
    CancelUnanswered,
    InquiryAnswered,
    InquiryRefused,
    InquiryUnanswered,
    Order,
    PayAnswered,
    Payment,
    PaymentRequestId,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    RefundAnswered,
    RefundUnanswered,
)
from tillgate.core.pacing import Policy
from tillgate.merchants import Merchant, Store

PayEvent = PayAnswered | PayUnanswered | PayNeverLeft | PayRefusedUnsigned
InquiryEvent = InquiryAnswered | InquiryRefused | InquiryUnanswered
CancelEvent = CancelAnswered | CancelUnanswered
RefundEvent = RefundAnswered | RefundUnanswered


class Connector(Protocol):
    """Speaks to one network and turns what it says into facts. Never raises for what the network
    does.

    Attributes:
        name: the route's name, such as `alipay_plus`.
        policy: the numbers of this network.
    """

    name: str
    policy: Policy

    def build_pay(
        self,
        payment_request_id: PaymentRequestId,
        order: Order,
        merchant: Merchant,
        store: Store,
        code: str,
    ) -> bytes:
        """The pay request, built once; stored, and sent as stored."""
        ...

    async def pay(self, body: bytes) -> PayEvent:
        """Send a pay request as it was built."""
        ...

    async def inquire(self, payment: Payment) -> InquiryEvent:
        """Ask what became of a payment."""
        ...

    async def cancel(self, payment: Payment) -> CancelEvent:
        """Close a payment, giving back what was paid."""
        ...

    async def refund(self, payment: Payment) -> RefundEvent:
        """Give all of it back, when it can no longer be cancelled."""
        ...
