"""What all networks of one sandbox have in common: the customers, with their codes and money."""

from __future__ import annotations

from tillgate.sandbox.codes import CodeDesk, Digits
from tillgate.sandbox.ledger import Ledger
from tillgate.sandbox.wallets import Wallets


class Town:
    """The customers with their codes and money, whichever network asks for it.

    Attributes:
        codes: the payment codes that are about.
        ledger: the wallets' books.
        payment_ids: those that were given out, so that the one ledger never mixes two payments.
    """

    def __init__(self, wallets: Wallets, digits: Digits) -> None:
        self.codes = CodeDesk(digits)
        self.ledger = Ledger(wallets)
        self.payment_ids: set[str] = set()
