"""A payment remembers its connector for ever; its section may be gone from the settings.

Such a payment is not forgotten and nothing is guessed about it: every call of it comes back
unanswered, an alert names the section, and it goes on where it stood once the section is back.
"""

from __future__ import annotations

import logging

from tillgate.connectors import (
    BadNotification,
    CancelEvent,
    Connector,
    InquiryEvent,
    NotifyAnswer,
    NotifyCall,
    PayEvent,
    RefundEvent,
    Told,
)
from tillgate.core.errors import NoRoute
from tillgate.core.model import (
    CancelUnanswered,
    InquiryUnanswered,
    Order,
    Payment,
    PaymentRequestId,
    PayNeverLeft,
    RefundUnanswered,
)
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.core.refund_model import (
    LookUnanswered,
    Refund,
    RefundLookEvent,
    RefundSendEvent,
    SendNeverLeft,
)
from tillgate.merchants import Merchant, Store

log = logging.getLogger(__name__)


class OfPayments(dict[str, Connector]):
    """The connectors by the names that payments remember; one that has no section any more reaches
    nobody.
    """

    def __missing__(self, name: str) -> Connector:
        log.error(
            "alert: payments went by the connector %s, whose section is gone from the settings:"
            " they cannot end until it is back",
            name,
        )
        return self.setdefault(name, Missing(name))


class Missing:
    """Reaches nobody. See `Connector`."""

    policy = ALIPAY_PLUS

    def __init__(self, name: str) -> None:
        self.name = name
        self._why = f"the connector {name} has no section in the settings"

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    def build_pay(
        self,
        payment_request_id: PaymentRequestId,
        order: Order,
        merchant: Merchant,
        store: Store,
        code: str,
    ) -> bytes:
        """Nothing is opened by it."""
        raise NoRoute(self._why, path="$.code")

    async def pay(self, body: bytes) -> PayEvent:
        """It never left."""
        return PayNeverLeft(self._why)

    async def inquire(self, payment: Payment) -> InquiryEvent:
        """No answer."""
        return InquiryUnanswered(self._why)

    async def cancel(self, payment: Payment) -> CancelEvent:
        """No answer."""
        return CancelUnanswered(self._why)

    async def refund(self, payment: Payment) -> RefundEvent:
        """No answer."""
        return RefundUnanswered(self._why)

    async def give_back(self, refund: Refund) -> RefundSendEvent:
        """It never left."""
        return SendNeverLeft(self._why)

    async def look_up(self, refund: Refund) -> RefundLookEvent:
        """No answer."""
        return LookUnanswered(self._why)

    def read_notification(self, call: NotifyCall) -> Told | None:
        """Without its keys nothing can be believed."""
        raise BadNotification(self._why, self.ask_again(call))

    def acknowledge(self, call: NotifyCall) -> NotifyAnswer:
        """Never: nothing of it was believed."""
        return self.ask_again(call)

    def ask_again(self, call: NotifyCall) -> NotifyAnswer:
        """Come again when the section is back."""
        return NotifyAnswer(503, b"", {})
