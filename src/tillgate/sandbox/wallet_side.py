"""The wallets' half of a payment (the guide, steps 6 to 9): asked by the network, never by the
acquirer. Runs in this process, so its messages are not signed, but they are noted like all others.
"""

from __future__ import annotations

from datetime import datetime

from tillgate.alipayplus.messages import SUCCESS, Result
from tillgate.core.money import Money
from tillgate.core.results import Outcome
from tillgate.sandbox.exchanges import Direction, Exchanges, Party
from tillgate.sandbox.ledger import Entry, Kind, Ledger
from tillgate.sandbox.payment import RESULTS, Payment, Refund


class WalletSide:
    """Debits, waits for its customers, and gives back."""

    def __init__(self, ledger: Ledger, record: Exchanges) -> None:
        self._ledger = ledger
        self._record = record

    def pay(self, payment: Payment, now: datetime, asked: Result | None = None) -> Result:
        """Asked for the money: debited, refused, or left to the customer (U PAYMENT_IN_PROCESS).

        `asked` is what a tester wants to hear; a success still needs the money.
        """
        self._note("pay", Direction.REQUEST, payment, now)
        if asked is None or asked.result_status is Outcome.SUCCESS:
            result = self._decide(payment, now, is_confirmed=asked is not None)
        else:
            result = asked
        self._note("pay", Direction.RESPONSE, payment, now, result)
        return result

    def confirm(self, payment: Payment, now: datetime) -> Result:
        """The customer agreed. The network reads the end of it by asking the wallet."""
        return self._inquired(payment, now, self._decide(payment, now, is_confirmed=True))

    def decline(self, payment: Payment, now: datetime) -> Result:
        """The customer did not agree."""
        return self._inquired(payment, now, RESULTS["USER_PAYMENT_VERIFICATION_FAILED"])

    def cancel(self, payment: Payment, now: datetime) -> None:
        """Give back what was taken and not refunded; a payment that waits is dropped.

        A wallet must make a cancel succeed whatever the status (Alipay+ "Cancel a payment", MPP).
        """
        self._note("cancelPayment", Direction.REQUEST, payment, now)
        left = self._ledger.net_debit(payment.payment_id)
        if left:
            pay_to_value = self._ledger.net_pay_to(payment.payment_id)
            amount = Money(payment.amount.currency, left)
            self._book(Kind.CREDIT, payment, amount, pay_to_value, now)
        self._note("cancelPayment", Direction.RESPONSE, payment, now, SUCCESS)

    def late_success(self, payment: Payment, now: datetime) -> None:
        """It debits an order that was closed meanwhile and says so: the network cancels it at once
        (the facts, "paymentExpiryTime": a late success is reversed by Alipay+).
        """
        result = self._decide(payment, now, is_confirmed=True)
        self._note("notifyPayment", Direction.RESPONSE, payment, now, result)
        if result.result_status is Outcome.SUCCESS:
            self.cancel(payment, now)

    def refund(self, payment: Payment, refund: Refund, now: datetime) -> None:
        """Give back that much. A wallet does not refuse it (its own refusals are not played)."""
        self._note("refund", Direction.REQUEST, payment, now)
        self._book(Kind.CREDIT, payment, refund.amount, refund.pay_to_value, now)
        self._note("refund", Direction.RESPONSE, payment, now, SUCCESS)

    def _decide(self, payment: Payment, now: datetime, *, is_confirmed: bool) -> Result:
        customer = payment.customer
        assert customer is not None, "only a payment with a customer reaches a wallet"
        if self._ledger.balances[customer.id] < payment.pay_to_value:
            return RESULTS["USER_BALANCE_NOT_ENOUGH"]
        limit = customer.confirm_above
        if limit is not None and payment.pay_to_value > limit and not is_confirmed:
            return RESULTS["PAYMENT_IN_PROCESS"]
        self._book(Kind.DEBIT, payment, payment.amount, payment.pay_to_value, now)
        return SUCCESS

    def _book(
        self, kind: Kind, payment: Payment, amount: Money, pay_to_value: int, now: datetime
    ) -> None:
        assert payment.customer is not None
        assert payment.wallet is not None
        self._ledger.add(
            Entry(
                at=now,
                kind=kind,
                payment_request_id=payment.payment_request_id,
                payment_id=payment.payment_id,
                customer=payment.customer,
                amount=amount,
                pay_to_value=pay_to_value,
                pay_to_currency=payment.wallet.currency,
            )
        )

    def _inquired(self, payment: Payment, now: datetime, result: Result) -> Result:
        self._note("inquiryPayment", Direction.REQUEST, payment, now)
        self._note("inquiryPayment", Direction.RESPONSE, payment, now, SUCCESS, result)
        return result

    def _note(
        self,
        api: str,
        kind: Direction,
        payment: Payment,
        now: datetime,
        result: Result | None = None,
        payment_result: Result | None = None,
    ) -> None:
        asks = kind is Direction.REQUEST
        self._record.add(
            now,
            Party.NETWORK if asks else Party.WALLET,
            Party.WALLET if asks else Party.NETWORK,
            api,
            kind,
            payment_request_id=payment.payment_request_id,
            payment_id=payment.payment_id,
            result=result,
            payment_result=payment_result,
        )
