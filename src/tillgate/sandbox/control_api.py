"""The testers' side: codes, customers' thumbs, books and messages. Plain JSON without signatures.

For loopback only: whoever reaches it can spend every customer's money. The answer of
`POST /sandbox/codes` is the only place that ever shows a whole payment code.
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
from tillgate.core.codes import CodeKind
from tillgate.sandbox.codes import CN_HK_WALLETS, ISSUED_KINDS, LENGTHS
from tillgate.sandbox.control_words import BadField, body_of, json_answer, read_as, time_words
from tillgate.sandbox.exchanges import Exchange, Exchanges
from tillgate.sandbox.ledger import Entry, Kind
from tillgate.sandbox.networks import Networks
from tillgate.sandbox.notifier import Notifier
from tillgate.sandbox.payment import Payment, Refund
from tillgate.sandbox.plays import PLAYS
from tillgate.sandbox.wallets import Customer, Wallet, Wallets

PAYMENTS_SHOWN_MAX = 1000
CODE_BYTES_MAX = 4096
DEFAULT_WALLET = "kakaopay"


class CodeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose code, which kind, and how long where that is open."""

    wallet: str | None = None
    customer: str | None = None
    kind: str = CodeKind.CGCP.value
    length: int | None = None
    play: str | None = None


_CODE_REQUESTS = msgspec.json.Decoder(CodeRequest)


class ControlApi:
    """The routes, with what they need. `after_each` runs after whatever may end a payment."""

    def __init__(
        self,
        network: Networks,
        wallets: Wallets,
        record: Exchanges,
        notifiers: Mapping[str, Notifier],
        clock: Clock,
        after_each: Callable[[], None],
    ) -> None:
        self._network = network
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
            Route("/sandbox/codes", self.issue_code, methods=["POST"]),
            Route("/sandbox/wallets", self.show_wallets, methods=["GET"]),
            Route("/sandbox/payments", self.list_payments, methods=["GET"]),
            Route(one + "/confirm", self.confirm, methods=["POST"]),
            Route(one + "/decline", self.decline, methods=["POST"]),
            Route(one, self.show_payment, methods=["GET"]),
            Route("/sandbox/ledger", self.show_ledger, methods=["GET"]),
            Route("/sandbox/exchanges", self.list_exchanges, methods=["GET"]),
        ]

    async def healthz(self, request: Request) -> Response:
        """This process answers."""
        return json_answer({"status": "ok"})

    async def issue_code(self, request: Request) -> Response:
        """A fresh code on a customer's screen."""
        asked = read_as(_CODE_REQUESTS, await body_of(request, CODE_BYTES_MAX) or b"{}")
        if asked.kind not in ISSUED_KINDS:
            kinds = " or ".join(ISSUED_KINDS)
            raise BadField(f"The kind must be {kinds}.", path="$.kind")
        kind = CodeKind(asked.kind)
        lengths = LENGTHS[kind]
        if asked.length is not None and asked.length not in lengths:
            words = f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 1 else str(lengths[0])
            raise BadField(f"A code of this kind has {words} digits.", path="$.length")
        if asked.play is not None and asked.play not in PLAYS:
            raise BadField("There is no such play: GET /sandbox/plays lists them.", path="$.play")
        wallet, customer = self._holder(asked)
        if kind is CodeKind.ALIPAY_CN_HK and wallet.id not in CN_HK_WALLETS:
            raise BadField("Only AlipayCN and AlipayHK show such codes.", path="$.kind")
        if kind is CodeKind.ALIPAY_CN_HK and asked.length == 16 and wallet.id != "alipay_cn":
            raise BadField("A code of AlipayHK has 17 to 19 digits.", path="$.length")
        now = self._clock.now()
        issued = self._network.codes.issue(customer, wallet, kind, now, asked.length, asked.play)
        body = {
            "code": issued.code,
            "kind": issued.kind,
            "wallet": wallet.id,
            "customer": customer.id,
            "expires_at": time_words(issued.expires_at),
        }
        return json_answer(body, 201)

    async def show_wallets(self, request: Request) -> Response:
        """Wallets, customers and what they have left."""
        return json_answer(
            {"wallets": [self._wallet_words(wallet) for wallet in self._wallets.all]}
        )

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
        payment = self._network.find(_id(request), self._clock.now())
        self._after_each()
        return json_answer(self._payment_words(payment))

    async def confirm(self, request: Request) -> Response:
        """The customer agrees."""
        return self._thumb(request, self._network.confirm)

    async def decline(self, request: Request) -> Response:
        """The customer refuses."""
        return self._thumb(request, self._network.decline)

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
                        "opening": customer.balance,
                        "balance": ledger.balances[customer.id],
                    }
                    for wallet in self._wallets.all
                    for customer in wallet.customers
                ],
            }
        )

    async def list_exchanges(self, request: Request) -> Response:
        """Messages in order, of one payment or all that are kept."""
        payment_request_id = request.query_params.get("payment_request_id")
        rows = [_exchange_words(exchange) for exchange in self._record.of(payment_request_id)]
        return json_answer({"exchanges": rows})

    def _thumb(self, request: Request, act: Callable[[str, datetime], Payment]) -> Response:
        try:
            payment = act(_id(request), self._clock.now())
        finally:
            self._after_each()  # the look alone may have found it expired
        return json_answer(self._payment_words(payment))

    def _holder(self, asked: CodeRequest) -> tuple[Wallet, Customer]:
        if asked.customer is not None:
            customer = self._wallets.customer(asked.customer)
            if customer is None or asked.wallet not in (None, customer.wallet_id):
                raise BadField("There is no such customer in this wallet.", path="$.customer")
            wallet = self._wallets.wallet(customer.wallet_id)
            assert wallet is not None
            return wallet, customer
        default = "alipay_cn" if asked.kind == CodeKind.ALIPAY_CN_HK else DEFAULT_WALLET
        wallet = self._wallets.wallet(asked.wallet or default)
        if wallet is None and asked.wallet is None:
            wallet = self._wallets.all[0]  # an edited file need not have a KakaoPay
        if wallet is None:
            ids = ", ".join(each.id for each in self._wallets.all)
            raise BadField(f"There is no such wallet; there are {ids}.", path="$.wallet")
        free = (customer for customer in wallet.customers if customer.confirm_above is None)
        return wallet, next(free, wallet.customers[0])

    def _wallet_words(self, wallet: Wallet) -> dict[str, Any]:
        return {
            "id": wallet.id,
            "name": wallet.name,
            "wallet_brand_name": wallet.brand,
            "psp_id": wallet.psp_id,
            "currency": wallet.currency,
            "routing_number": wallet.routing_number,
            "customers": [
                {
                    "id": customer.id,
                    "name": customer.name,
                    "customer_id": customer.network_id,
                    "balance": self._network.ledger.balances[customer.id],
                    "confirm_above": customer.confirm_above,
                }
                for customer in wallet.customers
            ],
        }

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
        "refunded_at": time_words(refund.refunded_at),
    }


def _pay_to(payment: Payment) -> dict[str, Any] | None:
    if payment.wallet is None or not payment.pay_to_value:
        return None
    return {"currency": payment.wallet.currency, "value": payment.pay_to_value}
