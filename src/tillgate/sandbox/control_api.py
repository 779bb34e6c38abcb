"""The testers' side: payments, customers' thumbs, books and messages. Plain JSON without
signatures.

For loopback only: whoever reaches it can spend every customer's money.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.clock import Clock
from tillgate.sandbox.audit import audit
from tillgate.sandbox.books import BookEntry
from tillgate.sandbox.control_words import body_of, json_answer, read_as, time_words
from tillgate.sandbox.exchanges import Exchange, Exchanges
from tillgate.sandbox.ledger import Entry, Kind
from tillgate.sandbox.networks import Networks
from tillgate.sandbox.notifier import Notifier
from tillgate.sandbox.payment import Payment, Refund
from tillgate.sandbox.plays import Words
from tillgate.sandbox.town import Town
from tillgate.sandbox.wallets import Wallets

PAYMENTS_SHOWN_MAX = 1000


class ConfirmRequest(Words, frozen=True):
    """What the customer types."""

    pin: str | None = None


_CONFIRMATIONS = msgspec.json.Decoder(ConfirmRequest)


class ControlApi:
    """The routes, with what they need. `after_each` runs after whatever may end a payment."""

    def __init__(
        self,
        network: Networks,
        town: Town,
        wallets: Wallets,
        record: Exchanges,
        notifiers: Mapping[str, Notifier],
        clock: Clock,
        after_each: Callable[[], None],
    ) -> None:
        self._network = network
        self._town = town
        self._wallets = wallets
        self._record = record
        self._notifiers = notifiers
        self._clock = clock
        self._after_each = after_each

    def routes(self) -> list[Route]:
        """What to mount."""
        one = "/sandbox/payments/{payment_request_id:path}"  # it may hold a slash
        return [
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/sandbox/payments", self.list_payments, methods=["GET"]),
            Route(one + "/confirm", self.confirm, methods=["POST"]),
            Route(one + "/decline", self.decline, methods=["POST"]),
            Route(one, self.show_payment, methods=["GET"]),
            Route("/sandbox/ledger", self.show_ledger, methods=["GET"]),
            Route("/sandbox/ledger/network", self.show_book, methods=["GET"]),
            Route("/sandbox/ledger/check", self.check_ledger, methods=["GET"]),
            Route("/sandbox/exchanges", self.list_exchanges, methods=["GET"]),
        ]

    async def healthz(self, request: Request) -> Response:
        """This process answers."""
        return json_answer({"status": "ok"})

    async def list_payments(self, request: Request) -> Response:
        """The last thousand, oldest first."""
        self._network.expire(self._clock.now())
        self._after_each()
        payments = self._network.latest(PAYMENTS_SHOWN_MAX)
        body = {
            "payments": [self._payment_words(payment) for payment in payments],
            "total": self._network.payment_count(),
        }
        return json_answer(body)

    async def show_payment(self, request: Request) -> Response:
        """One payment with its money."""
        payment = self._network.find(_id(request), self._clock.now(), _client(request))
        self._after_each()
        return json_answer(self._payment_words(payment))

    async def confirm(self, request: Request) -> Response:
        """The customer agrees, with a PIN where the wallet asks for one."""
        body = await body_of(request)
        pin = read_as(_CONFIRMATIONS, body).pin if body else None
        client_id = _client(request)
        return self._thumb(
            request, lambda id_, now: self._network.confirm(id_, now, pin, client_id)
        )

    async def decline(self, request: Request) -> Response:
        """The customer refuses."""
        client_id = _client(request)
        return self._thumb(request, lambda id_, now: self._network.decline(id_, now, client_id))

    async def show_ledger(self, request: Request) -> Response:
        """Every entry and every balance."""
        ledger = self._network.ledger
        return json_answer(
            {
                "entries": [_entry_words(entry) for entry in ledger.entries],
                "balances": [
                    {
                        "wallet": wallet.id,
                        "customer": customer.id,
                        "currency": wallet.currency,
                        "opening": ledger.openings[customer.id],
                        "balance": ledger.balances[customer.id],
                    }
                    for wallet in self._wallets.all
                    for customer in wallet.customers
                ],
            }
        )

    async def check_ledger(self, request: Request) -> Response:
        """Whether customers, wallets, networks and acquirers agree, reckoned anew."""
        self._network.expire(self._clock.now())
        self._after_each()
        found = audit(self._wallets, self._town.ledger, self._town.book, self._network.all())
        return json_answer(
            {
                "agrees": not found.problems,
                "problems": found.problems,
                "wallets": [
                    {
                        "wallet": wallet.id,
                        "currency": wallet.currency,
                        "customers_paid": found.wallets[wallet.id][0],
                        "wallet_owes": found.wallets[wallet.id][1],
                        "network_is_owed": found.wallets[wallet.id][2],
                    }
                    for wallet in self._wallets.all
                ],
                "acquirers": [
                    {
                        "client_id": client_id,
                        "currency": currency,
                        "network_owes": owed,
                        "payments_add_up_to": stated,
                    }
                    for (client_id, currency), (owed, stated) in found.acquirers.items()
                ],
            }
        )

    async def show_book(self, request: Request) -> Response:
        """The networks' own book: what wallets owe and what acquirers are owed."""
        rows = [_book_words(entry) for entry in self._town.book.entries]
        return json_answer({"entries": rows})

    async def list_exchanges(self, request: Request) -> Response:
        """Messages in order, of one payment or all that are kept."""
        rows = [
            _exchange_words(exchange)
            for exchange in self._record.of(request.query_params.get("payment_request_id"))
            if _client(request) in (None, exchange.client_id)
        ]
        return json_answer({"exchanges": rows})

    def _thumb(self, request: Request, act: Callable[[str, datetime], Payment]) -> Response:
        try:
            payment = act(_id(request), self._clock.now())
        finally:
            self._after_each()  # the look alone may have found it expired
        return json_answer(self._payment_words(payment))

    def _payment_words(self, payment: Payment) -> dict[str, Any]:
        entries = self._network.ledger.of_payment(payment.payment_id)
        delivery = self._notifiers[payment.network].delivery(payment.payment_id)
        return {
            "payment_request_id": payment.payment_request_id,
            "payment_id": payment.payment_id,
            "network": payment.network,
            "client_id": payment.client_id,
            "reference_order_id": payment.reference_order_id,
            "status": payment.state,
            "result_code": payment.result.result_code,
            "amount": {"currency": payment.amount.currency, "value": payment.amount.value},
            "pay_to_amount": _pay_to(payment),
            "settlement_amount": _settled(payment),
            "code": payment.masked_code,
            "wallet": payment.wallet.id if payment.wallet else None,
            "customer": payment.customer.id if payment.customer else None,
            "is_cancelled": payment.is_cancelled,
            "placed_at": time_words(payment.placed_at),
            "expires_at": time_words(payment.expires_at),
            "paid_at": time_words(payment.paid_at),
            "finished_at": time_words(payment.finished_at),
            "debits": sum(entry.kind is Kind.DEBIT for entry in entries),
            "credits": sum(entry.kind is Kind.CREDIT for entry in entries),
            "net_debit": self._network.ledger.net_debit(payment.payment_id),
            "refunds": [_refund_words(payment, refund) for refund in payment.refunds],
            "notification": msgspec.to_builtins(delivery) if delivery else None,
        }


