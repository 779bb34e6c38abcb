"""All networks of one sandbox, as a tester sees them: one list of payments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from tillgate.core.errors import PaymentNotFound
from tillgate.sandbox.network import Network
from tillgate.sandbox.payment import Payment


class Networks:
    """All networks of a town. A payment is found in whichever has it."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self.codes = networks[0].codes
        self.ledger = networks[0].ledger

    def find(self, id_: str, now: datetime, client_id: str | None = None) -> Payment:
        """The payment as it stands, by either of its ids; of one acquirer or of any.

        Raises:
            PaymentNotFound: no network has it.
        """
        return self._first(lambda network: network.orders.find(id_, now, client_id))

    def confirm(
        self, id_: str, now: datetime, pin: str | None = None, client_id: str | None = None
    ) -> Payment:
        """The customer agrees. Raises as `Network.confirm`."""
        return self._first(lambda network: network.confirm(id_, now, pin, client_id))

    def decline(self, id_: str, now: datetime, client_id: str | None = None) -> Payment:
        """The customer refuses. Raises as `Network.confirm`."""
        return self._first(lambda network: network.decline(id_, now, client_id))

    def expire(self, now: datetime) -> None:
        """Close what is unpaid at its expiry."""
        for network in self._networks:
            network.expire(now)

    def all(self) -> Iterator[Payment]:
        """Every payment there is."""
        for network in self._networks:
            yield from network.orders.latest(len(network.orders))

    def latest(self, count: int) -> list[Payment]:
        """The last so many payments, oldest first."""
        each = [payment for network in self._networks for payment in network.orders.latest(count)]
        return sorted(each, key=lambda payment: payment.placed_at)[-count:]

    def of_customer(self, customer_id: str, now: datetime) -> list[Payment]:
        """A customer's last payments at whichever network, newest first."""
        each = [
            payment
            for network in self._networks
            for payment in network.orders.of_customer(customer_id, now)
        ]
        return sorted(each, key=lambda payment: payment.placed_at, reverse=True)

    def payment_count(self) -> int:
        """How many payments there are."""
        return sum(len(network.orders) for network in self._networks)

    def _first(self, act: Callable[[Network], Payment]) -> Payment:
        for network in self._networks[:-1]:
            try:
                return act(network)
            except PaymentNotFound:
                continue
        return act(self._networks[-1])
