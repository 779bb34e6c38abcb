"""The network's own book: what it is owed by wallets and owes to acquirers. Written when the
network hears from a wallet, never by the wallet, so that the two can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tillgate.sandbox.payment import Payment, Refund


class Line(StrEnum):
    """Why money is owed."""

    PAYMENT = "payment"
    CANCEL = "cancel"
    REFUND = "refund"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookEntry:
    """One line; a cancel and a refund take back, so theirs are negative.

    Attributes:
        from_wallet: minor units of the wallet's currency that the wallet owes the network.
        to_acquirer: minor units of the settlement currency that the network owes the acquirer.
    """

    at: datetime
    line: Line
    network: str
    payment_id: str
    client_id: str
    wallet: str
    wallet_currency: str
    from_wallet: int
    settlement_currency: str
    to_acquirer: int


class NetworkBook:
    """Lines in order, of all networks of one sandbox."""

    def __init__(self) -> None:
        self.entries: list[BookEntry] = []
        self._open: dict[str, tuple[int, int]] = {}

    def paid(self, payment: Payment, now: datetime) -> None:
        """The wallet says it has the money."""
        self._add(Line.PAYMENT, payment, payment.pay_to_value, payment.settled_value, now)

    def cancelled(self, payment: Payment, now: datetime) -> None:
        """The wallet says it gave back what it had; nothing where it had nothing."""
        from_wallet, to_acquirer = self.standing(payment.payment_id)
        if from_wallet or to_acquirer:
            self._add(Line.CANCEL, payment, -from_wallet, -to_acquirer, now)

    def refunded(self, payment: Payment, refund: Refund, now: datetime) -> None:
        """The wallet says it gave back so much."""
        self._add(Line.REFUND, payment, -refund.pay_to_value, -refund.settled_value, now)

    def standing(self, payment_id: str) -> tuple[int, int]:
        """What the wallet owes for it and what the acquirer is owed, all in all."""
        return self._open.get(payment_id, (0, 0))

    def _add(
        self, line: Line, payment: Payment, from_wallet: int, to_acquirer: int, now: datetime
    ) -> None:
        assert payment.wallet is not None, "only a wallet's word is booked"
        owed, owing = self.standing(payment.payment_id)
        self._open[payment.payment_id] = owed + from_wallet, owing + to_acquirer
        self.entries.append(
            BookEntry(
                at=now,
                line=line,
                network=payment.network,
                payment_id=payment.payment_id,
                client_id=payment.client_id,
                wallet=payment.wallet.id,
                wallet_currency=payment.wallet.currency,
                from_wallet=from_wallet,
                settlement_currency=payment.settlement_currency,
                to_acquirer=to_acquirer,
            )
        )
