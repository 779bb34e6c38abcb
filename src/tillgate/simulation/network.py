"""The sandbox's network with one more habit: it may break its promise that an end is the end.

What the public pages leave open is drawn per world, from every combination of `Choices`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import Any

from tillgate.core.results import Outcome
from tillgate.sandbox.choices import (
    CancelledInquiry,
    Choices,
    KeyRefusal,
    PayOnCancelled,
    RefundListing,
    SuccessAmount,
    UnknownCancel,
)
from tillgate.sandbox.exchanges import Exchanges
from tillgate.sandbox.network import Network
from tillgate.sandbox.payment import State
from tillgate.sandbox.wallets import Conditions, Customer, Wallet, Wallets
from tillgate.simulation.dice import Dice, Table

CLIENT_ID = "SIMULATED"
PLENTY = 10**17


def _customer(name: str, balance: int, confirm_above: int | None) -> Customer:
    return Customer(
        id=name,
        wallet_id="wallet",
        name=name,
        network_id=f"20880{len(name):011d}",
        balance=balance,
        conditions=Conditions(confirm_above=confirm_above),
    )


QUICK = _customer("quick", PLENTY, None)
CAREFUL = _customer("careful", PLENTY, 0)
POOR = _customer("poor", 0, None)
WALLET = Wallet(
    id="wallet",
    name="Wallet",
    brand="WALLET",
    psp_id="1022172000000000001",
    currency="KRW",
    routing_number="006",
    customers=(QUICK, CAREFUL, POOR),
)
RATES = {"USD": Fraction(1), "KRW": Fraction(1380), "JPY": Fraction(150), "CNY": Fraction(7)}
WALLETS = Wallets((WALLET,), RATES)


_UNKNOWN_CANCELS: Table[UnknownCancel] = Table(
    "choice.unknown_cancel", *((choice, 1) for choice in UnknownCancel)
)
_PAYS_ON_CANCELLED: Table[PayOnCancelled] = Table(
    "choice.pay_on_cancelled", *((choice, 1) for choice in PayOnCancelled)
)
_CANCELLED_INQUIRIES: Table[CancelledInquiry] = Table(
    "choice.cancelled_inquiry", *((choice, 1) for choice in CancelledInquiry)
)
_KEY_REFUSALS: Table[KeyRefusal] = Table(
    "choice.key_refusal", *((choice, 1) for choice in KeyRefusal)
)
_SUCCESS_AMOUNTS: Table[SuccessAmount] = Table(
    "choice.success_amount", (SuccessAmount.WITH, 0.85), (SuccessAmount.WITHOUT, 0.15)
)
"""Without one only a notification can end a payment as paid, so it would hide the other ways."""
_REFUND_LISTINGS: Table[RefundListing] = Table(
    "choice.refund_listing", *((choice, 1) for choice in RefundListing)
)


def draw_choices(dice: Dice) -> Choices:
    """One of all combinations."""
    return Choices(
        unknown_cancel=dice.pick(_UNKNOWN_CANCELS),
        pay_on_cancelled=dice.pick(_PAYS_ON_CANCELLED),
        cancelled_inquiry=dice.pick(_CANCELLED_INQUIRIES),
        key_refusal=dice.pick(_KEY_REFUSALS),
        success_amount=dice.pick(_SUCCESS_AMOUNTS),
        refund_listing=dice.pick(_REFUND_LISTINGS),
    )


class _NoRecord(Exchanges):
    """Keeps nothing: nobody looks at the arrows of a simulation."""

    def add(self, *arguments: Any, **more: Any) -> None:
        """Forget it."""


_NO_RECORD = _NoRecord()


class BreakingNetwork(Network):
    """A network that may take the money after an end."""

    def __init__(self, digits: Callable[[int], str], choices: Choices) -> None:
        super().__init__(WALLETS, digits, _NO_RECORD, choices=choices)

    def succeed_after_all(self, request_id: str, now: datetime, *, is_stubborn: bool) -> bool:
        """The wallet took the money after the end. Stubborn: a cancel that was done stays done."""
        payment = self.orders.find(request_id, now)
        if payment.state not in (State.FAILED, State.CLOSED) or payment.customer in (None, POOR):
            return False
        if not payment.pay_to_value or (is_stubborn and not payment.is_cancelled):
            return False
        if self.ledger.net_debit(payment.payment_id) or payment.refunds:
            # A network that takes again what it has refunded under one id could not be told from
            # one that reports the old success late.
            return False
        result = self._wallet_side.confirm(payment, now)
        assert result.result_status is Outcome.SUCCESS
        self._judged(replace(payment, is_cancelled=is_stubborn), result, now)
        return True

    def give_back(self, request_id: str, now: datetime) -> None:
        """The network itself sends the wallet a cancellation."""
        payment = self.orders.find(request_id, now)
        if payment.state is State.SUCCEEDED:
            self._close(payment, now, is_cancelled=False)
