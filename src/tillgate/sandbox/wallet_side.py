"""The wallets' half of a payment (the guide, steps 6 to 9): asked by the network, never by the
acquirer. Runs in this process, so its messages are not signed, but they are noted like all others.
"""

from __future__ import annotations

from datetime import datetime

from tillgate.alipayplus.messages import SUCCESS, Result
from tillgate.core.money import Money
from tillgate.core.results import Outcome
from tillgate.sandbox.exchanges import Direction, Exchanges, Party
from tillgate.sandbox.ledger import Entry, Kind
from tillgate.sandbox.payment import RESULTS, Payment, Refund
from tillgate.sandbox.town import Town
from tillgate.sandbox.wallets import Conditions, Status

PIN_TRIES = 3
"""Ours: no page says how many a wallet gives."""


class WalletSide:
    """Debits, waits for its customers, and gives back."""

    def __init__(self, town: Town, record: Exchanges) -> None:
        self._ledger = town.ledger
        self._conditions = town.conditions
        self._wrong_pins: dict[str, int] = {}
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

    def try_pin(self, payment: Payment, pin: str | None) -> int | None:
        """How many tries are left after a wrong PIN; None: it is right, or none is asked."""
        assert payment.customer is not None
        right = self._conditions[payment.customer.id].pin
        if right is None or right == pin:
            return None
        wrong = self._wrong_pins.get(payment.payment_id, 0) + 1
        self._wrong_pins[payment.payment_id] = wrong
        return PIN_TRIES - wrong

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

    def late_success(self, payment: Payment, now: datetime) -> Result:
        """It debits an order that was closed meanwhile, if it can, and says so."""
        result = self._decide(payment, now, is_confirmed=True)
        self._note("notifyPayment", Direction.RESPONSE, payment, now, result)
        return result

    def refund(self, payment: Payment, refund: Refund, now: datetime) -> None:
        """Give back that much. A wallet does not refuse it (its own refusals are not played)."""
        self._note("refund", Direction.REQUEST, payment, now)
        self._book(Kind.CREDIT, payment, refund.amount, refund.pay_to_value, now)
        self._note("refund", Direction.RESPONSE, payment, now, SUCCESS)

    def _decide(self, payment: Payment, now: datetime, *, is_confirmed: bool) -> Result:
        customer = payment.customer
        assert customer is not None, "only a payment with a customer reaches a wallet"
        conditions = self._conditions[customer.id]
        refusal = _refusal(
            conditions, payment.pay_to_value, *self._ledger.spent_on(customer.id, now)
        )
        if refusal is not None:
            return RESULTS[refusal]
        if self._ledger.balances[customer.id] < payment.pay_to_value:
            return RESULTS["USER_BALANCE_NOT_ENOUGH"]
        limit = conditions.confirm_above
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
            client_id=payment.client_id,
            payment_request_id=payment.payment_request_id,
            payment_id=payment.payment_id,
            result=result,
            payment_result=payment_result,
        )


def _refusal(conditions: Conditions, value: int, count: int, spent: int) -> str | None:
    """Why this customer may not pay so much now, whatever the balance; None: may.

    Which code fits which case: the notes beside the codes in Alipay+'s table of pay.
    """
    if conditions.status is not Status.ACTIVE:
        is_closed = conditions.status is Status.CLOSED
        return "USER_NOT_EXIST" if is_closed else "USER_STATUS_ABNORMAL"
    if not conditions.is_kyc_done:
        return "USER_KYC_NOT_QUALIFIED"
    if conditions.limit_each is not None and value > conditions.limit_each:
        return "PAYMENT_AMOUNT_EXCEED_LIMIT"
    if conditions.count_day is not None and count >= conditions.count_day:
        return "PAYMENT_COUNT_EXCEED_LIMIT"
    if conditions.limit_day is not None and spent + value > conditions.limit_day:
        return "USER_AMOUNT_EXCEED_LIMIT"
    return None
