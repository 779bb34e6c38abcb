"""Do the books agree? The customers' accounts, the wallets' ledger, the network's book and what the
payments themselves say are four writings of one truth; any difference is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tillgate.sandbox.books import NetworkBook
from tillgate.sandbox.ledger import Kind, Ledger
from tillgate.sandbox.payment import Payment, State
from tillgate.sandbox.wallets import Wallets


@dataclass(slots=True)
class Audit:
    """What was found.

    Attributes:
        problems: each difference in a sentence; none where all agree.
        wallets: by wallet, minor units of its currency: what its customers paid net, what its
            ledger says it owes the network, what the network's book says it is owed.
        acquirers: by (Client-Id, settlement currency), minor units: what the network's book says it
            owes, what its payments add up to.
    """

    problems: list[str] = field(default_factory=list)
    wallets: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    acquirers: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)


def audit(
    wallets: Wallets, ledger: Ledger, book: NetworkBook, payments: Iterable[Payment]
) -> Audit:
    """Reckon everything anew from its first entry and compare."""
    found = Audit()
    _customers(found, wallets, ledger)
    stated: Counter[tuple[str, str]] = Counter()
    for payment in payments:
        _payment(found, payment, ledger, book)
        stated[payment.client_id, payment.settlement_currency] += _settled(payment)
    _sums(found, wallets, ledger, book)
    owed: Counter[tuple[str, str]] = Counter()
    for entry in book.entries:
        owed[entry.client_id, entry.settlement_currency] += entry.to_acquirer
    for key in sorted(owed.keys() | stated.keys()):
        found.acquirers[key] = owed[key], stated[key]
        if owed[key] != stated[key]:
            client_id, currency = key
            found.problems.append(
                f"acquirer {client_id}: the book owes {currency} {owed[key]}, the payments add up"
                f" to {stated[key]}"
            )
    return found


def _customers(found: Audit, wallets: Wallets, ledger: Ledger) -> None:
    spent: Counter[str] = Counter()
    for entry in ledger.entries:
        spent[entry.customer.id] += entry.pay_to_value * (1 if entry.kind is Kind.DEBIT else -1)
    for customer in wallets.customers():
        balance, opening = ledger.balances[customer.id], ledger.openings[customer.id]
        if opening - spent[customer.id] != balance:
            found.problems.append(
                f"customer {customer.id}: opened with {opening} and spent {spent[customer.id]}, but"
                f" has {balance}"
            )


def _sums(found: Audit, wallets: Wallets, ledger: Ledger, book: NetworkBook) -> None:
    owing: Counter[str] = Counter()
    for entry in ledger.entries:
        owing[entry.customer.wallet_id] += entry.pay_to_value * (
            1 if entry.kind is Kind.DEBIT else -1
        )
    owed: Counter[str] = Counter()
    for line in book.entries:
        owed[line.wallet] += line.from_wallet
    for wallet in wallets.all:
        paid = sum(ledger.openings[c.id] - ledger.balances[c.id] for c in wallet.customers)
        found.wallets[wallet.id] = paid, owing[wallet.id], owed[wallet.id]
        if len(set(found.wallets[wallet.id])) > 1:
            found.problems.append(
                f"wallet {wallet.id}: customers paid {paid}, its ledger owes {owing[wallet.id]},"
                f" the network is owed {owed[wallet.id]} ({wallet.currency})"
            )


def _payment(found: Audit, payment: Payment, ledger: Ledger, book: NetworkBook) -> None:
    """One payment's money in the wallet's ledger, the network's book and its own state."""
    id_ = payment.payment_id
    expected = 0
    if payment.state is State.SUCCEEDED:
        expected = payment.pay_to_value - sum(refund.pay_to_value for refund in payment.refunds)
    seen = expected, ledger.net_pay_to(id_), book.standing(id_)[0]
    if len(set(seen)) > 1:
        found.problems.append(
            f"payment {id_}: it is {payment.state} with {seen[0]}, the wallet's ledger has"
            f" {seen[1]}, the network's book {seen[2]}"
        )
    if _settled(payment) != book.standing(id_)[1]:
        found.problems.append(
            f"payment {id_}: {_settled(payment)} is to be settled, the network's book has"
            f" {book.standing(id_)[1]}"
        )


def _settled(payment: Payment) -> int:
    """What the acquirer may expect of it."""
    if payment.state is not State.SUCCEEDED:
        return 0
    return payment.settled_value - sum(refund.settled_value for refund in payment.refunds)
