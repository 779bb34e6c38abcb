"""The wallets' books: every movement of money and what each customer has left. The truth of every
test; only ever appended to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tillgate.core.money import Money
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
    """Entries in order, per payment, and the balances that follow from them."""

    def __init__(self, wallets: Wallets) -> None:
        self.entries: list[Entry] = []
        self.balances: dict[str, int] = {c.id: c.balance for c in wallets.customers()}
        self._by_payment: dict[str, list[Entry]] = {}

    def add(self, entry: Entry) -> None:
        """Book it. The caller has checked that the balance covers a debit."""
        self.balances[entry.customer.id] -= _sign(entry) * entry.pay_to_value
        assert self.balances[entry.customer.id] >= 0, "a debit went below zero"
        self.entries.append(entry)
        self._by_payment.setdefault(entry.payment_id, []).append(entry)

    def of_payment(self, payment_id: str) -> tuple[Entry, ...]:
        """What was booked for a payment, in order."""
        return tuple(self._by_payment.get(payment_id, ()))

    def net_debit(self, payment_id: str) -> int:
        """What the customer has paid for it and not got back: minor units of its currency."""
        return sum(_sign(entry) * entry.amount.value for entry in self.of_payment(payment_id))

    def net_pay_to(self, payment_id: str) -> int:
        """The same in minor units of the wallet's currency."""
        return sum(_sign(entry) * entry.pay_to_value for entry in self.of_payment(payment_id))


def _sign(entry: Entry) -> int:
    return 1 if entry.kind is Kind.DEBIT else -1
