"""Orders that never came: what a cancel of one does and what is said of it, as `Choices` decide."""

from __future__ import annotations

from datetime import datetime

from tillgate.alipayplus.messages import (
    SUCCESS,
    CancelRequest,
    CancelResponse,
    InquiryRequest,
    InquiryResponse,
)
from tillgate.sandbox.choices import CancelledInquiry, Choices, UnknownCancel
from tillgate.sandbox.followups import cancel_transaction
from tillgate.sandbox.payment import RESULTS


class UnknownOrders:
    """Remembers those that were closed before they came."""

    def __init__(self, acquirer_id: str, choices: Choices) -> None:
        self._acquirer_id = acquirer_id
        self._choices = choices
        self._closed_ahead: dict[tuple[str, str], datetime] = {}

    def is_closed(self, order: tuple[str, str]) -> bool:
        """Whether it was closed before it came: (Client-Id, paymentRequestId)."""
        return order in self._closed_ahead

    def cancelled(self, client_id: str, request: CancelRequest, now: datetime) -> CancelResponse:
        """A cancel of it."""
        choice = self._choices.unknown_cancel
        request_id = request.payment_request_id
        # A paymentId that was never given out cannot name an order that is still to come.
        if choice is UnknownCancel.ORDER_NOT_EXIST or request.payment_id or request_id is None:
            return CancelResponse(result=RESULTS["ORDER_NOT_EXIST"])
        if choice is UnknownCancel.S_CLOSES_IT:
            self._closed_ahead.setdefault((client_id, request_id), now)
        return CancelResponse(result=SUCCESS, acquirer_id=self._acquirer_id)

    def inquired(self, client_id: str, request: InquiryRequest) -> InquiryResponse:
        """An inquiry of it."""
        request_id = request.payment_request_id
        closed_at = self._closed_ahead.get((client_id, request_id or ""))
        if closed_at is None or request.payment_id is not None:
            return InquiryResponse(result=RESULTS["ORDER_NOT_EXIST"])
        is_listed = self._choices.cancelled_inquiry is CancelledInquiry.S_WITH_CANCEL_TRANSACTION
        return InquiryResponse(
            result=SUCCESS,
            payment_result=RESULTS["ORDER_IS_CLOSED"],
            acquirer_id=self._acquirer_id,
            payment_request_id=request_id,
            transactions=[cancel_transaction(closed_at)] if is_listed else None,
        )
