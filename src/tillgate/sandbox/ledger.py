"""The wallets' books: every movement of money and what each customer has left. The truth of every
test; only ever appended to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from tillgate.core.money import Money
from tillgate.sandbox.payment import UTC_8
from tillgate.sandbox.wallets import Customer, Wallets


class Kind(StrEnum):
    """Which way the money went."""

    DEBIT = "debit"
    """Taken from the customer."""
    CREDIT = "credit"
    """Given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One movement.

    Attributes:
        amount: what the merchant asked for or gives back, in the payment's currency.
        pay_to_value: the same in minor units of the wallet's currency (`payToAmount`): what the
            balance changed by. No `Money`: converted, it may have more than its twelve digits.
    """

    at: datetime
    kind: Kind
    payment_request_id: str
    payment_id: str
    customer: Customer
    amount: Money
    pay_to_value: int
    pay_to_currency: str


class Ledger:
    """Entries in order, per payment, and the balances that follow from them.

    Attributes:
        openings: what each customer began with, and got from testers since.
    """

    def __init__(self, wallets: Wallets) -> None:
        self.entries: list[Entry] = []
        self.openings: dict[str, int] = {c.id: c.balance for c in wallets.customers()}
        self.balances = dict(self.openings)
        self._days: dict[tuple[str, date], tuple[int, int]] = {}
        self._by_payment: dict[str, list[Entry]] = {}

    def add(self, entry: Entry) -> None:
        """Book it. The caller has checked that the balance covers a debit."""
        self.balances[entry.customer.id] -= _sign(entry) * entry.pay_to_value
        assert self.balances[entry.customer.id] >= 0, "a debit went below zero"
        self.entries.append(entry)
        day = entry.customer.id, _day(entry.at)
        count, spent = self._days.get(day, (0, 0))
        is_debit = entry.kind is Kind.DEBIT
        self._days[day] = count + is_debit, spent + _sign(entry) * entry.pay_to_value
        self._by_payment.setdefault(entry.payment_id, []).append(entry)

    def set_balance(self, customer_id: str, balance: int) -> None:
        """A tester fills or empties a pocket: as if the customer had begun with that."""
        self.openings[customer_id] += balance - self.balances[customer_id]
        self.balances[customer_id] = balance

    def spent_on(self, customer_id: str, at: datetime) -> tuple[int, int]:
        """How many debits that day (UTC+8), and minor units less what was given back."""
        return self._days.get((customer_id, _day(at)), (0, 0))

    def of_payment(self, payment_id: str) -> tuple[Entry, ...]:
        """What was booked for a payment, in order."""
        return tuple(self._by_payment.get(payment_id, ()))

    def net_debit(self, payment_id: str) -> int:
        """What the customer has paid for it and not got back: minor units of its currency."""
        return sum(_sign(entry) * entry.amount.value for entry in self.of_payment(payment_id))

    def net_pay_to(self, payment_id: str) -> int:
        """The same in minor units of the wallet's currency."""
        return sum(_sign(entry) * entry.pay_to_value for entry in self.of_payment(payment_id))


def _day(at: datetime) -> date:
    return at.astimezone(UTC_8).date()


def _sign(entry: Entry) -> int:
    return 1 if entry.kind is Kind.DEBIT else -1