def _id(request: Request) -> str:
    return str(request.path_params["payment_request_id"])


def _client(request: Request) -> str | None:
    """Whose payment is meant, where two acquirers have one with the same id."""
    return request.query_params.get("client_id")


def _entry_words(entry: Entry) -> dict[str, Any]:
    return {
        "at": time_words(entry.at),
        "kind": entry.kind,
        "payment_request_id": entry.payment_request_id,
        "payment_id": entry.payment_id,
        "wallet": entry.customer.wallet_id,
        "customer": entry.customer.id,
        "amount": {"currency": entry.amount.currency, "value": entry.amount.value},
        "pay_to_amount": {"currency": entry.pay_to_currency, "value": entry.pay_to_value},
    }


def _exchange_words(exchange: Exchange) -> dict[str, Any]:
    return {
        "seq": exchange.seq,
        "at": time_words(exchange.at),
        "from": exchange.sender,
        "to": exchange.receiver,
        "client_id": exchange.client_id,
        "api": exchange.api,
        "kind": exchange.kind,
        "payment_request_id": exchange.payment_request_id,
        "payment_id": exchange.payment_id,
        "result": exchange.result,
        "payment_result": exchange.payment_result,
        "refund_request_id": exchange.refund_request_id,
        "signature": exchange.signature,
        "amount": exchange.amount,
    }


def _refund_words(payment: Payment, refund: Refund) -> dict[str, Any]:
    assert payment.wallet is not None, "only what a wallet paid is refunded"
    return {
        "refund_request_id": refund.refund_request_id,
        "refund_id": refund.refund_id,
        "amount": {"currency": refund.amount.currency, "value": refund.amount.value},
        "pay_to_amount": {"currency": payment.wallet.currency, "value": refund.pay_to_value},
        "settlement_amount": {
            "currency": payment.settlement_currency,
            "value": refund.settled_value,
        },
        "refunded_at": time_words(refund.refunded_at),
    }


def _pay_to(payment: Payment) -> dict[str, Any] | None:
    if payment.wallet is None or not payment.pay_to_value:
        return None
    return {"currency": payment.wallet.currency, "value": payment.pay_to_value}


def _settled(payment: Payment) -> dict[str, Any] | None:
    if not payment.settled_value:
        return None
    return {"currency": payment.settlement_currency, "value": payment.settled_value}


def _book_words(entry: BookEntry) -> dict[str, Any]:
    return {
        "at": time_words(entry.at),
        "line": entry.line,
        "network": entry.network,
        "payment_id": entry.payment_id,
        "client_id": entry.client_id,
        "wallet": entry.wallet,
        "from_wallet": {"currency": entry.wallet_currency, "value": entry.from_wallet},
        "to_acquirer": {"currency": entry.settlement_currency, "value": entry.to_acquirer},
    }
