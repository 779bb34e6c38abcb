"""`GET /sandbox/customers/{customer_id}`: one customer as their phone shows it, in one answer that
a page may ask for every second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.core.money import EXPONENTS
from tillgate.sandbox.control_words import NotThere, json_answer, time_words
from tillgate.sandbox.customers_api import customer_words
from tillgate.sandbox.networks import Networks
from tillgate.sandbox.payment import Payment
from tillgate.sandbox.rules_api import rule_words
from tillgate.sandbox.scripts import Rule, Scripts
from tillgate.sandbox.town import Town
from tillgate.sandbox.town_clock import TownClock
from tillgate.sandbox.wallets import Customer, Wallets


class PhoneApi:
    """The route, with what it needs.

    `run_id` is another one after each start, so that a page notices that all it knew is gone;
    `after_each` runs after a look that may have ended a payment.
    """

    def __init__(
        self,
        networks: Networks,
        town: Town,
        wallets: Wallets,
        scripts: Scripts,
        clock: TownClock,
        run_id: str,
        after_each: Callable[[], None],
    ) -> None:
        self._networks = networks
        self._town = town
        self._wallets = wallets
        self._scripts = scripts
        self._clock = clock
        self._run_id = run_id
        self._after_each = after_each

    def routes(self) -> list[Route]:
        """What to mount."""
        return [Route("/sandbox/customers/{customer_id}", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """The customer, their last payments (newest first), and what is armed for the next."""
        customer = self._wallets.customer(request.path_params["customer_id"])
        if customer is None:
            raise NotThere("There is no such customer: GET /sandbox/wallets lists them.")
        wallet = self._wallets.wallet(customer.wallet_id)
        assert wallet is not None
        now = self._clock.now()
        payments = self._networks.of_customer(customer.id, now)
        self._after_each()
        return json_answer(
            {
                "run_id": self._run_id,
                "now": time_words(now),
                "is_frozen": self._clock.is_frozen,
                "customer": customer_words(customer, self._town)
                | {"balance": _amount(wallet.currency, self._town.ledger.balances[customer.id])},
                "payments": [_payment_words(payment) for payment in payments],
                "armed": [
                    rule_words(rule)
                    for rule in self._scripts.rules.values()
                    if _meets(rule, customer)
                ],
            }
        )


def _meets(rule: Rule, customer: Customer) -> bool:
    """Whether it may speak of this customer's next payment."""
    on = rule.request.on
    return (
        not rule.is_over
        and on.payment_request_id is None
        and on.customer in (None, customer.id)
        and on.wallet in (None, customer.wallet_id)
    )


def _payment_words(payment: Payment) -> dict[str, Any]:
    assert payment.wallet is not None, "what a customer was asked for has their wallet"
    currency = payment.wallet.currency
    return {
        "payment_id": payment.payment_id,
        "payment_request_id": payment.payment_request_id,
        "network": payment.network,
        "merchant_name": payment.merchant_name,
        "description": payment.description,
        "code": payment.masked_code,
        "status": payment.state,
        "is_cancelled": payment.is_cancelled,
        "result_code": payment.result.result_code,
        "result_message": payment.result.result_message,
        "amount": _amount(payment.amount.currency, payment.amount.value),
        "pay_to_amount": _amount(currency, payment.pay_to_value) if payment.pay_to_value else None,
        "placed_at": time_words(payment.placed_at),
        "expires_at": time_words(payment.expires_at),
        "paid_at": time_words(payment.paid_at),
        "finished_at": time_words(payment.finished_at),
        "refunds": [
            {
                "refund_id": refund.refund_id,
                "amount": _amount(refund.amount.currency, refund.amount.value),
                "pay_to_amount": _amount(currency, refund.pay_to_value),
                "refunded_at": time_words(refund.refunded_at),
            }
            for refund in payment.refunds
        ],
    }


def _amount(currency: str, value: int) -> dict[str, Any]:
    """With the currency's decimals, which a page would have to guess."""
    return {"currency": currency, "value": value, "exponent": EXPONENTS[currency]}
