"""What the network says of a payment: the answers to each API, and its notification."""

from __future__ import annotations

from typing import Any

from tillgate.alipayplus.messages import (
    SUCCESS,
    Amount,
    CancelResponse,
    InquiryResponse,
    Notification,
    PayResponse,
    RefundResponse,
    amount_of,
)
from tillgate.core.results import Outcome
from tillgate.sandbox.choices import Choices, Settlement, SuccessAmount
from tillgate.sandbox.followups import result_on_inquiry, transactions
from tillgate.sandbox.payment import Payment, Refund, State, wire_time
from tillgate.sandbox.settlement import (
    SettledInquiry,
    SettledNotification,
    SettledPay,
    SettledRefund,
    quote,
)
from tillgate.sandbox.wallets import Wallets


class Answers:
    """Words one network's payments."""

    def __init__(self, acquirer_id: str, choices: Choices, wallets: Wallets) -> None:
        self._acquirer_id = acquirer_id
        self._wallets = wallets
        self._choices = choices

    def paid(self, payment: Payment) -> PayResponse:
        """Of `pay`. An F or a U carries nothing but its result, as in the guide's samples."""
        if payment.state is not State.SUCCEEDED:
            return PayResponse(result=payment.result)
        assert payment.wallet is not None
        assert payment.customer is not None
        assert payment.paid_at is not None
        told: dict[str, Any] = {
            "acquirer_id": self._acquirer_id,
            "psp_id": payment.wallet.psp_id,
            "result": payment.result,
            "payment_id": payment.payment_id,
            "payment_amount": self._amount_told(payment),
            "payment_time": wire_time(payment.paid_at),
            "customer_id": payment.customer.network_id,
            "wallet_brand_name": payment.wallet.brand,
        }
        if self._is_settlement_told(payment):
            return SettledPay(**told, **self._settlement(payment, payment.settled_value))
        return PayResponse(**told)

    def inquired(self, payment: Payment) -> InquiryResponse:
        """Of `inquiryPayment`."""
        choice = self._choices.cancelled_inquiry
        payment_result = result_on_inquiry(payment, choice)
        is_paid = payment_result.result_status is Outcome.SUCCESS
        told: dict[str, Any] = {
            "result": SUCCESS,
            "payment_result": payment_result,
            "acquirer_id": self._acquirer_id,
            "psp_id": payment.wallet.psp_id if payment.wallet else None,
            "payment_request_id": payment.payment_request_id,
            "payment_id": payment.payment_id,
            "payment_amount": self._amount_told(payment),
            "payment_time": wire_time(payment.paid_at) if is_paid and payment.paid_at else None,
            "customer_id": payment.customer.network_id if is_paid and payment.customer else None,
            "wallet_brand_name": payment.wallet.brand if is_paid and payment.wallet else None,
            "transactions": transactions(payment, self._choices),
        }
        if is_paid and self._is_settlement_told(payment):
            return SettledInquiry(**told, **self._settlement(payment, payment.settled_value))
        return InquiryResponse(**told)

    def cancelled(self, payment: Payment) -> CancelResponse:
        """Of `cancelPayment`, when it is."""
        psp_id = payment.wallet.psp_id if payment.wallet else None
        return CancelResponse(result=SUCCESS, psp_id=psp_id, acquirer_id=self._acquirer_id)

    def refunded(self, payment: Payment, refund: Refund) -> RefundResponse:
        """Of `refund`, when it is."""
        assert payment.wallet is not None
        told: dict[str, Any] = {
            "result": SUCCESS,
            "acquirer_id": self._acquirer_id,
            "psp_id": payment.wallet.psp_id,
            "refund_id": refund.refund_id,
            "refund_time": wire_time(refund.refunded_at),
            "refund_amount": amount_of(refund.amount),
        }
        if self._is_settlement_told(payment):
            return SettledRefund(**told, **self._settlement(payment, refund.settled_value))
        return RefundResponse(**told)

    def notification(self, payment: Payment) -> Notification:
        """`notifyPayment` of a payment as it stands in the argument."""
        is_paid = payment.state is State.SUCCEEDED
        paid = self.paid(payment)
        told: dict[str, Any] = {
            "payment_result": payment.result,
            "payment_request_id": payment.payment_request_id,
            "payment_id": payment.payment_id,
            "acquirer_id": self._acquirer_id,
            "psp_id": paid.psp_id,
            "customer_id": paid.customer_id,
            "wallet_brand_name": paid.wallet_brand_name,
            "payment_amount": amount_of(payment.amount) if is_paid else None,
            "payment_time": paid.payment_time,
        }
        if is_paid and self._is_settlement_told(payment):
            return SettledNotification(**told, **self._settlement(payment, payment.settled_value))
        return Notification(**told)

    def _is_settlement_told(self, payment: Payment) -> bool:
        is_other = payment.settlement_currency != payment.amount.currency
        return is_other and self._choices.settlement is Settlement.TOLD

    def _settlement(self, payment: Payment, value: int) -> dict[str, Any]:
        currency = payment.settlement_currency
        return {
            "settlement_amount": Amount(currency=currency, value=str(value)),
            "settlement_quote": quote(self._wallets, payment.amount.currency, currency),
        }

    def _amount_told(self, payment: Payment) -> Amount | None:
        is_told = self._choices.success_amount is SuccessAmount.WITH
        return amount_of(payment.amount) if is_told else None
