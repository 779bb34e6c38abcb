"""What all networks of one sandbox have in common: the customers, with their codes and money."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tillgate.sandbox.books import NetworkBook
from tillgate.sandbox.codes import CodeDesk, Digits
from tillgate.sandbox.ledger import Ledger
from tillgate.sandbox.wallets import Wallets


class Town:
    """The customers with their codes and money, whichever network asks for it.

    Attributes:
        codes: the payment codes that are about.
        ledger: the wallets' books.
        book: the networks' own.
        conditions: by customer, what the wallet asks of their payments now.
        payment_ids: those that were given out, so that the one ledger never mixes two payments.
    """

    def __init__(self, wallets: Wallets, digits: Digits) -> None:
        self.codes = CodeDesk(digits)
        self.ledger = Ledger(wallets)
        self.book = NetworkBook()
        self.conditions = {each.id: each.conditions for each in wallets.customers()}
        self.payment_ids: set[str] = set()

    def change(self, customer_id: str, words: dict[str, Any]) -> None:
        """Other conditions for a customer's payments from now on."""
        self.conditions[customer_id] = replace(self.conditions[customer_id], **words)
